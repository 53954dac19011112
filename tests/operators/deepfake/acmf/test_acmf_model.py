from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from engines import ConfigError
from operators.deepfake.acmf import model
from operators.deepfake.acmf.model import Detector, Xception, attention, flood, mask_frequencies

VARIANTS = model.VARIANTS


def noise(n: int = 2, size: int = 64, seed: int = 0) -> Tensor:
    return torch.rand((n, 3, size, size), generator=torch.Generator().manual_seed(seed))


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny(seed: int = 0) -> Detector:
    """An Xception of 20 thousand parameters."""
    torch.manual_seed(seed)
    net = Detector(Xception(widths=(4, 8, 8, 12, 16), middle=1, top=(16, 24, 32), strides=(2, 2, 1, 2, 1)))
    with torch.no_grad():
        net(noise(8, 40))
    return net


def test_the_paper_s_network_has_its_parameters_and_shapes() -> None:
    net = Detector(Xception()).eval()

    with torch.no_grad():
        a = net.trunk.attend(noise(1, 224))
        last = net.trunk.finish(a)

    assert sum(p.numel() for p in net.parameters()) == 20_811_050
    assert a.shape == (1, 1536, 7, 7)
    assert last.shape == (1, 2048, 7, 7)


# -- masking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_masking_nothing_is_the_identity(variant: model.Variant) -> None:
    x = noise()

    assert torch.allclose(mask_frequencies(x, variant=variant, rate=0), x, atol=1e-6)


def test_masking_everything_leaves_the_low_pass_but_for_the_rectified_variant() -> None:
    x = noise()
    low = x - model.high_part(x)

    assert torch.allclose(mask_frequencies(x, variant="spatial_signed", rate=1), low, atol=1e-5)
    assert torch.allclose(mask_frequencies(x, variant="spectral", rate=1), low, atol=1e-5)
    rectified = mask_frequencies(x, variant="spatial_abs", rate=1)
    assert torch.allclose(rectified, x - model.high_part(x, symmetric=False).abs(), atol=1e-6)
    assert (rectified - low).abs().max() > 0.1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
def test_a_flat_image_has_nothing_to_mask(variant: model.Variant, rate: float) -> None:
    x = torch.full((1, 3, 48, 48), 0.4)

    assert torch.allclose(mask_frequencies(x, variant=variant, rate=rate), x, atol=1e-6)


def test_three_cycles_are_low_and_forty_are_high() -> None:
    place = torch.arange(224) * 2 * math.pi / 224
    slow, quick = (0.5 + 0.4 * torch.cos(k * place).expand(1, 3, 224, 224) for k in (3, 40))

    assert model.high_part(slow).abs().max() < 1e-5
    assert (quick - model.high_part(quick) - 0.5).abs().max() < 1e-5


def test_as_many_pixels_change_as_the_rate_says() -> None:
    x = noise(4, 224)

    masked = mask_frequencies(x, variant="spatial_signed", rate=0.3, generator=chance(7))
    changed = (masked != x).any(dim=1)

    assert abs(changed.float().mean() - 0.3) < 0.01
    assert abs(masked.mean() - x.mean()) < 1e-3
    assert (changed[0] != changed[1]).any(), "each image has its own mask"


def test_the_rectified_variant_only_darkens_with_one_mask_for_all() -> None:
    x = noise(3, 224)

    masked = mask_frequencies(x, variant="spatial_abs", rate=0.1, generator=chance())
    changed = (masked != x).any(dim=1)

    assert (masked <= x).all()
    assert (x - masked).mean() > 0.01
    assert (changed == changed[:1]).float().mean() > 0.999  # a high part may be 0 by chance


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_share_of_the_images_is_masked_and_the_others_are_left_alone(variant: model.Variant) -> None:
    x = noise(200, 16)

    masked = mask_frequencies(x, variant=variant, rate=0.5, half=2, share=0.3, generator=chance())
    touched = ((masked - x).abs() > 1e-3).flatten(1).any(dim=1)

    assert abs(touched.float().mean() - 0.3) < 0.1
    assert torch.equal(masked[~touched], x[~touched])


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_batch_has_another_mask(variant: model.Variant) -> None:
    draw = chance()

    first, second = (mask_frequencies(noise(), variant=variant, rate=0.3, generator=draw) for _ in range(2))

    assert not torch.equal(first, second)


def test_an_image_is_masked_alone_as_in_a_batch() -> None:
    """A spectrum shifted over all axes would mix the images."""
    x = noise(3)

    assert torch.allclose(model.high_part(x)[1:2], model.high_part(x[1:2]), atol=1e-6)


def test_dropped_bins_are_conjugate() -> None:
    drop = torch.rand((1, 1, 32, 32), generator=chance()) < 0.3
    bins = torch.fft.ifftshift(model._conjugate(drop), (-2, -1)).float()

    assert torch.fft.ifft2(bins).imag.abs().max() < 1e-6
    assert abs(bins.mean() - 0.3) < 0.05


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ConfigError, match="spatial_abs"):
        mask_frequencies(noise(), variant="blur")  # type: ignore[arg-type]


# -- attention -------------------------------------------------------------------------------------


def test_maps_of_attention_span_zero_to_one() -> None:
    maps = attention(tiny(), noise(4, 40))

    assert maps.shape == (4, 40, 40)
    assert maps.amin((1, 2)).tolist() == [0] * 4
    assert maps.amax((1, 2)).tolist() == [1] * 4


def test_a_flat_map_is_zero() -> None:
    net = tiny()
    torch.nn.init.zeros_(net.head.weight)

    assert attention(net, noise(2, 40)).abs().max() == 0


class RedTrunk(torch.nn.Module):
    def attend(self, x: Tensor) -> Tensor:
        return x[:, :1].clone()


class RedDetector(torch.nn.Module):
    """A detector whose attention layer is the red of the image, and whose forged score is its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = RedTrunk()

    def classify(self, a: Tensor) -> Tensor:
        return torch.stack([torch.full((len(a),), -9.0), a.mean((1, 2, 3))], 1)


def attended(*values: float) -> list[float]:
    """The map of an image of these values in a row, which is drawn in no other size."""
    row = torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1).expand(1, 3, 2, -1)
    found = attention(RedDetector(), row)  # type: ignore[arg-type]
    return [round(value, 5) for value in found[0, 0].tolist()]


def test_what_speaks_against_it_keeps_its_order_in_the_map() -> None:
    """A ReLU would make all of it 0."""
    assert attended(-4, -2, 0, 4) == [0, 0.25, 0.5, 1]


@pytest.mark.parametrize(
    ("span", "expected"), [pytest.param(1e-6, [0, 0], id="rounding"), pytest.param(1e-3, [0, 1], id="a map")]
)
def test_a_span_of_rounding_errors_is_flat(span: float, expected: list[float]) -> None:
    """The slope of a mean over four values is a quarter."""
    assert attended(0, span) == expected


def test_agreeing_costs_nothing_and_changes_no_statistics() -> None:
    net = tiny().train()
    teacher = model.frozen(net)
    before = {name: value.clone() for name, value in net.named_buffers()}

    loss = model.batch_consistency(net, noise(4, 40), teacher, noise(4, 40))

    assert loss.item() == 0
    assert model.view_consistency(net, noise(4, 40), teacher, noise(4, 40)).item() == 0
    assert all(torch.equal(before[name], value) for name, value in net.named_buffers())
    assert net.training


def test_consistency_reaches_conv3_and_what_lies_before_alone() -> None:
    net = tiny()
    teacher = model.frozen(tiny(seed=1))

    torch.autograd.backward(model.batch_consistency(net, noise(4, 40), teacher, noise(4, 40, seed=1)))

    reached = {name: p.grad is not None and bool(p.grad.abs().sum() > 0) for name, p in net.named_parameters()}
    behind = ("trunk.bn3", "trunk.conv4", "trunk.bn4", "head")
    assert not any(value for name, value in reached.items() if name.startswith(behind))
    convolutions = [name for name, p in net.named_parameters() if p.dim() == 4 and not name.startswith(behind)]
    assert len(convolutions) > 15
    assert all(reached[name] for name in convolutions)
    assert all(p.grad is None for p in teacher.parameters())


# -- losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cost", "flooded", "slope"),
    [(0.10, 0.10, 1.0), (0.04, 0.04, None), (0.01, 0.07, -1.0)],
)
def test_flooding(cost: float, flooded: float, slope: float | None) -> None:
    loss = torch.tensor(cost, requires_grad=True)

    torch.autograd.backward(flood(loss))

    assert flood(loss).item() == pytest.approx(flooded)
    assert slope is None or (loss.grad is not None and loss.grad.item() == slope)


def test_a_blind_detector_costs_ln_2() -> None:
    loss = model.classification(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0]))

    assert loss.item() == pytest.approx(math.log(2))


# -- test-time adaptation --------------------------------------------------------------------------


def test_a_video_s_score_does_not_depend_on_the_videos_before_it() -> None:
    net = tiny()
    videos = {seed: noise(3, 40, seed=seed) for seed in (1, 2)}
    source = noise(4, 40, seed=3), torch.tensor([0, 1, 0, 1])

    def scores(order: tuple[int, ...]) -> dict[int, list[float]]:
        return {
            key: model.video_logits(model.adapt(net, videos[key], lambda: source, generator=chance(key)), videos[key])
            .numpy()
            .round(6)
            .tolist()
            for key in order
        }

    weights = {name: value.clone() for name, value in net.state_dict().items()}

    assert scores((1, 2)) == scores((2, 1))
    assert all(torch.equal(weights[name], value) for name, value in net.state_dict().items())


def test_attention_on_the_video_is_what_adapts() -> None:
    """The source, its masks and the weights are the same: only what the frames look like differs."""
    net, source = tiny(), (noise(4, 40, seed=3), torch.tensor([0, 1, 0, 1]))

    adapted = [
        model.adapt(net, noise(3, 40, seed=seed), lambda: source, steps=1, generator=chance()) for seed in (1, 2, 1)
    ]

    first, other, again = (one.state_dict()["trunk.conv3.0.weight"] for one in adapted)
    assert torch.equal(first, again) and not torch.equal(first, other)


# -- export ----------------------------------------------------------------------------------------


def test_the_class_map_is_grad_cam_of_the_last_layer_without_its_backward_pass() -> None:
    net = tiny().eval()
    x = noise(2, 40)
    last = net.trunk.finish(net.trunk.attend(x)).detach().requires_grad_()
    logits = net.head(last.mean((2, 3)))
    (slope,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), last)
    by_gradient = (slope.mean((2, 3), keepdim=True) * last).sum(1, keepdim=True).relu()

    found = model.Exported(net)(x)

    assert torch.allclose(found["cam_fake"], by_gradient * last.shape[-1] * last.shape[-2], atol=1e-5)
    assert torch.allclose(found["fake_prob"][:, 0], torch.softmax(found["logits"], 1)[:, 1], atol=1e-6)


# -- networks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "widths", "size"),
    [
        pytest.param({}, [4, 4, 4], 8, id="as it was"),
        pytest.param({"stride": 2}, [4, 4, 4], 4, id="smaller"),
        pytest.param({"out": 6}, [4, 6, 6], 8, id="wider at first"),
        pytest.param({"out": 6, "grow_last": True}, [4, 4, 6], 8, id="wider at last"),
    ],
)
def test_a_block_grows_in_the_first_or_in_the_last_of_its_convolutions(
    options: dict[str, Any], widths: list[int], size: int
) -> None:
    block = model.Block(4, options.pop("out", 4), 2, **options)

    convolutions = [part[1] for part in block.path if isinstance(part, model.Separable)]

    assert [convolutions[0].in_channels, *(part.out_channels for part in convolutions)] == widths
    assert block(torch.zeros(1, 4, 8, 8)).shape == (1, widths[-1], size, size)
    assert isinstance(block.skip, torch.nn.Identity) == (widths[-1] == 4 and size == 8)


def test_the_first_block_begins_without_a_relu() -> None:
    first, later = (model.Block(4, 4, 2, first_relu=relu) for relu in (False, True))

    assert [type(block.path[0]) for block in (first, later)] == [model.Separable, torch.nn.ReLU]


@pytest.mark.parametrize(("name", "trunk"), [("xception-mini", Xception), ("mobilenet", model.MobileTrunk)])
@pytest.mark.parametrize("dense", [False, True])
def test_trunks_by_name(name: str, trunk: type[torch.nn.Module], dense: bool) -> None:
    net = model.build(name, dense=dense).eval()

    with torch.no_grad():
        found = net(noise(2, 64))
    assert isinstance(net.trunk, trunk) and (net.dense is not None) == dense
    assert found.shape == (2, 2)


def test_a_trunk_that_is_not_known() -> None:
    with pytest.raises(ConfigError, match="expected xception, xception-mini or mobilenet, got 'vgg'"):
        model.build("vgg")


def test_evidence_comes_with_the_same_logits() -> None:
    net = model.build("xception-mini", dense=True).eval()
    x = noise(2, 48)

    with torch.no_grad():
        logits, evidence = net.with_evidence(x)
        assert torch.allclose(logits, net(x), atol=1e-6)

    assert evidence.shape[:2] == (2, 1) and evidence.shape[2:] == net.trunk.attend(x).shape[2:]


@pytest.mark.parametrize(("symmetric", "bins"), [(True, 81), (False, 100)])
def test_how_many_bins_are_low(symmetric: bool, bins: int) -> None:
    """Half a block of 5: 9 wide about the mean, or 10 with one side longer."""
    block = model._low_block(32, 48, 5, symmetric=symmetric)

    assert block.sum() == bins and block[16, 24]
    assert torch.equal(block, block.flip((0, 1)).roll((1, 1), (0, 1))) == symmetric


def test_modes_come_back_as_they_were_even_after_an_error() -> None:
    net = tiny().train()
    net.trunk.bn3.eval()
    modes = {name: part.training for name, part in net.named_modules()}

    with pytest.raises(ValueError, match="broken"), model.evaluating(net):
        assert not any(part.training for part in net.modules())
        raise ValueError("broken")

    assert {name: part.training for name, part in net.named_modules()} == modes


@pytest.mark.parametrize(
    ("smoothing", "cost"),
    [(0.0, math.log(4 / 3)), (0.2, math.log(4) - 0.9 * math.log(3)), (1.0, math.log(4) - 0.5 * math.log(3))],
)
def test_smoothing_takes_a_part_of_the_label_away(smoothing: float, cost: float) -> None:
    """Three to one for a forgery, which it is: a smoothing of 0.2 asks for 0.9."""
    logits = torch.tensor([[0.0, math.log(3)]])

    assert model.classification(logits, torch.tensor([True]), smoothing=smoothing).item() == pytest.approx(cost)


def test_a_video_is_the_mean_of_its_frames_however_they_are_batched() -> None:
    net, frames = tiny().train(), noise(5, 40) * torch.arange(5.0).view(5, 1, 1, 1)

    whole, parts = (model.video_logits(net, frames, batch=batch) for batch in (32, 2))

    with torch.no_grad():
        alone = torch.stack([net.eval()(frame[None])[0] for frame in frames]).mean(0)
    assert torch.allclose(whole, alone, atol=1e-5) and torch.allclose(parts, alone, atol=1e-5)


def test_a_teacher_is_a_copy() -> None:
    net = tiny().train()
    teacher = model.frozen(net)

    with torch.no_grad():
        net.head.weight.zero_()

    assert teacher.head.weight.abs().sum() > 0 and not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters()) and all(p.requires_grad for p in net.parameters())


def test_adapting_changes_a_copy_and_ends_in_eval_mode() -> None:
    net = tiny()
    before = net.head.weight.clone()

    adapted = model.adapt(net, noise(2, 40), lambda: (noise(2, 40), torch.tensor([0, 1])), generator=chance())

    assert torch.equal(net.head.weight, before) and not torch.equal(adapted.head.weight, before)
    assert not adapted.training


def test_an_example_is_the_same_each_time() -> None:
    first, again = (model.example(16, n=3)["face"] for _ in range(2))

    assert torch.equal(first, again) and first.shape == (3, 3, 16, 16) and 0 <= first.min() < first.max() <= 1
