"""From a PyTorch module to an `.onnx` file with its card; refused where ONNX Runtime computes anything else.

export(Network(detector, {"face": faces}), folder / "detector.onnx", card)
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from engines import EngineError
from engines.card import Card, Plan, Range, write_card
from engines.files import sha256_of, write_whole
from engines.ort import OrtRuntime
from engines.parity import Difference, compare
from engines.runtime import OpenEngine, Tensor

OPSET = 18


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A module to be exported.

    Attributes:
        module: its `forward` takes tensors by the names in `example`, and returns a dict of tensors by name, batch on
            axis 0 of all.
        example: the inputs of one call with two rows or more; all axes but the first are fixed by it.
        usual, most: the batch that a plan is tuned to, and the largest that it takes.
    """

    module: torch.nn.Module
    example: Mapping[str, torch.Tensor]
    usual: int = 16
    most: int = 64


def export(network: Network, file: Path, card: Card) -> list[Difference]:
    """Writes the network as `.onnx` and its card next to it, the card's SHA-256 and plan filled in.

    Args:
        card: says by its tolerance how far ONNX Runtime may be from PyTorch.

    Returns:
        How far it is.

    Raises:
        EngineError: it is further, or the module cannot be exported.
    """
    module = network.module.eval()
    content = _onnx(module, network.example)
    eager = OpenEngine(file.with_suffix(".pt"), _Eager(module, network.example))
    exported = OpenEngine(file, OrtRuntime(content))
    differences = compare(exported, eager, list(_tries(network.example)), card.tolerance[card.precision])
    apart = [d for d in differences if not d.agrees]
    if apart:
        found = "; ".join(f"{d.output} by {d.largest:.2g} of {d.at:.2g}" for d in apart)
        raise EngineError(
            f"{file}: expected what PyTorch computes within {card.tolerance[card.precision]}, differs: {found}"
        )
    rows = {name: tuple(tensor.shape[1:]) for name, tensor in network.example.items()}
    profile = {
        name: Range(least=(1, *shape), usual=(network.usual, *shape), most=(network.most, *shape))
        for name, shape in rows.items()
    }
    full = card.model_copy(update={"sha256": sha256_of(content), "plan": card.plan or Plan(profile=profile)})
    file.parent.mkdir(parents=True, exist_ok=True)
    # A card without its file says so when it is read; a file with another's card would not.
    write_card(file, full)
    write_whole(file, content)
    return differences


def _onnx(module: torch.nn.Module, example: Mapping[str, torch.Tensor]) -> bytes:
    with torch.inference_mode():
        outputs = module(**example)
    if not isinstance(outputs, dict):
        raise EngineError(f"{type(module).__name__}: expected a dict of outputs by name, got {type(outputs).__name__}")
    batch = torch.export.Dim("batch", min=1)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own, of its own libraries
            program = torch.onnx.export(
                module,
                kwargs=dict(example),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes={name: {0: batch} for name in example},
                input_names=list(example),
                output_names=list(outputs),
                verbose=False,
            )
        assert program is not None  # noqa: S101 - with dynamo and no file it gives a program
    except torch.onnx.errors.OnnxExporterError as error:
        raise EngineError(f"{type(module).__name__}: cannot be exported to ONNX ({error})") from error
    finally:
        quiet.setLevel(level)
    model: onnx.ModelProto = program.model_proto
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    # The exporter notes which line of which file each node comes from: paths of the machine it ran on.
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph):
        part.ClearField("metadata_props")
    return bytes(model.SerializeToString())


def _tries(example: Mapping[str, torch.Tensor]) -> Sequence[dict[str, NDArray[Any]]]:
    """The example, one row of it, and others with more rows."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in example.items()}
    return [
        arrays,
        {name: array[:1] for name, array in arrays.items()},
        {name: np.concatenate([array[::-1], array, array[:1] / 2]) for name, array in arrays.items()},
    ]


class _Eager:
    """The module as a runtime, to be compared with."""

    device = None

    def __init__(self, module: torch.nn.Module, example: Mapping[str, torch.Tensor]) -> None:
        self._module = module
        with torch.inference_mode():
            outputs = module(**example)
        self.inputs, self.outputs = (
            [Tensor.of(name, str(t.dtype).removeprefix("torch."), [None, *t.shape[1:]]) for name, t in tensors.items()]
            for tensors in (example, outputs)
        )

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        given = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
        with torch.inference_mode():
            return {name: tensor.numpy() for name, tensor in self._module(**given).items()}
