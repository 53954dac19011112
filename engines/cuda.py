"""One CUDA device by pycuda: arrays in its memory, a stream, events. The only home of device memory.

The context is the device's primary one, which TensorRT, PyTorch and CuPy share: their arrays can be read where they
lie. This file was written against pycuda's documentation and is run by tests marked `gpu` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import AnyArray, EngineError


@dataclass(frozen=True, slots=True, eq=False)
class DeviceArray:
    """A C-contiguous array on a device.

    Attributes:
        pointer: its address there.
        owner: what keeps the memory alive.
    """

    pointer: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    owner: object

    @classmethod
    def view(cls, array: AnyArray) -> DeviceArray:
        """The same memory, of anything with `__cuda_array_interface__`.

        Raises:
            EngineError: it is not C-contiguous.
        """
        if isinstance(array, cls):
            return array
        interface = array.__cuda_array_interface__
        dtype, shape = np.dtype(interface["typestr"]), tuple(interface["shape"])
        strides = interface.get("strides")
        if strides is not None and strides != _strides(dtype, shape):
            raise EngineError(
                f"expected a C-contiguous device array, got strides {strides} for {dtype} {shape}; copy it"
            )
        return cls(interface["data"][0], dtype, shape, array)

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3; without a stream: an engine returns arrays that are ready."""
        data = (self.pointer, False)
        return {"shape": self.shape, "typestr": self.dtype.str, "data": data, "strides": None, "version": 3}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> DeviceArray:
        """Consecutive rows, as a view."""
        first, last, step = rows.indices(self.shape[0])
        if step != 1:
            raise IndexError(f"expected consecutive rows, got step {step}")
        row_bytes = prod(self.shape[1:]) * self.dtype.itemsize
        shape = (max(0, last - first), *self.shape[1:])
        return DeviceArray(self.pointer + first * row_bytes, self.dtype, shape, self.owner)


def _strides(dtype: np.dtype[Any], shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1 :]) * dtype.itemsize for axis in range(len(shape)))


class CudaDevice:
    """A GPU, with one stream of our own that is ordered after the legacy default stream.

    Memory comes from pools: after the first calls nothing is allocated any more. Not for several threads at once.

    Args:
        number: which GPU, as CUDA counts them.

    Raises:
        EngineError: pycuda is not installed, or there is no such device.
    """

    def __init__(self, number: int = 0) -> None:
        try:
            import pycuda.driver as cuda
            from pycuda.tools import DeviceMemoryPool, PageLockedMemoryPool
        except ImportError as error:
            raise EngineError(f"no CUDA ({error}); install the driver and facewarden[gpu], or use the .onnx") from error
        try:
            cuda.init()
            device = cuda.Device(number)
            self.context = device.retain_primary_context()
        except cuda.Error as error:
            raise EngineError(f"no CUDA device {number} ({error}); use the .onnx") from error
        self._cuda = cuda
        self.name = str(device.name())
        self.capability: tuple[int, int] = device.compute_capability()
        with self.current():
            self.stream = cuda.Stream()
            self._memory, self._pinned = DeviceMemoryPool(), PageLockedMemoryPool()

    @property
    def stream_handle(self) -> int:
        return int(self.stream.handle)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes this device's context the calling thread's."""
        self.context.push()
        try:
            yield
        finally:
            self.context.pop()

    def empty(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> DeviceArray:
        """Memory of the pool, uninitialised; it goes back there with the array and its views."""
        block = self._memory.allocate(max(1, prod(shape) * dtype.itemsize))
        return DeviceArray(int(block), dtype, shape, block)

    def upload(self, array: NDArray[Any]) -> DeviceArray:
        """A copy on the device, through page-locked memory; under way on the stream when this returns."""
        pinned = self._pinned.allocate(array.shape, array.dtype)
        np.copyto(pinned, array)
        there = self.empty(array.dtype, array.shape)
        self._cuda.memcpy_htod_async(there.pointer, pinned, self.stream)
        return DeviceArray(there.pointer, there.dtype, there.shape, (there.owner, pinned))

    def download(self, array: DeviceArray) -> NDArray[Any]:
        """A copy on the host, in page-locked memory; under way on the stream when this returns."""
        pinned: NDArray[Any] = self._pinned.allocate(array.shape, array.dtype)
        self._cuda.memcpy_dtoh_async(pinned, array.pointer, self.stream)
        return pinned

    def join(self, parts: Sequence[AnyArray]) -> DeviceArray:
        """One array of several, along axis 0: copies within the device."""
        views = [DeviceArray.view(part) for part in parts]
        rows = sum(len(view) for view in views)
        with self.current():
            whole = self.empty(views[0].dtype, (rows, *views[0].shape[1:]))
            at = whole.pointer
            for view in views:
                self._cuda.memcpy_dtod_async(at, view.pointer, view.nbytes, self.stream)
                at += view.nbytes
            self.finish()
        return whole

    def wait_for(self, array: AnyArray) -> None:
        """Returns when whoever wrote a foreign array has finished.

        The legacy default stream (1) is ordered before ours by CUDA; any other is waited for with all of the device.
        """
        if array.__cuda_array_interface__.get("stream") not in (None, 1):
            self.context.synchronize()

    def finish(self) -> None:
        """Returns when all that is under way on the stream is done; the thread sleeps instead of spinning."""
        done = self._cuda.Event(self._cuda.event_flags.BLOCKING_SYNC | self._cuda.event_flags.DISABLE_TIMING)
        done.record(self.stream)
        done.synchronize()
