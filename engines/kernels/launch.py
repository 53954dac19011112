"""What launches kernels: a device. `cuda_kernels.py` has the real one; a test may bring another."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engines import AnyArray

BLOCK = (32, 8, 1)
"""Threads of a block; one thread does one sample."""


class KernelDevice(Protocol):
    """Runs the kernels of this folder, one after the other."""

    def upload(self, table: NDArray[Any]) -> AnyArray:
        """A contiguous array in the device's memory."""
        ...

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> AnyArray:
        """An array of zeros in the device's memory."""
        ...

    def run(self, kernel: str, grid: tuple[int, int, int], *arguments: Any) -> None:
        """Launches a kernel. Arguments: arrays of the device, numpy integers, a structure as a numpy array."""
        ...

    def finish(self) -> None:
        """Returns when all of it is done. What was uploaded must be kept until then."""
        ...


def blocks(width: int, height: int, count: int) -> tuple[int, int, int]:
    """The grid of a launch on `count` times `width x height` samples."""
    return -(-width // BLOCK[0]), -(-height // BLOCK[1]), count


def suffix(dtype: np.dtype[Any]) -> str:
    """How the kernel for samples of that dtype ends: `_8` or `_16`."""
    return f"_{8 * dtype.itemsize}"
