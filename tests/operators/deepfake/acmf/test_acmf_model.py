from __future__ import annotations

import math

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
