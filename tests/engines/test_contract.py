"""What every runtime has to do: one suite for all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from engines import EngineError, open_engine
from engines.runtime import OpenEngine
from tests.engines.host_plan import HostDevice, HostPlan
from tests.engines.small_network import small_model, write_onnx, write_program


def open_onnx(folder: Path) -> OpenEngine:
    return open_engine(write_onnx(folder))


def open_fixed(folder: Path) -> OpenEngine:
    """A network whose batch is fixed at 3: smaller ones are filled up."""
    onnx.save(small_model(batch=3), folder / "fixed.onnx")
    return open_engine(folder / "fixed.onnx")


def open_program(folder: Path) -> OpenEngine:
    return open_engine(write_program(folder), trusted=True)


def open_twin(_: Path) -> OpenEngine:
    """The adapter to TensorRT over a plan and a device in host memory."""
    trt = pytest.importorskip("tensorrt_rtx")
    from engines.trt import Log, PlanRuntime

    return OpenEngine("small.plan", PlanRuntime(Path("small.plan"), HostPlan(trt), HostDevice(), Log()))


def open_plan(folder: Path) -> OpenEngine:
    return open_engine(write_onnx(folder).with_suffix(".plan"))


@pytest.fixture(
    params=[open_onnx, open_fixed, open_program, open_twin, pytest.param(open_plan, marks=pytest.mark.gpu)],
    ids=["onnx", "fixed-batch", "pt2", "plan-twin", "plan"],
)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> OpenEngine:
    opener: Callable[[Path], OpenEngine] = request.param
    return opener(tmp_path)


def rows(count: int) -> dict[str, Any]:
    a = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    return {"a": a, "b": 100 * a}


def test_tensors_are_named(engine: OpenEngine) -> None:
    assert list(engine.inputs) == ["a", "b"]
    assert list(engine.outputs) == ["sum", "moved"]
    assert {tensor.dtype for tensor in engine.inputs.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_batches_of_any_size(engine: OpenEngine, count: int) -> None:
    """Nine are more than a plan, a program and a fixed batch take at once."""
    given = rows(count)

    out = engine(**given)

    assert list(out) == ["sum", "moved"]
    assert np.array_equal(out["sum"], 101 * given["a"])
    assert np.array_equal(out["moved"], 2 * given["a"] - 1)


def test_inputs_stay_as_they_were(engine: OpenEngine) -> None:
    given = rows(2)
    before = {name: array.copy() for name, array in given.items()}

    engine(**given)["sum"][:] = -1

    assert all(np.array_equal(given[name], before[name]) for name in given)


def test_outputs_stay_after_the_next_call(engine: OpenEngine) -> None:
    first = engine(**rows(2))["sum"]
    before = first.copy()

    engine(**{name: array + 7 for name, array in rows(2).items()})

    assert np.array_equal(first, before)


@pytest.mark.parametrize("lay", [lambda x: x[::-1], np.asfortranarray, lambda x: np.broadcast_to(x[:1], x.shape)])
def test_any_layout(engine: OpenEngine, lay: Callable[[np.ndarray], np.ndarray]) -> None:
    """Reversed, transposed in memory, and read-only without memory of its own."""
    given = {name: lay(array) for name, array in rows(3).items()}

    assert np.array_equal(engine(**given)["sum"], given["a"] + given["b"])


A = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        pytest.param({"a": A, "z": A}, r"expected inputs \['a', 'b'\], got \['a', 'z'\]", id="name"),
        pytest.param({"a": A}, r"expected inputs \['a', 'b'\], got \['a'\]", id="missing"),
        pytest.param(
            {"a": A, "b": A.astype(float)}, r"'b': expected float32 \(any, 3\), got float64 \(2, 3\)", id="dtype"
        ),
        pytest.param({"a": A[:, :2], "b": A}, r"'a': expected float32 \(any, 3\), got float32 \(2, 2\)", id="size"),
        pytest.param({"a": A[0], "b": A}, r"'a': .* got float32 \(3,\)", id="rank"),
        pytest.param({"a": A[:0], "b": A[:0]}, r"'a': .* got float32 \(0, 3\)", id="no rows"),
        pytest.param({"a": A, "b": A[:1]}, r"same rows in all inputs.*'a': 2, 'b': 1", id="rows"),
        pytest.param({"a": A.tolist(), "b": A}, r"'a': expected a numpy or device array, got list", id="list"),
    ],
)
def test_wrong_inputs_are_named(engine: OpenEngine, inputs: dict[str, Any], complaint: str) -> None:
    with pytest.raises(EngineError, match=complaint):
        engine(**inputs)


def test_device_arrays_stay_on_the_device() -> None:
    """Nothing is uploaded, nor comes back as numpy; nine rows are run in three pieces."""
    trt = pytest.importorskip("tensorrt_rtx")
    from engines.trt import Log, PlanRuntime

    device = HostDevice()
    engine = OpenEngine("small.plan", PlanRuntime(Path("small.plan"), HostPlan(trt), device, Log()))
    given = {name: device.upload(array) for name, array in rows(9).items()}
    device.uploads = 0

    out = engine(**given)

    assert device.uploads == 0
    assert out["sum"].__cuda_array_interface__["shape"] == (9, 3)
    assert np.array_equal(device.download(out["sum"]), 101 * rows(9)["a"])


def test_what_tensorrt_refuses_is_told() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    from engines.trt import Log, PlanRuntime

    runtime = PlanRuntime(Path("small.plan"), HostPlan(trt), HostDevice(), Log())

    with pytest.raises(EngineError, match=r"small\.plan: input 'a': refused shape \(5, 3\)"):
        runtime.run(rows(5))


def test_no_device_arrays_on_the_cpu(tmp_path: Path) -> None:
    there = HostDevice().upload(A)

    with pytest.raises(EngineError, match="'a': expected a numpy array, got DeviceArray on a device"):
        open_onnx(tmp_path)(a=there, b=there)


def test_after_a_refusal_it_works(engine: OpenEngine) -> None:
    with pytest.raises(EngineError):
        engine(a=A, b=A[:1])

    assert np.array_equal(engine(a=A, b=A)["sum"], A)
