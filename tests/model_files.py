"""Third-party models for tests: fetched once into the user's cache."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from pipeline.models.fetch import ModelError, pull


def model_file(name: str) -> Path:
    """The model's file; skips the test where it cannot be fetched."""
    try:
        return pull([name])[0]
    except ModelError as error:
        pytest.skip(str(error))


def without_weights(source: Path, folder: Path) -> Path:
    """A network with all weights of its convolutions 0, as large as it was, without a card."""
    model = onnx.load(source)
    used = {name for node in model.graph.node if node.op_type == "Conv" for name in node.input[1:]}
    for weights in model.graph.initializer:
        if weights.name in used:
            weights.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(weights)), weights.name))
    onnx.save(model, folder / source.name)
    return folder / source.name
