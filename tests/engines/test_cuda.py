"""Device memory. Arrays are views of addresses, which host memory has too; the device itself needs a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from engines import EngineError
from engines.cuda import CudaDevice, DeviceArray
from tests.engines.host_plan import HostDevice, at_address

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


class Foreign:
    """An array of another library."""

    def __init__(self, **interface: object) -> None:
        self.__cuda_array_interface__ = {"version": 3, "data": (0x1000, False), **interface}


def test_rows_are_views() -> None:
    array = HostDevice().upload(ROWS)

    middle = array[1:3]

    assert (middle.shape, middle.nbytes) == ((2, 3), 24)
    assert middle.pointer == array.pointer + 12
    assert np.array_equal(at_address(middle.pointer, middle.shape), ROWS[1:3])
    assert array[2:9].shape == (2, 3)


def test_rows_have_to_follow_each_other() -> None:
    with pytest.raises(IndexError, match="expected consecutive rows, got step 2"):
        HostDevice().upload(ROWS)[::2]


@pytest.mark.parametrize("strides", [None, (12, 4)], ids=["none", "c-contiguous"])
def test_a_foreign_array_is_read_where_it_lies(strides: tuple[int, ...] | None) -> None:
    view = DeviceArray.view(Foreign(shape=(4, 3), typestr="<f4", strides=strides))

    assert (view.pointer, view.dtype, view.shape) == (0x1000, np.dtype(np.float32), (4, 3))


def test_only_contiguous_arrays() -> None:
    transposed = Foreign(shape=(3, 4), typestr="<f4", strides=(4, 12))

    with pytest.raises(EngineError, match=r"C-contiguous device array, got strides \(4, 12\) for float32 \(3, 4\)"):
        DeviceArray.view(transposed)


@pytest.mark.gpu
def test_there_and_back() -> None:
    device = CudaDevice()

    with device.current():
        there = device.upload(ROWS)
        back = device.download(there)
        device.finish()
    joined = device.join([there, there[1:2]])
    with device.current():
        both = device.download(joined)
        device.finish()

    assert np.array_equal(back, ROWS)
    assert np.array_equal(both, np.concatenate([ROWS, ROWS[1:2]]))


@pytest.mark.gpu
def test_no_such_device() -> None:
    with pytest.raises(EngineError, match="no CUDA device 99"):
        CudaDevice(99)
