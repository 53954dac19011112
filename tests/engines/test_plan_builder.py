"""What TensorRT-RTX's parser and builder do without a GPU; plans are run by the contract's tests marked `gpu`."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import helper

from engines import EngineError
from engines.card import Plan, Precision, Range
from engines.int8 import quantise
from engines.plan_builder import build
from engines.plans import Platform, plan_of
from engines.precision import read_model, with_precision
from tests.engines.small_network import PLAN, small_model, write_onnx
from tests.engines.test_precision import convolutional, feeds
from tests.model_files import model_file

trt = pytest.importorskip("tensorrt_rtx")
CONV_PLAN = Plan(profile={"x": Range(least=(1, 3, 8, 8), usual=(2, 3, 8, 8), most=(4, 3, 8, 8))}, workspace_mb=64)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
def test_every_precision_is_built(precision: Precision) -> None:
    model = convolutional()
    model = quantise(model, feeds(), target="tensorrt") if precision == "int8" else with_precision(model, precision)

    assert len(build(model, CONV_PLAN).plan) > 1000


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []

    build(small_model(), PLAN, progress=lambda *step: told.append(step))

    assert len({phase for phase, _, _ in told}) > 1
    assert all(0 <= done <= steps for _, done, steps in told)


def test_an_operator_that_is_not_covered_is_named() -> None:
    model = small_model()
    model.graph.node[0].CopyFrom(helper.make_node("Teleport", ["a", "b"], ["sum"], name="beam"))

    with pytest.raises(EngineError, match=r"does not take the model: .*beam"):
        build(model, PLAN)


@pytest.mark.parametrize(
    ("profile", "complaint"),
    [
        pytest.param({"a": (1, 3)}, r"expected the inputs \['a', 'b'\], got \['a'\]", id="missing"),
        pytest.param({"a": (1, 3), "b": (1, 4)}, r"input 'b': expected \(-1, 3\)", id="size"),
        pytest.param({"a": (1, 3), "b": (1, 3, 1)}, r"input 'b': expected \(-1, 3\)", id="rank"),
    ],
)
def test_a_profile_that_does_not_fit(profile: dict[str, tuple[int, ...]], complaint: str) -> None:
    plan = Plan(profile={name: Range(least=shape, usual=shape, most=shape) for name, shape in profile.items()})

    with pytest.raises(EngineError, match=complaint):
        build(small_model(), plan)


def test_a_real_plan_is_cached(tmp_path: Path) -> None:
    model = write_onnx(tmp_path)

    plans = [plan_of(model, Platform.of(None)) for _ in range(2)]

    assert plans[0] == plans[1]
    assert plans[0].stat().st_size > 1000


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize(("name", "tensor"), [("centerface", "input.1"), ("yunet", "input")])
def test_detectors_are_covered(name: str, tensor: str, precision: Precision) -> None:
    model = with_precision(read_model(model_file(name)), precision)
    profile = {tensor: Range(least=(1, 3, 32, 32), usual=(1, 3, 64, 64), most=(1, 3, 64, 64))}

    assert len(build(model, Plan(profile=profile)).plan) > 100_000
