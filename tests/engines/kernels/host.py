"""The kernels compiled for the host by g++, where there is one: `on_host.cpp` runs their threads one by one."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import engines.kernels
from engines.kernels.launch import BLOCK

KERNELS = Path(engines.kernels.__file__).parent


@cache
def _library() -> ctypes.CDLL:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++: the kernels cannot be run on the host")
    with TemporaryDirectory() as folder:
        library = Path(folder) / "kernels.so"
        source = Path(__file__).with_name("on_host.cpp")
        flags = ["-std=c++17", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", f"-I{KERNELS}"]
        subprocess.run([compiler, *flags, source, "-o", library], check=True)
        return ctypes.CDLL(str(library))


class HostDevice:
    """The twin of a device: its memory is numpy's."""

    def __init__(self) -> None:
        self.launched: list[str] = []

    def upload(self, table: NDArray[Any]) -> NDArray[Any]:
        return table.copy()

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        return np.zeros(shape, dtype)

    def run(self, kernel: str, grid: tuple[int, int, int], *arguments: Any) -> None:
        self.launched.append(kernel)
        passed = [a.ctypes.data_as(ctypes.c_void_p) if isinstance(a, np.ndarray) else int(a) for a in arguments]
        _library()[f"host_{kernel}"]((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*BLOCK), *passed)

    def finish(self) -> None:
        """All is done already."""


def cuda_kernels() -> Any:
    """The kernels on a real device, for tests marked `gpu`."""
    from engines.cuda import CudaDevice
    from engines.kernels.cuda_kernels import CudaKernels

    return CudaKernels(CudaDevice())


def downloaded(kernels: Any, array: Any) -> NDArray[Any]:
    """What a real device has computed."""
    with kernels.device.current():
        copy: NDArray[Any] = kernels.device.download(array)
        kernels.device.finish()
    return copy
