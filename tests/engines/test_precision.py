from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines import EngineError
from engines.card import Precision
from engines.ort import OrtRuntime
from engines.precision import precision_of, read_model, with_precision
from engines.runtime import OpenEngine
from tests.engines.small_network import small_model

SEED = 3


def convolutional(scale: float = 1.0) -> onnx.ModelProto:
    """x (n, 3, 8, 8) -> relu(convolution) -> y (n, 16, 8, 8)."""
    rng = np.random.default_rng(SEED)
    weights = numpy_helper.from_array((scale * rng.normal(size=(16, 3, 3, 3))).astype(np.float32), "w")
    bias = numpy_helper.from_array(rng.normal(size=16).astype(np.float32), "bias")
    nodes = [
        helper.make_node("Conv", ["x", "w", "bias"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y"], name="relu"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16, 8, 8])
    graph = helper.make_graph(nodes, "convolutional", [x], [y], [weights, bias])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def feeds(count: int = 4) -> Iterator[dict[str, NDArray[np.float32]]]:
    rng = np.random.default_rng(SEED + 1)
    return ({"x": rng.normal(size=(2, 3, 8, 8)).astype(np.float32)} for _ in range(count))


def run(model: onnx.ModelProto) -> NDArray[np.float32]:
    engine = OpenEngine("test", OrtRuntime(model.SerializeToString()))
    return np.asarray(engine(**next(feeds(1)))["y"])


def test_float16_is_close_and_half_as_large() -> None:
    model = convolutional()

    half = with_precision(model, "fp16")

    onnx.checker.check_model(half, full_check=True)
    assert precision_of(half) == "fp16"
    assert np.abs(run(half) - run(model)).max() < 0.02
    assert [value.type.tensor_type.elem_type for value in (*half.graph.input, *half.graph.output)] == [1, 1]
    assert precision_of(model) == "fp32"  # the original is left alone


def test_bfloat16_rounds_from_float32() -> None:
    """Weights beyond float16's largest number, 65504, keep their size."""
    model = convolutional(scale=1e6)

    brain = with_precision(model, "bf16")

    onnx.checker.check_model(brain, full_check=True)
    weights = {tensor.name: tensor for tensor in brain.graph.initializer}
    expected = numpy_helper.to_array(model.graph.initializer[0]).astype(ml_dtypes.bfloat16)
    assert precision_of(brain) == "bf16"
    assert np.array_equal(numpy_helper.to_array(weights["w"]).astype(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_only_float32_is_rounded(precision: Precision) -> None:
    half = with_precision(small_model(), "fp16" if precision == "bf16" else "bf16")

    with pytest.raises(EngineError, match=f"expected a float32 model to write {precision} into"):
        with_precision(half, precision)


def test_int8_has_to_be_calibrated() -> None:
    with pytest.raises(EngineError, match="quantise it first"):
        with_precision(small_model(), "int8")


def test_nameless_axes_and_overridable_weights(tmp_path: Path) -> None:
    model = small_model()
    model.ir_version = 3
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].Clear()
    model.graph.input.append(helper.make_tensor_value_info("two", TensorProto.FLOAT, [1]))
    model.graph.input.append(helper.make_tensor_value_info("one", TensorProto.FLOAT, [1]))
    onnx.save(model, tmp_path / "old.onnx")

    read = read_model(tmp_path / "old.onnx")

    assert [value.name for value in read.graph.input] == ["a", "b"]
    assert [value.type.tensor_type.shape.dim[0].dim_param for value in read.graph.input] == ["batch", "batch"]


@pytest.mark.parametrize("content", [b"", b"no network"], ids=["empty", "text"])
def test_not_a_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(content)

    with pytest.raises(EngineError, match=r"bad\.onnx: not an ONNX model"):
        read_model(tmp_path / "bad.onnx")
