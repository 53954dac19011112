"""Samples come back as they were, whatever they are; what is no packed crop is refused."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from operators.frame import PIXEL_FORMATS
from pipeline.sealing.samples import pack, raw_bytes, unpack
from tests.pipeline.sealing.clip import draw

SIDES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(st.data(), st.sampled_from(["yuv420p", "yuv444p10le"]))
def test_any_samples_come_back(data: st.DataObject, name: str) -> None:
    layout = PIXEL_FORMATS[name]
    top = st.integers(0, np.iinfo(layout.dtype).max)
    planes = [data.draw(arrays(layout.dtype, data.draw(SIDES), elements=top)) for _ in range(3)]

    back = unpack(pack(planes), layout, [plane.shape for plane in planes])

    assert all((one == other).all() and one.dtype == other.dtype for one, other in zip(planes, back, strict=True))
    assert all(plane.flags.writeable for plane in back)


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le"])
def test_pictures_get_smaller(name: str) -> None:
    y, u, v = draw(name, 1).planes
    smooth = [np.sort(plane, axis=1) for plane in (y, u, v)]

    assert len(pack(smooth)) < 0.5 * len(raw_bytes(smooth))


def test_raw_bytes_are_little_endian_rows() -> None:
    assert raw_bytes([np.array([[1, 2], [3, 0x104]], np.uint16)]).hex() == "0100020003000401"
    assert raw_bytes([np.array([[1, 2], [3, 4]], np.uint8)[:, :1]]).hex() == "0103"


@pytest.mark.parametrize(
    "data",
    [b"", b"nothing", zlib.compress(bytes(5)), zlib.compress(bytes(7)), zlib.compress(bytes(6)) + b"x",
     zlib.compress(bytes(6))[:-1], zlib.compress(bytes(1 << 24))],
    ids=["empty", "not packed", "too few", "too many", "more behind", "cut off", "a bomb"],
)  # fmt: skip
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(data, PIXEL_FORMATS["yuv420p"], [(2, 2), (1, 1), (1, 1)])
