from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from engines import EngineError, open_engine
from engines.card import Tolerance
from engines.parity import compare, draw_inputs, require_parity
from engines.runtime import Axis, OpenEngine, Tensor
from tests.engines.small_network import small_model, write_onnx, write_program

FINE = Tolerance(absolute=1e-4, relative=1e-3)


def opened(path: Path, *, one: float = 1.0) -> OpenEngine:
    """The small network with another subtrahend."""
    model = small_model()
    model.graph.initializer[1].float_data[0] = one
    onnx.save(model, path)
    return open_engine(path)


def test_two_runtimes_agree(tmp_path: Path) -> None:
    one, other = open_engine(write_onnx(tmp_path)), open_engine(write_program(tmp_path), trusted=True)

    found = compare(one, other, draw_inputs(one.inputs), Tolerance(absolute=0, relative=0))

    assert [difference.output for difference in found] == ["sum", "moved"]
    assert all(difference.agrees for difference in found)


def test_the_largest_difference_is_found(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "one.onnx"), opened(tmp_path / "other.onnx", one=1.5)

    total, moved = compare(one, other, draw_inputs(one.inputs), Tolerance(absolute=0.25, relative=0))

    assert (total.largest, moved.largest) == (0, 0.5)
    assert (total.agrees, moved.agrees) == (True, False)
    assert moved.excess == 2  # 0.5 where 0.25 is allowed


def test_not_a_number_on_one_side_is_apart(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "one.onnx"), opened(tmp_path / "other.onnx", one=np.nan)

    apart = compare(one, other, draw_inputs(one.inputs), FINE)
    same = compare(other, other, draw_inputs(one.inputs), FINE)

    assert [difference.agrees for difference in apart] == [True, False]
    assert all(difference.agrees for difference in same)


def test_an_export_that_is_apart_is_refused(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "one.onnx"), opened(tmp_path / "other.onnx", one=1.5)
    found = compare(one, other, draw_inputs(one.inputs), FINE)

    with pytest.raises(
        EngineError, match=r"small\.plan is refused: .* within 0\.0001 \+ 0\.001 \* \|value\|, got 'moved' by 0\.5"
    ):
        require_parity("small.plan", found, FINE)


def test_other_outputs_cannot_be_compared(tmp_path: Path) -> None:
    model = small_model()
    del model.graph.output[1]
    onnx.save(model, tmp_path / "less.onnx")

    with pytest.raises(EngineError, match=r"same outputs of both, got \['moved', 'sum'\] and \['sum'\]"):
        compare(opened(tmp_path / "one.onnx"), open_engine(tmp_path / "less.onnx"), [], FINE)


def test_drawn_inputs() -> None:
    free = Tensor("x", np.dtype(np.uint8), (Axis(), Axis(3, 3), Axis(), Axis(1, 32)))

    small, large = draw_inputs({"x": free}, batches=(1, 5))
    (given,) = draw_inputs({"x": free}, batches=(2,), shapes={"x": (1, 3, 40, 16)})

    assert (small["x"].shape, large["x"].shape) == ((1, 3, 64, 32), (5, 3, 64, 32))
    assert given["x"].shape == (2, 3, 40, 16)
    assert small["x"].dtype == np.uint8
