from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines import EngineError, open_engine


@pytest.fixture
def double(tmp_path: Path) -> Path:
    """y = x + x for x `(any, 3)` float32."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    path = tmp_path / "double.onnx"
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_named_arrays_in_and_out(double: Path) -> None:
    engine = open_engine(double)

    out = engine(x=np.array([[1, 2, 3], [4, 5, 6]], np.float32))

    assert list(out) == ["y"]
    assert out["y"].tolist() == [[2, 4, 6], [8, 10, 12]]


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        pytest.param({"z": np.zeros((1, 3), np.float32)}, r"expected inputs \['x'\], got \['z'\]", id="name"),
        pytest.param({}, r"expected inputs \['x'\], got \[\]", id="missing"),
        pytest.param({"x": np.zeros((1, 3))}, r"'x': expected float32 \(any, 3\), got float64 \(1, 3\)", id="dtype"),
        pytest.param({"x": np.zeros((1, 4), np.float32)}, r"\(any, 3\), got float32 \(1, 4\)", id="size"),
        pytest.param({"x": np.zeros(3, np.float32)}, r"\(any, 3\), got float32 \(3,\)", id="rank"),
    ],
)
def test_wrong_inputs_are_named(double: Path, inputs: dict[str, np.ndarray], complaint: str) -> None:
    engine = open_engine(double)

    with pytest.raises(EngineError, match=complaint):
        engine(**inputs)


@pytest.mark.parametrize("content", [b"", b"no network", b"\x08\x08"], ids=["empty", "text", "no graph"])
def test_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)

    with pytest.raises(EngineError, match=r"damaged\.onnx"):
        open_engine(path)


def test_truncated_file(double: Path) -> None:
    double.write_bytes(double.read_bytes()[:-10])

    with pytest.raises(EngineError, match=r"double\.onnx"):
        open_engine(double)
