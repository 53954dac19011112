"""Seals: exact, bound to all that they say, and useless once one bit of them is another one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.frame import PIXEL_FORMATS, Picture
from pipeline.sealing import NotAuthentic
from pipeline.sealing.keys import StreamKeys
from pipeline.sealing.seal import SealedFace, about, open_seal, parsed, put_back, rect_of, seal_face, shapes_of
from pipeline.wire import Rational, Seal, SealFileHead
from tests.pipeline.sealing.clip import draw

FACE = SealedFace(epoch=1, index=1 << 40, pts=-7, track=-1, style="blur")


def keys_of(root: bytes = bytes(32), stream: str = "cam") -> StreamKeys:
    return StreamKeys(root, stream=stream, key_id="00000000", keyring="aa" * 16, period=1)


KEYS = keys_of()
SEAL = seal_face(KEYS, draw("yuv420p", 3, 32, 32), (4, 5, 15, 14), FACE)
BYTES = SEAL.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", sorted(PIXEL_FORMATS))
@pytest.mark.parametrize("box", [(0, 0, 33, 31), (3.2, 5.9, 4.1, 6.2), (-9, 20, 11, 99), (31, 29, 32.5, 30.5)])
def test_a_crop_comes_back_exactly(name: str, box: tuple[float, float, float, float]) -> None:
    picture = draw(name, 2, 33, 31)

    seal = seal_face(KEYS, picture, box, FACE)
    y, u, v = (np.zeros_like(plane) for plane in picture.planes)
    blank = replace(picture, planes=(y, u, v))
    put_back(blank, seal, open_seal(keys_of(), seal))

    x1, y1, x2, y2 = rect_of(seal)
    assert x1 <= max(box[0], 0) and y1 <= max(box[1], 0) and x2 >= min(box[2], 33) and y2 >= min(box[3], 31)
    assert (x1 % picture.format.subsample_x, y1 % picture.format.subsample_y) == (0, 0)
    inside = picture.part(x1, y1, x2, y2).planes
    assert all((one == other).all() for one, other in zip(blank.part(x1, y1, x2, y2).planes, inside, strict=True))
    assert int(blank.planes[0].astype(int).sum()) == int(inside[0].astype(int).sum())  # nothing outside of it
    assert shapes_of(seal) == [plane.shape for plane in inside]


def test_it_says_what_it_is_about_and_shows_nothing() -> None:
    assert (SEAL.epoch, SEAL.index, SEAL.pts, SEAL.track, SEAL.style) == (1, 1 << 40, -7, -1, "blur")
    assert (SEAL.stream, SEAL.key_id, SEAL.period, SEAL.scheme) == ("cam", "00000000", 1, "escrow")
    again = seal_face(KEYS, draw("yuv420p", 3, 32, 32), (4, 5, 15, 14), FACE)
    assert again.ciphertext != SEAL.ciphertext and again.nonce != SEAL.nonce
    assert (
        again.digest
        == SEAL.digest
        != seal_face(keys_of(b"1" * 32), draw("yuv420p", 3, 32, 32), (4, 5, 15, 14), FACE).digest
    )


@given(st.integers(0, 8 * len(BYTES) - 1))
def test_any_bit_that_is_flipped_is_found(bit: int) -> None:
    data = bytearray(BYTES)
    data[bit // 8] ^= 1 << bit % 8

    with pytest.raises(NotAuthentic):
        open_seal(KEYS, parsed(Seal, bytes(data)))


@pytest.mark.parametrize("field", [field.name for field in Seal.DESCRIPTOR.fields])
def test_every_field_is_authenticated(field: str) -> None:
    changed = Seal.FromString(BYTES)
    value = getattr(changed, field)
    if isinstance(value, str):
        setattr(changed, field, value + "x")
    elif isinstance(value, bytes):
        setattr(changed, field, value[:-1] + bytes([value[-1] ^ 1]))
    elif isinstance(value, int | float):
        setattr(changed, field, value + 1)
    else:
        value[0] += 1

    with pytest.raises(NotAuthentic):
        open_seal(KEYS, changed)
    if not value:
        return
    cleared = Seal.FromString(BYTES)
    cleared.ClearField(field)  # type: ignore[arg-type]
    with pytest.raises(NotAuthentic):
        open_seal(KEYS, cleared)


@pytest.mark.parametrize(
    "keys", [keys_of(bytes(31) + b"\1"), keys_of(bytes(31) + b"\x80")], ids=["last bit", "another bit"]
)
def test_a_key_with_one_other_bit_opens_nothing(keys: StreamKeys) -> None:
    with pytest.raises(NotAuthentic, match="frame 1099511627776, track -1 is not authentic"):
        open_seal(keys, SEAL)


def test_64_wrong_keys() -> None:
    for number in range(64):
        with pytest.raises(NotAuthentic):
            open_seal(keys_of((1 << (4 * number)).to_bytes(32, "big")), SEAL)


def test_a_seal_does_not_fit_into_another_picture() -> None:
    planes = open_seal(KEYS, SEAL)

    for picture in (draw("yuv420p", 1, 12, 32), draw("yuv422p", 1, 32, 32), draw("yuv420p10le", 1, 32, 32)):
        before = [plane.copy() for plane in picture.planes]
        with pytest.raises(NotAuthentic, match="does not fit"):
            put_back(picture, SEAL, planes)
        assert all((one == other).all() for one, other in zip(before, picture.planes, strict=True))


def test_a_box_outside_of_the_picture() -> None:
    with pytest.raises(ValueError, match="outside of the picture of 32x32"):
        seal_face(KEYS, draw("yuv420p", 1, 32, 32), (40, 0, 50, 10), FACE)


def test_what_is_written_in_another_way_is_not_taken() -> None:
    unknown = b"\xfa\x07\x01x"  # a field 127

    for data in (BYTES + unknown, BYTES + BYTES[:2], b"\xff", BYTES[:-1]):
        with pytest.raises(NotAuthentic):
            parsed(Seal, data)
    assert parsed(Seal, BYTES) == SEAL


def test_messages_within_messages_are_authenticated() -> None:
    one, other = (SealFileHead(stream="a", time_base=Rational(num=1, den=den)) for den in (25, 26))

    assert about(one) != about(other)
    assert about(one) == about(SealFileHead.FromString(one.SerializeToString()))


def test_the_picture_is_only_read() -> None:
    picture = draw("yuv420p", 1, 32, 32)
    for plane in picture.planes:
        plane.flags.writeable = False

    assert isinstance(seal_face(KEYS, Picture(picture.planes, picture.format), (0, 0, 9, 9), FACE), Seal)
