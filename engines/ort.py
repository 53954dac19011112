"""ONNX Runtime on the CPU: what runs every `.onnx` file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from engines import EngineError
from engines.runtime import Tensor

_DTYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(int32)": np.int32,
    "tensor(int64)": np.int64, "tensor(bool)": np.bool_,
}  # fmt: skip

# ONNX Runtime's exceptions share no base of their own below Exception.
_LOAD_ERRORS = (
    ort_errors.Fail, ort_errors.InvalidGraph, ort_errors.InvalidProtobuf, ort_errors.InvalidArgument,
    ort_errors.NotImplemented, ort_errors.RuntimeException, ort_errors.ModelRequiresCompilation,
)  # fmt: skip
_RUN_ERRORS = (ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.RuntimeException)


class OrtRuntime:
    """A network in ONNX Runtime.

    The threads do not spin: between two frames a worker shares its cores with decoders and encoders. The memory
    arena stays on: without it CenterFace at 720p took half as much CPU again, and no less memory.

    Args:
        model: the `.onnx` file, or its bytes.
        file: where the bytes come from, for messages and for weights that lie in files next to it.
        threads: how many threads one call may use.

    Raises:
        EngineError: it is damaged, or needs something that this build of the runtime lacks.
    """

    device = None

    def __init__(self, model: Path | bytes, *, file: Path | None = None, threads: int = 1) -> None:
        self._name = model if isinstance(model, Path) else file or "the ONNX model in memory"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; exporters leave much to warn about
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if file is not None:
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(file.parent))
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except _LOAD_ERRORS as error:
            raise EngineError(
                f"{self._name}: ONNX Runtime cannot open it ({error}); fetch or export it again"
            ) from error
        self.inputs = [self._tensor(node) for node in self._session.get_inputs()]
        self.outputs = [self._tensor(node) for node in self._session.get_outputs()]
        self._output_names = [tensor.name for tensor in self.outputs]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        try:
            return dict(zip(self._output_names, self._session.run(self._output_names, inputs), strict=True))
        except _RUN_ERRORS as error:
            shapes = {name: array.shape for name, array in inputs.items()}
            raise EngineError(f"{self._name}: failed on {shapes}: {error}") from error

    def _tensor(self, node: Any) -> Tensor:
        if node.type not in _DTYPES:
            raise EngineError(f"{self._name}: {node.name!r} is {node.type}; supported: {', '.join(_DTYPES)}")
        return Tensor.of(node.name, _DTYPES[node.type], [d if isinstance(d, int) else None for d in node.shape])
