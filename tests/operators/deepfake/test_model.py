"""What several detectors are built of: a trunk, normalisation, calibration in the graph, and two losses."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engines import EngineError
from operators.deepfake.calibration import KNOTS, Curve, RisingLine, Temperature
from operators.deepfake.model import (
    Calibrated,
    InvertedResidual,
    MobileNetCut,
    Normalise,
    mask_loss,
    pair_ranking,
    placed,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("channels", "out", "stride", "adds"),
    [(8, 8, 1, True), (8, 8, 2, False), (8, 12, 1, False)],
    ids=["as it was", "smaller", "wider"],
)
def test_a_block_adds_what_it_was_given_where_the_shapes_allow_it(
    channels: int, out: int, stride: int, adds: bool
) -> None:
    """With a last convolution of zeros nothing but the shortcut is left."""
    block = InvertedResidual(channels, out, stride=stride, expansion=2).eval()
    x = torch.randn((1, channels, 6, 6), generator=torch.Generator().manual_seed(0))
    last = block.conv[-2]
    assert isinstance(last, torch.nn.Conv2d)
    torch.nn.init.zeros_(last.weight)

    found = block(x)

    assert found.shape == (1, out, 6 // stride, 6 // stride)
    assert torch.equal(found, x if adds else torch.zeros_like(found))


def test_the_trunk_is_cut_at_stride_16() -> None:
    trunk = MobileNetCut().eval()

    assert trunk(torch.zeros(2, 3, 64, 96)).shape == (2, MobileNetCut.width, 4, 6)
    assert sum(p.numel() for p in trunk.parameters()) == 542_528


def test_weights_of_the_whole_network_are_loaded_up_to_the_cut(tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = {**MobileNetCut().state_dict(), "classifier.weight": torch.zeros(3)}
    torch.save(whole, tmp_path / "mobilenet.pt")

    loaded = MobileNetCut(tmp_path / "mobilenet.pt").state_dict()

    assert all(torch.equal(value, whole[name]) for name, value in loaded.items())


@pytest.mark.parametrize("harm", ["missing", "text", "empty", "a layer less"])
def test_weights_that_are_none(harm: str, tmp_path: Path) -> None:
    file = tmp_path / "mobilenet.pt"
    if harm == "a layer less":
        state = MobileNetCut().state_dict()
        state.pop("features.0.0.weight")
        torch.save(state, file)
    elif harm != "missing":
        file.write_bytes(b"no weights" if harm == "text" else b"")

    with pytest.raises(EngineError, match=r"mobilenet\.pt: expected ImageNet weights of MobileNetV2"):
        MobileNetCut(file)


def test_a_module_is_placed_channels_last() -> None:
    module = placed(torch.nn.Conv2d(3, 8, 3), CPU)

    assert module.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_mean_colour_is_nothing_and_a_deviation_more_is_one() -> None:
    normalise = Normalise()
    colours = torch.tensor([[0.485, 0.456, 0.406], [0.485 + 0.229, 0.456 + 0.224, 0.406 + 0.225]])

    found = normalise(colours.view(2, 3, 1, 1)).view(2, 3)

    assert torch.allclose(found, torch.tensor([[0.0] * 3, [1.0] * 3]), atol=1e-6)
    assert not normalise.state_dict(), "it is no weight, and old files need not hold it"


# -- calibration in the graph ----------------------------------------------------------------------


def test_which_logit_speaks_for_a_forgery() -> None:
    """Log odds of ln 4 are four fifths."""
    logits = torch.tensor([[math.log(4.0), 0.0]])

    assert [Calibrated(Curve(), fake=fake)(logits).item() for fake in (0, 1)] == pytest.approx([0.8, 0.2])


def test_scale_bias_and_steps_by_hand() -> None:
    """2 * 1 - 2 = 0 gives 0.5, where the steps, level at 0.3, take nineteen twentieths: 0.285 + 0.025."""
    level = RisingLine(tuple(torch.linspace(0, 1, KNOTS).tolist()), (0.3,) * KNOTS)

    found = Calibrated(Curve(Temperature(2.0, -2.0), level), fake=1)(torch.tensor([[0.0, 1.0]]))

    assert found.shape == (1, 1) and found.item() == pytest.approx(0.31)


def test_a_curve_comes_back_out_of_a_network() -> None:
    x, y = (tuple(number / last for number in range(KNOTS)) for last in (32, 64))
    curve = Curve(Temperature(0.5, 0.25), RisingLine(x, y))
    other = Calibrated(Curve(), fake=0)

    other.load_state_dict(Calibrated(curve, fake=0).state_dict())

    assert other.curve == curve


# -- losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fake", "real", "cost"),
    [
        pytest.param([0.0, 3.0], [0.0, 3.0], math.log(2), id="blind"),
        pytest.param([math.log(3)], [0.0], math.log(4 / 3), id="three to one: -log 3/4"),
        pytest.param([0.0], [math.log(3)], math.log(4), id="the wrong way round: -log 1/4"),
        pytest.param([50.0], [0.0], 0.0, id="sure"),
    ],
)
def test_ranking_of_pairs(fake: list[float], real: list[float], cost: float) -> None:
    assert pair_ranking(torch.tensor(fake), torch.tensor(real)).item() == pytest.approx(cost, abs=1e-6)


@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(-5, 5))
def test_ranking_knows_differences_alone(fake: float, real: float, shift: float) -> None:
    plain, shifted = (pair_ranking(torch.tensor([fake + by]), torch.tensor([real + by])) for by in (0, shift))

    assert plain.item() == pytest.approx(shifted.item(), abs=1e-4) and plain >= 0


@pytest.mark.parametrize(
    ("logit", "changed", "cost"),
    [
        pytest.param(0.0, 0.0, math.log(2), id="blind"),
        pytest.param(0.0, 0.7, math.log(2), id="blind, whatever was changed"),
        pytest.param(math.log(3), 1.0, math.log(4 / 3), id="three to one for a change"),
        pytest.param(math.log(3), 0.0, math.log(4), id="three to one for none"),
        pytest.param(math.log(3), 0.75, math.log(4) - 0.75 * math.log(3), id="three quarters: its entropy"),
    ],
)
def test_loss_of_a_map(logit: float, changed: float, cost: float) -> None:
    maps = torch.full((2, 1, 3, 3), logit), torch.full((2, 1, 12, 12), changed)

    assert mask_loss(*maps).item() == pytest.approx(cost, abs=1e-6)


def test_a_cell_learns_how_much_of_it_was_changed() -> None:
    changed = torch.zeros(1, 1, 4, 4)
    changed[..., :2, :1] = 1  # half of the first of four cells
    evidence = torch.zeros(1, 1, 2, 2, requires_grad=True)

    torch.autograd.backward(mask_loss(evidence, changed))

    assert evidence.grad is not None
    assert evidence.grad.flatten().tolist() == pytest.approx([0, 0.125, 0.125, 0.125])  # (0.5 - share) / 4
