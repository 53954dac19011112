"""TensorRT on a GPU: what runs every `.plan`. One adapter for TensorRT 10 and 11 and for TensorRT-RTX.

The calls used are those that all of them have. Buffers, stream and events are pycuda's (`cuda.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engines import AnyArray, EngineError
from engines.cuda import CudaDevice, DeviceArray
from engines.runtime import ArrayDevice, Axis, Tensor

LIBRARIES = ("tensorrt", "tensorrt_rtx")


class PlanDevice(ArrayDevice, Protocol):
    """What a plan needs of a device; `cuda.CudaDevice` is one."""

    @property
    def stream_handle(self) -> int: ...
    def current(self) -> AbstractContextManager[None]: ...
    def empty(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> DeviceArray: ...
    def upload(self, array: NDArray[Any]) -> DeviceArray: ...
    def download(self, array: DeviceArray) -> NDArray[Any]: ...
    def wait_for(self, array: AnyArray) -> None: ...
    def finish(self) -> None: ...


@cache
def library() -> Any:
    """The TensorRT package that is installed.

    Raises:
        EngineError: none is.
    """
    reasons = []
    for name in LIBRARIES:
        try:
            module = import_module(name)
        except (ImportError, OSError) as error:
            reasons.append(str(error))
            continue
        if hasattr(module, "Builder"):
            return module
        reasons.append(f"{name} has no Builder")
    raise EngineError(f"a .plan needs TensorRT ({'; '.join(reasons)}); install facewarden[gpu], or open the .onnx")


class Log:
    """Keeps what TensorRT complains about: its calls return nothing but failure. `logger` is what they take."""

    def __init__(self) -> None:
        trt, lines = library(), []

        class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
            def log(self, severity: Any, message: str) -> None:
                if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                    lines.append(message.strip())

        self._lines: list[str] = lines
        self.logger = Logger()

    def take(self) -> str:
        """What has been said since the last time."""
        text = "; ".join(dict.fromkeys(self._lines))
        self._lines.clear()
        return text or "no reason given"


class PlanRuntime:
    """A plan in TensorRT. Threads may share it: they take turns.

    Args:
        name: the file's, for messages.
        plan: TensorRT's `ICudaEngine`.
        device: where its context is.
        log: what TensorRT complains into.

    Raises:
        EngineError: there is no memory for it, or a tensor is of a kind that no engine has.
    """

    def __init__(self, name: Path, plan: Any, device: PlanDevice, log: Log) -> None:
        self._name, self._log, self._turn = name, log, threading.Lock()
        self.device, self._plan = device, plan
        self.inputs, self.outputs = signature(name, plan)
        with device.current():
            self._context = plan.create_execution_context()
        if not self._context:
            raise EngineError(f"{name}: TensorRT cannot prepare it ({log.take()}); free memory on the device")

    @classmethod
    def open(cls, path: Path, device: CudaDevice) -> PlanRuntime:
        """From a file; whether that belongs to this machine, `plans.plan_of` has seen to.

        Raises:
            EngineError: no TensorRT, or a plan that it refuses.
        """
        log = Log()
        with device.current():
            plan = library().Runtime(log.logger).deserialize_cuda_engine(path.read_bytes())
        if not plan:
            raise EngineError(f"{path}: TensorRT cannot open it ({log.take()}); delete it to have it built again")
        return cls(path, plan, device, log)

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Runs one batch; arrays on the device are read where they lie, and the outputs stay there."""
        with self._turn, self.device.current():
            on_host = all(isinstance(array, np.ndarray) for array in inputs.values())
            given = {name: self._place(array) for name, array in inputs.items()}
            for name, array in given.items():
                if not self._context.set_input_shape(name, array.shape):
                    raise EngineError(f"{self._name}: input {name!r}: refused shape {array.shape}: {self._log.take()}")
                self._context.set_tensor_address(name, array.pointer)
            made = dict(self._outputs())
            if not self._context.execute_async_v3(self.device.stream_handle):
                shapes = {name: array.shape for name, array in given.items()}
                raise EngineError(f"{self._name}: failed on {shapes}: {self._log.take()}")
            outputs = {name: self.device.download(array) for name, array in made.items()} if on_host else made
            self.device.finish()
            return outputs

    def _place(self, array: AnyArray) -> DeviceArray:
        if isinstance(array, np.ndarray):
            return self.device.upload(array)
        self.device.wait_for(array)
        return DeviceArray.view(array)

    def _outputs(self) -> Iterator[tuple[str, DeviceArray]]:
        for tensor in self.outputs:
            shape = tuple(self._context.get_tensor_shape(tensor.name))
            if min(shape) < 0:
                raise EngineError(f"{self._name}: output {tensor.name!r}: its shape {shape} depends on the data")
            array = self.device.empty(tensor.dtype, shape)
            self._context.set_tensor_address(tensor.name, array.pointer)
            yield tensor.name, array


def signature(name: Path, plan: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of a deserialised plan, with the sizes that its profile admits.

    Raises:
        EngineError: a tensor has a dtype that numpy has not, or an input is a shape and not data.
    """
    trt = library()
    inputs, outputs = [], []
    for tensor in (plan.get_tensor_name(number) for number in range(plan.num_io_tensors)):
        try:
            dtype = np.dtype(trt.nptype(plan.get_tensor_dtype(tensor)))
        except TypeError as error:
            raise EngineError(f"{name}: {tensor!r} is {plan.get_tensor_dtype(tensor)}, which numpy has not") from error
        shape = tuple(plan.get_tensor_shape(tensor))
        if plan.get_tensor_mode(tensor) == trt.TensorIOMode.OUTPUT:
            outputs.append(Tensor.of(tensor, dtype, shape))
            continue
        if plan.is_shape_inference_io(tensor):
            raise EngineError(
                f"{name}: input {tensor!r} is a shape; export the model so that shapes come from its data"
            )
        least, _, most = plan.get_tensor_profile_shape(tensor, 0)
        inputs.append(Tensor(tensor, dtype, tuple(Axis(a, b) for a, b in zip(least, most, strict=True))))
    return inputs, outputs
