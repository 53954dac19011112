"""PyTorch on the CPU: what runs an exported program (`.pt2`), for reference and debugging.

The exported module returns a dict: its keys are the outputs' names, as the parameters of `forward` are the inputs'.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import EngineError
from engines.runtime import Axis, Tensor

try:
    import torch
except ModuleNotFoundError as missing:
    raise EngineError("a .pt2 needs PyTorch; install facewarden[train], or open the .onnx") from missing


class ProgramRuntime:
    """An exported program in PyTorch.

    Args:
        path: the `.pt2` file, as `torch.export.save` writes it.
        threads: how many threads one call may use. PyTorch knows one number per process: the last one opened wins.

    Raises:
        EngineError: the file is damaged, or the module returns no dict of tensors.
    """

    device = None

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self._path = path
        if not zipfile.is_zipfile(path):
            raise EngineError(
                f"{path}: expected an exported program (a zip archive), got something else; export it again"
            )
        try:
            program = torch.export.load(path)
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            raise EngineError(f"{path}: PyTorch cannot open it ({error}); export it again") from error
        torch.set_num_threads(threads)
        self._module = program.module()
        signature = program.graph_signature
        values = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
        ranges = program.range_constraints
        self.inputs = [_tensor(name, values[name], ranges) for name in signature.user_inputs]
        names = program.call_spec.out_spec
        if names.type is not dict:
            raise EngineError(f"{path}: expected a module that returns a dict of tensors, got {names.type.__name__}")
        self.outputs = [
            _tensor(name, values[node], ranges)
            for name, node in zip(names.context, signature.user_outputs, strict=True)
        ]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        tensors = {name: torch.from_numpy(np.require(array, requirements=["C", "W"])) for name, array in inputs.items()}
        try:
            with torch.inference_mode():
                return {name: tensor.numpy() for name, tensor in self._module(**tensors).items()}
        except (RuntimeError, IndexError) as error:
            shapes = {name: array.shape for name, array in inputs.items()}
            raise EngineError(f"{self._path}: failed on {shapes}: {error}") from error


def _tensor(name: str, value: Any, ranges: Mapping[Any, Any]) -> Tensor:
    axes = []
    for size in value.shape:
        if isinstance(size, int):
            axes.append(Axis(size, size))
            continue
        limits = ranges[size.node.expr]
        axes.append(Axis(max(1, int(limits.lower)), int(limits.upper) if limits.upper.is_Integer else None))
    return Tensor(name, np.dtype(str(value.dtype).removeprefix("torch.")), tuple(axes))
