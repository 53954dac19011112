"""One tiny network in every form an engine can have: a (n, 3), b (n, 3) -> sum = a + b, moved = 2 * a - 1."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from engines.card import Card, Plan, Range
from engines.files import sha256_of

LARGEST = 4
"""The batch that its plan and its program take at most."""
PLAN = Plan(
    profile={name: Range(least=(1, 3), usual=(2, 3), most=(LARGEST, 3)) for name in ("a", "b")}, workspace_mb=16
)


def small_model(batch: str | int = "n") -> onnx.ModelProto:
    shape = [batch, 3]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("a", "b", "sum", "moved")]
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"], name="add"),
        helper.make_node("Mul", ["a", "two"], ["double"], name="mul"),
        helper.make_node("Sub", ["double", "one"], ["moved"], name="sub"),
    ]
    weights = [helper.make_tensor(name, TensorProto.FLOAT, [1], [value]) for name, value in (("two", 2), ("one", 1))]
    graph = helper.make_graph(nodes, "small", values[:2], values[2:], weights)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def write_onnx(folder: Path, model: onnx.ModelProto | None = None, *, plan: Plan | None = PLAN) -> Path:
    """The network with its card."""
    path = folder / "small.onnx"
    onnx.save(model or small_model(), path)
    card = Card(name="small", task="test", licence="-", sha256=sha256_of(path.read_bytes()), source="-", plan=plan)
    path.with_suffix(".json").write_text(card.model_dump_json())
    return path


def write_program(folder: Path) -> Path:
    """The same exported from PyTorch; skips the test where that is not installed."""
    torch = pytest.importorskip("torch")

    class Small(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, a, b):  # type: ignore[no-untyped-def]
            return {"sum": a + b, "moved": 2 * a - 1}

    rows = torch.export.Dim("n", min=1, max=LARGEST)
    example = {"a": torch.zeros(2, 3), "b": torch.zeros(2, 3)}
    program = torch.export.export(Small(), (), example, dynamic_shapes={"a": {0: rows}, "b": {0: rows}})
    torch.export.save(program, folder / "small.pt2")
    return folder / "small.pt2"
