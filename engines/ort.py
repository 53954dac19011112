"""ONNX Runtime on the CPU: the engine behind every `.onnx` file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from engines import EngineError

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


class OrtEngine:
    """A network in ONNX Runtime.

    The threads do not spin: between two frames a worker shares its cores with decoders and encoders. The memory
    arena stays on: without it CenterFace at 720p took half as much CPU again, and no less memory.

    Args:
        path: the `.onnx` file.
        threads: how many threads one call may use.

    Raises:
        EngineError: the file is damaged, or needs something that this build of the runtime lacks.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; exporters leave much to warn about
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except _LOAD_ERRORS as error:
            raise EngineError(f"{path}: ONNX Runtime cannot open it ({error}); fetch or export it again") from error
        self._path = path
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.inputs: Mapping[str, tuple[type[np.generic], tuple[int | None, ...]]] = {
            node.name: (self._dtype(node), tuple(d if isinstance(d, int) else None for d in node.shape))
            for node in self._session.get_inputs()
        }
        self._warm_up()

    def __call__(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Runs the network.

        Raises:
            EngineError: an input is missing, unknown, or of a wrong dtype or shape; or the network failed.
        """
        if inputs.keys() != self.inputs.keys():
            raise EngineError(f"{self._path}: expected inputs {sorted(self.inputs)}, got {sorted(inputs)}")
        for name, array in inputs.items():
            dtype, shape = self.inputs[name]
            fits = len(array.shape) == len(shape) and all(
                want in (None, got) for want, got in zip(shape, array.shape, strict=True)
            )
            if array.dtype != dtype or not fits:
                wanted = f"{np.dtype(dtype)} ({', '.join('any' if d is None else str(d) for d in shape)})"
                raise EngineError(f"{self._path}: input {name!r}: expected {wanted}, got {array.dtype} {array.shape}")
        try:
            return dict(zip(self._outputs, self._session.run(self._outputs, inputs), strict=True))
        except _RUN_ERRORS as error:
            shapes = {name: array.shape for name, array in inputs.items()}
            raise EngineError(f"{self._path}: failed on {shapes}: {error}") from error

    def _dtype(self, node: Any) -> type[np.generic]:
        if node.type not in _DTYPES:
            raise EngineError(f"{self._path}: input {node.name!r} is {node.type}; supported: {', '.join(_DTYPES)}")
        return _DTYPES[node.type]

    def _warm_up(self) -> None:
        """One call on zeros, where no axis but the batch is free: the first call allocates and packs weights."""
        if all(None not in shape[1:] for _, shape in self.inputs.values()):
            self(**{name: np.zeros([d or 1 for d in shape], dtype) for name, (dtype, shape) in self.inputs.items()})
