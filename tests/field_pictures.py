"""H.264 whose frames are two field pictures each, every field in a packet of its own, as in 1080i broadcasts. Written
macroblock by macroblock (I_PCM, nothing predicted), since encoders at hand write interlaced frames.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media.buffers import packet_of

FIELD_RATE = 50
_BASE = 90_000


class _Bits:
    def __init__(self) -> None:
        self._bits: list[int] = []

    def fixed(self, value: int, count: int) -> _Bits:
        self._bits += [value >> k & 1 for k in reversed(range(count))]
        return self

    def golomb(self, *values: int) -> _Bits:
        for value in values:
            length = (value + 1).bit_length()
            self.fixed(0, length - 1).fixed(value + 1, length)
        return self

    def whole(self, *, stop: bool = False) -> bytes:
        bits = [*self._bits, 1] if stop else self._bits
        return np.packbits(np.array(bits + [0] * (-len(bits) % 8), np.uint8)).tobytes()


def unit(head: int, payload: bytes) -> bytes:
    """A unit of a byte stream, with what keeps its bytes from looking like the next one's beginning."""
    made, zeros = bytearray(), 0
    for byte in payload:
        if zeros > 1 and byte < 4:
            made.append(3)
            zeros = 0
        made.append(byte)
        zeros = 0 if byte else zeros + 1
    return b"\0\0\0\1" + bytes([head]) + bytes(made)


def parameter_sets(width: int, height: int) -> bytes:
    """Main profile, order count type 0 of 8 bits, frames may be coded as fields, frame numbers of 4 bits."""
    sequence = _Bits().fixed(77, 8).fixed(0, 8).fixed(30, 8).golomb(0, 0, 0, 4, 1).fixed(0, 1)
    sequence.golomb(width // 16 - 1, height // 32 - 1).fixed(0b00100, 5)
    picture = _Bits().golomb(0, 0).fixed(0, 2).golomb(0, 0, 0).fixed(0, 3).golomb(0, 0, 0).fixed(0b100, 3)
    return unit(0x67, sequence.whole(stop=True)) + unit(0x68, picture.whole(stop=True))


def slice_head(number: int, *, second: bool, bottom: bool) -> bytes:
    """The first bytes of a field's only slice."""
    head = _Bits().golomb(0, 7, 0).fixed(0, 4).fixed(1, 1).fixed(bottom, 1)
    if not second:
        head.golomb(number % 2)
    return unit(0x21 if second else 0x65, head.fixed(second, 8).whole(stop=True))


def packets(frames: list[NDArray[np.uint8]], *, bottom_first: bool = False) -> list[bytes]:
    """Two packets for each frame `(h, w, 3)` BGR, w a multiple of 16 and h of 32."""
    height, width = frames[0].shape[:2]
    made = []
    for number, frame in enumerate(frames):
        flat = cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420)
        quarter = height // 4
        planes = flat[:height], *(flat[at : at + quarter].reshape(height // 2, -1) for at in (height, height + quarter))
        for second in (False, True):
            bottom = second != bottom_first
            lines = [plane[int(bottom) :: 2] for plane in planes]
            sets = b"" if second else parameter_sets(width, height)
            made.append(b"\0\0\0\1\x09\x10" + sets + _field(lines, number, second=second, bottom=bottom))
    return made


def _field(planes: list[NDArray[Any]], number: int, *, second: bool, bottom: bool) -> bytes:
    head = _Bits().golomb(0, 7, 0).fixed(0, 4).fixed(1, 1).fixed(bottom, 1)
    if not second:
        head.golomb(number % 2)
    head.fixed(second, 8).fixed(0, 1 if second else 2).golomb(0, 1)
    body = bytearray()
    for row in range(planes[0].shape[0] // 16):
        for column in range(planes[0].shape[1] // 16):
            body += (head if not row + column else _Bits()).golomb(25).whole()
            for plane, side in zip(planes, (16, 8, 8), strict=True):
                part = plane[row * side : (row + 1) * side, column * side : (column + 1) * side]
                body += np.clip(part, 1, 254).astype(np.uint8).tobytes()
    return unit(0x21 if second else 0x65, bytes(body) + b"\x80")


def write(path: Path, frames: list[NDArray[np.uint8]], *, bottom_first: bool = False) -> Path:
    """A file of 25 frames a second, by its suffix: `.ts`, `.mp4` or `.mkv`."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", format="mpegts" if path.suffix == ".ts" else None) as file:
        stream = file.add_mux_stream("h264", rate=25, width=width, height=height)
        stream.time_base = Fraction(1, _BASE)
        for n, data in enumerate(packets(frames, bottom_first=bottom_first)):
            packet = packet_of(data)
            packet.pts = packet.dts = _BASE + n * _BASE // FIELD_RATE
            packet.time_base, packet.is_keyframe, packet.stream = Fraction(1, _BASE), n % 2 == 0, stream
            file.mux(packet)
    return path
