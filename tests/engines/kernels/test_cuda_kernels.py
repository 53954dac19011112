"""The kernels in the hands of the real compiler, and on a real device."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from engines.kernels.crops import Scaling, Surface, cut, cut_on
from tests.engines.kernels.host import KERNELS, cuda_kernels, downloaded


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc: the kernels cannot be compiled")
@pytest.mark.parametrize("source", sorted(path.name for path in KERNELS.glob("*.cu")))
def test_nvcc_compiles_it_without_a_warning(source: str, tmp_path: Path) -> None:
    flags = ["--ptx", "-std=c++17", "-Werror", "all-warnings", "-o", str(tmp_path / "out.ptx")]

    done = subprocess.run(["nvcc", *flags, str(KERNELS / source)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert ".visible .entry" in (tmp_path / "out.ptx").read_text()


@pytest.mark.gpu
@pytest.mark.parametrize("bits", [8, 10])
def test_crops_as_the_twin_has_them(bits: int) -> None:
    random = np.random.default_rng(0)
    shapes, dtype = ((90, 120), (45, 60), (45, 60)), np.uint8 if bits == 8 else np.uint16
    y, u, v = (random.integers(0, 1 << bits, shape).astype(dtype) for shape in shapes)
    affines = np.array([[[1.5, 0.2, 3], [-0.2, 1.5, 8]], [[0.4, 0, 30], [0, 0.4, 20]], [[3, 0, -9], [0, 2, -9]]])
    normalise = Scaling((104, 117, 123), (1, 1, 1))

    kernels = cuda_kernels()
    on_device = Surface((kernels.upload(y), kernels.upload(u), kernels.upload(v)), bits=bits)
    crops = cut_on(kernels, [on_device], [0, 0, 0], affines, (40, 30), normalise)

    twin = cut([Surface((y, u, v), bits=bits)], [0, 0, 0], affines, (40, 30), normalise)
    np.testing.assert_allclose(downloaded(kernels, crops), twin, atol=0.05)
