"""The network against its formulas, and the losses against values worked out by hand."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from engines import ConfigError
from operators.reversible.proface_s import model
from operators.reversible.proface_s.model import DenseNet, ProFaceS, SecureCoupling
from operators.reversible.proface_s.train import to_signed
from tests.operators.reversible.proface_s.conftest import drawn


def lively(growth: int = 4, scale: float = 0.03) -> ProFaceS:
    """A network that changes what it is given: random weights, the last convolutions too."""
    torch.manual_seed(0)
    network = ProFaceS(growth)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return network.eval()


def pair(side: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    face, cover = (torch.from_numpy(to_signed(drawn(2, side, seed=seed))) for seed in (0, 9))
    return face, cover, model.random_maps(2, side, torch.Generator().manual_seed(0))


# -- Haar ------------------------------------------------------------------------------------------


def test_haar_is_undone_and_keeps_energy() -> None:
    x = torch.randn(2, 3, 16, 24)

    u = model.haar(x)

    assert u.shape == (2, 12, 8, 12)
    assert (model.ihaar(u) - x).abs().max() <= 1e-6
    assert u.square().sum().item() == pytest.approx(x.square().sum().item(), rel=1e-6)


@pytest.mark.parametrize(
    ("pixel", "bands"),
    [((0, 0), (1, -1, -1, 1)), ((1, 0), (1, -1, 1, -1)), ((0, 1), (1, 1, -1, -1)), ((1, 1), (1, 1, 1, 1))],
    ids=["a, top left", "b, bottom left", "c, top right", "d, bottom right"],
)
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_bands_of_one_pixel(pixel: tuple[int, int], bands: tuple[int, ...], channel: int) -> None:
    """LL, HL, LH and HH, each of all channels, as the reference orders them."""
    x = torch.zeros(1, 3, 4, 4)
    x[0, channel, 2 + pixel[0], pixel[1]] = 1

    u = model.haar(x)

    assert u[0, channel::3, 1, 0].tolist() == [band / 2 for band in bands]
    assert u.abs().sum() == 2


# -- network ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("growth", "count"), [(32, 1_073_040), (8, 159_504)])
def test_parameters(growth: int, count: int) -> None:
    network = ProFaceS(growth)

    assert sum(parameter.numel() for parameter in network.parameters()) == count
    convs = [network.get_submodule(f"inv_blocks.0.r.conv{number}") for number in range(1, 6)]
    assert [conv.in_channels for conv in convs] == [16 + growth * number for number in range(5)]
    assert [conv.out_channels for conv in convs] == [growth] * 4 + [12]


def test_it_begins_as_the_identity() -> None:
    face, cover, key = pair()
    network = ProFaceS(8)

    carrier = network.protect(face, cover, key)

    assert (carrier - cover).abs().max() <= 1e-6
    assert torch.equal(torch.round((carrier + 1) * 127.5), torch.round((cover + 1) * 127.5))
    first = torch.cat([p.flatten() for n, p in network.named_parameters() if "conv5" not in n])
    assert first.std().item() == pytest.approx(0.01, rel=0.03)
    assert all(not p.any() for n, p in network.named_parameters() if "conv5" in n)


def test_a_block_is_what_the_paper_says() -> None:
    block = lively().inv_blocks[1]
    assert isinstance(block, SecureCoupling)
    u, v, k = torch.randn(1, 12, 4, 4), torch.randn(1, 12, 4, 4), torch.randn(1, 4, 4, 4)

    def scale(s: Tensor) -> Tensor:
        return torch.exp(2 * 2 * (torch.sigmoid(s) - 0.5))

    vk = torch.cat([v, k], 1)
    carrier = scale(block.p(vk)) * u + block.f(vk)
    uk = torch.cat([carrier, k], 1)
    secret = scale(block.r(uk)) * v + block.y(uk)
    found = block(u, v, k)

    torch.testing.assert_close(found[0], carrier)
    torch.testing.assert_close(found[1], secret)


def test_a_subnet_is_dense_and_leaks_a_hundredth() -> None:
    torch.manual_seed(0)
    net = DenseNet(16, 12, 3)
    torch.nn.init.normal_(net.conv5.weight)
    x = torch.randn(1, 16, 5, 5)

    known = x
    for number in range(1, 5):
        y = net.get_submodule(f"conv{number}")(known)
        known = torch.cat([known, torch.where(y > 0, y, 0.01 * y)], 1)

    torch.testing.assert_close(net(x), net.conv5(known))


def test_scales_are_bounded() -> None:
    scale = torch.exp(model.log_scale(torch.tensor([-1e4, 0.0, 1e4])))

    assert scale.tolist() == pytest.approx([math.exp(-2), 1, math.exp(2)])


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-4), (torch.float16, 0.1)])
def test_with_the_true_remainder_it_is_inverted(dtype: torch.dtype, most: float) -> None:
    face, cover, key = pair()
    network = lively().to(dtype)
    u, v, k = (model.haar(x.to(dtype)) for x in (cover, face, key))

    carrier, rest = network.couple(u, v, k)
    again = network.uncouple(carrier, rest, k)

    assert (carrier - u).abs().max() > 0.02
    assert (again[0] - u).abs().max() <= most and (again[1] - v).abs().max() <= most


def test_recovery_knows_no_remainder() -> None:
    """Nobody can hand it one, and `protect` gives none."""
    face, cover, key = pair()
    network = lively()

    carrier = network.protect(face, cover, key)

    assert isinstance(carrier, Tensor) and carrier.shape == cover.shape
    assert list(inspect.signature(network.recover).parameters) == ["protected", "key_map"]
    k = model.haar(key)
    u, v = network.uncouple(model.haar(carrier), torch.cat([k, k, k], 1), k)
    face_again, cover_again = network.recover(carrier, key)
    torch.testing.assert_close(face_again, model.ihaar(v))
    torch.testing.assert_close(cover_again, model.ihaar(u))


def test_rough_computation_is_near_and_can_be_taken_back() -> None:
    face, cover, key = pair()
    network = lively()
    exact = network.protect(face, cover, key)

    network.compute_roughly(True)
    rough = network.protect(face, cover, key)
    network.compute_roughly(False)

    assert rough.dtype == torch.float32 and 0 < (rough - exact).abs().mean() < 0.01
    assert torch.equal(network.protect(face, cover, key), exact)


# -- the authors' weights --------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", [None, "state_dict", "net"])
def test_published_weights_are_read_by_their_names(wrapper: str | None, tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = ProFaceS()
    torch.nn.init.normal_(network.get_parameter("inv_blocks.2.p.conv5.weight"))
    content = {f"model.{name}": value for name, value in network.state_dict().items()}
    names = {f"model.inv_blocks.{i}.{n}.conv{c}.{w}" for i in range(3) for n in "ryfp" for c in range(1, 6) for w in ("weight", "bias")}  # fmt: skip  # noqa: E501
    file = tmp_path / "weights.pth"
    torch.save({wrapper: content} if wrapper else content, file)

    found = model.reference_weights(file)

    assert set(content) == names
    assert all(torch.equal(a, b) for a, b in zip(found.state_dict().values(), content.values(), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {name: v for name, v in w.items() if ".0.r.conv1.bias" not in name}, "got 1073008"),
        (lambda w: {name.replace(".0.r.", ".0.q."): v for name, v in w.items()}, "published network's weights"),
        (lambda _: {}, "expected 1073040 numbers .* got 0"),
        (lambda _: [1, 2], "got 0"),
        (lambda _: {f"model.{n}": v for n, v in ProFaceS(8).state_dict().items()}, "got 159504"),
    ],
    ids=["one missing", "another name", "nothing", "a list", "a smaller network"],
)
def test_what_is_not_the_published_network(change: object, message: str, tmp_path: Path) -> None:
    weights = {f"model.{name}": value for name, value in ProFaceS().state_dict().items()}
    file = tmp_path / "weights.pth"
    torch.save(change(weights), file)  # type: ignore[operator]

    with pytest.raises(ConfigError, match=message):
        model.reference_weights(file)


@pytest.mark.parametrize("content", [None, b"", b"no weights"])
def test_what_is_no_file_of_weights(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match="expected a PyTorch file of weights"):
        model.reference_weights(file)


# -- keys and carriers -----------------------------------------------------------------------------


def test_wrong_maps_are_other_maps_or_none_or_half_of_one() -> None:
    maps = model.wrong_maps(2000, 2, torch.Generator().manual_seed(0))

    sizes = maps.abs().amax((1, 2, 3))
    assert maps.abs().amin((1, 2, 3)).equal(sizes)
    assert [(sizes == size).float().mean().item() for size in (1, 0.5, 0)] == pytest.approx([0.7, 0.15, 0.15], abs=0.03)


def test_eight_bits_are_what_a_file_keeps_and_let_the_gradient_pass() -> None:
    carrier = torch.tensor([-2.0, -1.0, -0.5, 0.001, 0.999, 2.0], requires_grad=True)

    found = model.eight_bits(carrier)
    torch.autograd.backward(found.sum())

    levels = (found.detach() + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert levels.round().tolist() == [0, 0, 64, 128, 255, 255]
    assert carrier.grad is not None and carrier.grad.tolist() == [1] * 6


# -- losses ----------------------------------------------------------------------------------------


def test_gradients_see_edges_and_not_the_mean() -> None:
    a = torch.zeros(1, 3, 4, 4)
    ramp = torch.arange(4.0).expand(1, 3, 4, 4)

    assert model.gradient_l1(a, a + 0.7).item() == 0
    assert model.gradient_l1(a, ramp).item() == 1
    assert model.gradient_l1(a, ramp.transpose(2, 3)).item() == 1
    assert model.image_loss(a, ramp, model.gradient_l1, 2.0).item() == pytest.approx(2 + 1.5)


def test_published_hinges() -> None:
    """By hand: distances of 0 and 1 look, the margin 1.2; T_1 sums over the columns, so eight of them satisfy it."""
    x, far = torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 1.0)

    def lp(a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean((1, 2, 3))

    assert model.triplet(x, x, far, lp).item() == pytest.approx(0.2)
    assert model.triplet(x, far, x, lp).item() == pytest.approx(2.2)
    assert model.triplet_l1(x, x, far).item() == 0
    assert model.triplet_l1(x, x, 0.1 * far).item() == pytest.approx(0.4, abs=1e-4)
    assert model.paper_wrong_key("random", x, far, x, far, lp).item() == pytest.approx(0.2)
    # Obfs mode: the right key gives the face and the wrong one the cover, or the other way round
    assert model.paper_wrong_key("obfs", x, far, x, far, lp).item() == pytest.approx(0.2 + 0.2)
    assert model.paper_wrong_key("obfs", x, far, far, x, lp).item() == pytest.approx(2.2 + 2.2)


def test_every_patch_of_a_wrong_picture_has_to_be_far_and_unlike() -> None:
    face = torch.from_numpy(to_signed(drawn(1, 32)))
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1

    right, bright = model.patch_wrong_key(face, face).item(), model.patch_wrong_key(face, face + 0.5).item()
    unlike = model.patch_wrong_key(face, torch.sign(-face) * torch.ones_like(face)).item()

    assert right > 1.2 and bright > 0.3 and model.patch_wrong_key(face, -noise) < right / 2
    assert unlike < bright


def test_a_few_outliers_do_not_make_a_right_picture_wrong() -> None:
    """What meets the published hinge: most of the face is there, and a few values are huge."""
    face = torch.from_numpy(to_signed(drawn(1, 32)))
    wild = face.clone()
    wild[..., :1, ::4] = 1e3

    assert model.triplet_l1(face, face, wild).item() < 1.2
    assert model.patch_wrong_key(face, wild) > 0.9 * model.patch_wrong_key(face, face)


def test_correlation_of_patches_by_hand() -> None:
    a = torch.rand(1, 1, 8, 16, generator=torch.Generator().manual_seed(0))

    same, inverse = model.patch_correlation(a, a), model.patch_correlation(a, 1 - a)
    expected = np.corrcoef(a[0, 0, :, :8].numpy().ravel(), (a[0, 0, :, :8] ** 2).numpy().ravel())[0, 1]

    assert same.flatten().tolist() == pytest.approx([1, 1], abs=0.01)
    assert inverse.flatten().tolist() == pytest.approx([-1, -1], abs=0.01)
    assert model.patch_correlation(a, a**2)[0, 0, 0, 0].item() == pytest.approx(expected, abs=0.01)
    assert model.patch_correlation(a, torch.zeros_like(a)).abs().max() == 0


def test_psnr_is_clipped_as_it_is_seen() -> None:
    a = torch.zeros(2, 3, 8, 8)

    assert model.psnr(a, a) == pytest.approx(100)
    assert model.psnr(a, a + 0.2) == pytest.approx(20)
    assert model.psnr(a, a + 50) == pytest.approx(10 * math.log10(4))
    assert F.mse_loss(model.luminance(torch.ones(1, 3, 1, 1)), torch.ones(1, 1, 1, 1)) < 1e-6
