from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from engines import Engine, EngineError
from engines.card import Gate, Target
from engines.int8 import exact_here, quantise, quantise_within
from engines.precision import precision_of
from tests.engines.small_network import small_model
from tests.engines.test_precision import convolutional, feeds, run

GATE = Gate(metric="recall", max_drop=0.005)


class Metric:
    """Answers with the given figures in turn, after it has seen that the engine runs."""

    def __init__(self, *figures: float) -> None:
        self.figures = list(figures)

    def __call__(self, engine: Engine) -> float:
        assert np.isfinite(engine(**next(feeds(1)))["y"]).all()
        return self.figures.pop(0)


def unfused(model: onnx.ModelProto) -> NDArray[np.float32]:
    """What the rounded numbers give, computed in float: int8 kernels saturate on CPUs without VNNI."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], dict(next(feeds(1))))[0])


@pytest.mark.parametrize("target", ["cpu", "tensorrt"])
def test_int8_is_close(target: Target) -> None:
    model = convolutional()

    small = quantise(model, feeds(), target=target)

    assert precision_of(small) == "int8"
    assert np.abs(unfused(small) - run(model)).max() < 0.05 * np.abs(run(model)).max()


def test_weights_have_a_scale_per_channel() -> None:
    small = quantise(convolutional(), feeds())

    scales = {tensor.name: tuple(tensor.dims) for tensor in small.graph.initializer if tensor.name.endswith("_scale")}

    assert scales["w_scale"] == (16,)


def test_accepted_within_the_gate() -> None:
    model, judged = quantise_within(GATE, Metric(0.900, 0.896), convolutional(), feeds())

    assert precision_of(model) == "int8"
    assert (judged.fp32, judged.int8) == (0.900, 0.896)


def test_refused_beyond_the_gate() -> None:
    with pytest.raises(EngineError, match=r"int8 is refused: recall fell from 0\.9000 to 0\.8900.*at most 0\.005"):
        quantise_within(GATE, Metric(0.90, 0.89), convolutional(), feeds())


@pytest.mark.parametrize(
    ("flags", "exact"),
    [("fpu avx2 avx512_vnni", True), ("avx2 avx_vnni", True), ("asimd asimddp", True), ("avx2 avx512f", False)],
)
def test_cpus_that_do_not_saturate(tmp_path: Path, flags: str, exact: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\nflags : {flags}\n")

    assert exact_here(cpuinfo) == exact


def test_ranges_are_kept(tmp_path: Path) -> None:
    model, ranges = convolutional(), tmp_path / "ranges.json"

    first = quantise(model, feeds(), ranges=ranges)
    again = quantise(model, [], ranges=ranges)

    assert np.array_equal(run(first), run(again))


def test_nothing_to_calibrate_with() -> None:
    with pytest.raises(EngineError, match="cannot be calibrated"):
        quantise(convolutional(), [])


def test_only_float32_is_quantised() -> None:
    small = quantise(convolutional(), feeds())

    with pytest.raises(EngineError, match="expected a float32 model to quantise, got int8"):
        quantise(small, feeds())


def test_a_network_without_anything_to_quantise() -> None:
    rows = {name: np.ones((2, 3), np.float32) for name in ("a", "b")}

    quantised = quantise(small_model(), [rows])

    assert {output.name for output in quantised.graph.output} == {"sum", "moved"}
