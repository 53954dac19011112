"""The kernels on a CUDA device, compiled for it by nvcc through pycuda, which keeps what it has compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import EngineError
from engines.cuda import CudaDevice, DeviceArray
from engines.kernels.launch import BLOCK

FOLDER = Path(__file__).parent
SOURCES = ("crops.cu", "covers.cu")


class CudaKernels:
    """Launches kernels on a device's stream.

    Args:
        device: where planes and results are.

    Raises:
        EngineError: nvcc is missing, or refuses a source.
    """

    def __init__(self, device: CudaDevice) -> None:
        from pycuda import driver
        from pycuda.compiler import SourceModule

        self.device, self._driver = device, driver
        source = "".join(f'#include "{name}"\n' for name in SOURCES)
        with device.current():
            try:
                module = SourceModule(source, options=["-std=c++17"], no_extern_c=True, include_dirs=[str(FOLDER)])
            except (driver.CompileError, OSError) as error:
                raise EngineError(f"the kernels cannot be compiled ({error}); install CUDA's nvcc") from error
        self._module = module

    def upload(self, table: NDArray[Any]) -> DeviceArray:
        structures = table.dtype.names is not None  # device arrays hold numbers: these go as bytes
        with self.device.current():
            return self.device.upload(table.view(np.uint8) if structures else table)

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        with self.device.current():
            array = self.device.empty(dtype, shape)
            self._driver.memset_d8_async(array.pointer, 0, array.nbytes, self.device.stream)
        return array

    def run(self, kernel: str, grid: tuple[int, int, int], *arguments: Any) -> None:
        with self.device.current():
            function = self._module.get_function(kernel)
            function(*arguments, grid=grid, block=BLOCK, stream=self.device.stream)

    def finish(self) -> None:
        with self.device.current():
            self.device.finish()
