"""A plan of the small network without TensorRT's kernels: its twin, which works on addresses in host memory.

It has the methods of `ICudaEngine` and `IExecutionContext` that the adapter calls, with their meaning, and
`HostDevice` those of a CUDA device. So everything of the adapter runs but the network itself.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.cuda import DeviceArray
from tests.engines.small_network import LARGEST


def at_address(pointer: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The float32 array that lies there."""
    memory = (ctypes.c_float * int(np.prod(shape))).from_address(pointer)
    return np.ctypeslib.as_array(memory).reshape(shape)


class HostDevice:
    """Host memory with the methods of `engines.cuda.CudaDevice`."""

    stream_handle = 0

    def __init__(self) -> None:
        self.uploads = 0

    def current(self) -> AbstractContextManager[None]:
        return nullcontext()

    def empty(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> DeviceArray:
        memory = np.full(shape, 99, dtype)
        return DeviceArray(memory.ctypes.data, memory.dtype, memory.shape, memory)

    def upload(self, array: NDArray[Any]) -> DeviceArray:
        self.uploads += 1
        copy = np.array(array, order="C")
        return DeviceArray(copy.ctypes.data, copy.dtype, copy.shape, copy)

    def download(self, array: DeviceArray) -> NDArray[Any]:
        return at_address(array.pointer, array.shape).copy()

    def join(self, parts: Sequence[Any]) -> DeviceArray:
        joined = np.concatenate([self.download(DeviceArray.view(part)) for part in parts])
        return DeviceArray(joined.ctypes.data, joined.dtype, joined.shape, joined)

    def wait_for(self, array: Any) -> None: ...

    def finish(self) -> None: ...


class HostPlan:
    """`ICudaEngine` and `IExecutionContext` of the small network in one."""

    names = ("a", "b", "sum", "moved")
    num_io_tensors = 4

    def __init__(self, trt: ModuleType) -> None:
        self._trt: Any = trt
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def create_execution_context(self) -> HostPlan:
        return self

    def get_tensor_name(self, number: int) -> str:
        return self.names[number]

    def get_tensor_dtype(self, _: str) -> Any:
        return self._trt.float32

    def get_tensor_mode(self, name: str) -> Any:
        return self._trt.TensorIOMode.INPUT if name in ("a", "b") else self._trt.TensorIOMode.OUTPUT

    def is_shape_inference_io(self, _: str) -> bool:
        return False

    def get_tensor_profile_shape(self, _: str, profile: int) -> tuple[tuple[int, ...], ...]:
        assert profile == 0
        return (1, 3), (2, 3), (LARGEST, 3)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes.get("a", (-1, 3)) if name not in self._shapes else self._shapes[name]

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shapes[name] = shape
        return 1 <= shape[0] <= LARGEST

    def set_tensor_address(self, name: str, pointer: int) -> bool:
        self._addresses[name] = pointer
        return True

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == HostDevice.stream_handle
        shape = self._shapes["a"]
        if shape[0] > LARGEST:
            return False
        a, b, total, moved = (at_address(self._addresses[name], shape) for name in self.names)
        np.add(a, b, out=total)
        np.subtract(2 * a, 1, out=moved)
        return True
