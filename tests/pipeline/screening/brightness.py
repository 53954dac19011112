"""A detector of forgeries whose score is the brightness of a crop, as a network with a card."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from engines.card import Card, write_card
from engines.files import sha256_of
from pipeline.config import Config, Step

SIZE = 32


def write_detector(file: Path, *, fake: float, real: float) -> Path:
    """A network as ACMF's, whose probability is the brightness of a crop, with a card."""
    nodes = [
        helper.make_node("ReduceMean", ["face"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["fake_prob"]),
        helper.make_node("ReduceMean", ["face"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("AveragePool", ["grey"], ["cam_fake"], kernel_shape=[8, 8], strides=[8, 8]),
    ]
    shapes: dict[str, list[str | int | None]] = {
        "face": ["n", 3, SIZE, SIZE], "fake_prob": ["n", 1], "cam_fake": ["n", 1, 4, 4],
    }  # fmt: skip
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    one = helper.make_tensor("one", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "brightness", values[:1], values[1:], [one])
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), file)
    card = Card(
        name="deepfake.acmf/brightness", task="forgery of a face", licence="CC0-1.0", source="a test",
        sha256=sha256_of(file.read_bytes()), metrics={"threshold_fake": fake, "threshold_real": real, "auc": 0.8},
    )  # fmt: skip
    write_card(file, card)
    return file


def config_of(detector: Path) -> Config:
    acmf = Step(use="deepfake.acmf", engines={"detector": str(detector)}, options={"size": SIZE})
    return Config(steps=[acmf])
