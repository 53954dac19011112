"""Interlaced H.264 whose fields are pictures of their own, each in a packet: which packet completes a frame.

A decoder gives one frame for two such packets, and says nothing of the second. Only what is needed for that is read:
the beginnings of parameter sets and slices, as ITU-T H.264, 7.3 has them. It runs in jailed processes alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from operators.shown import FieldOrder

SLICE, IDR_SLICE, SPS, PPS = 1, 5, 7, 8
BEGINNING, SLICE_BEGINNING = 512, 32
"""So many bytes of a unit are read at most: parameter sets are shorter, and so is what is wanted of a slice."""
_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_MOST_REFERENCES = 255


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Of a sequence parameter set, what slices are read by."""

    frame_number_bits: int
    separate_planes: bool
    whole_only: bool


@dataclass(frozen=True, slots=True)
class _Field:
    """A slice's frame number, and whether it is of a bottom field."""

    frame_number: int
    bottom: bool


class _Bits:
    """Reads numbers from the beginning of a unit; ValueError past its end."""

    def __init__(self, unit: bytes) -> None:
        plain = unit[:BEGINNING].replace(b"\0\0\3", b"\0\0")
        self._number, self._left = int.from_bytes(plain, "big"), 8 * len(plain)

    def fixed(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("a unit that breaks off")
        return self._number >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        zeros = 0
        while not self.fixed(1):
            zeros += 1
        return (1 << zeros) - 1 + self.fixed(zeros)

    def signed(self) -> int:
        value = self.golomb()
        return (value + 1) // 2 if value % 2 else -(value // 2)


class FieldPairs:
    """Follows the packets of a stream in decoding order.

    Args:
        codec: everything but `h264` has no such packets.
        extradata: of the stream.

    Attributes:
        first: which field came first in the first pair; empty as long as there was none.
    """

    def __init__(self, codec: str, extradata: bytes) -> None:
        self.first: FieldOrder = ""
        self._reads = codec == "h264"
        self._length_bytes = 0
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, int] = {}
        self._open: _Field | None = None
        if self._reads and len(extradata) > 6 and extradata[0] == 1:
            self._length_bytes = (extradata[4] & 3) + 1
            self._read(_records(extradata))
        elif self._reads:
            self._read(_started(extradata))

    def completes(self, data: bytes) -> bool:
        """Whether the next packet holds the second field of the picture that the one before it began."""
        if not self._reads:
            return False
        units = _measured(data, self._length_bytes) if self._length_bytes else _started(data)
        before, self._open = self._open, self._read(units)
        if before is None or self._open is None or self._open.frame_number != before.frame_number:
            return False
        if self._open.bottom == before.bottom:
            return False
        self.first = self.first or ("bottom" if before.bottom else "top")
        self._open = None
        return True

    def _read(self, units: Iterator[bytes]) -> _Field | None:
        """Takes in parameter sets up to the first slice; what that one says of a field, None for a whole frame."""
        for unit in units:
            kind = unit[0] & 31 if unit else 0
            try:
                if kind == SPS:
                    number, sequence = _sequence(_Bits(unit))
                    self._sequences[number] = sequence
                elif kind == PPS:
                    bits = _Bits(unit[1:])
                    self._pictures[bits.golomb()] = bits.golomb()
                elif kind in (SLICE, IDR_SLICE):
                    return self._field(_Bits(unit[1:SLICE_BEGINNING]))
            except (ValueError, KeyError):
                return None  # a broken unit is the decoder's affair
        return None

    def _field(self, bits: _Bits) -> _Field | None:
        bits.golomb()
        bits.golomb()
        sequence = self._sequences[self._pictures[bits.golomb()]]
        if sequence.whole_only:
            return None
        if sequence.separate_planes:
            bits.fixed(2)
        number = bits.fixed(sequence.frame_number_bits)
        return _Field(number, bool(bits.fixed(1))) if bits.fixed(1) else None


def _sequence(bits: _Bits) -> tuple[int, _Sequence]:
    """Number and contents of a sequence parameter set."""
    bits.fixed(8)
    profile = bits.fixed(8)
    bits.fixed(16)
    number, separate = bits.golomb(), False
    if profile in _WITH_CHROMA:
        chroma = bits.golomb()
        separate = chroma == 3 and bool(bits.fixed(1))
        bits.golomb()
        bits.golomb()
        bits.fixed(1)
        if bits.fixed(1):
            _skip_scaling(bits, 8 if chroma != 3 else 12)
    frame_number_bits = bits.golomb() + 4
    _skip_order_count(bits)
    bits.golomb()
    bits.fixed(1)
    bits.golomb()
    bits.golomb()
    return number, _Sequence(frame_number_bits, separate, bool(bits.fixed(1)))


def _skip_scaling(bits: _Bits, lists: int) -> None:
    for number in range(lists):
        if not bits.fixed(1):
            continue
        last = following = 8
        for _ in range(16 if number < 6 else 64):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def _skip_order_count(bits: _Bits) -> None:
    kind = bits.golomb()
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.fixed(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.golomb(), _MOST_REFERENCES)):
            bits.signed()


def _started(data: bytes) -> Iterator[bytes]:
    """Beginnings of the units of a byte stream, which each follow 0 0 1."""
    at = data.find(b"\0\0\1")
    while at >= 0:
        yield data[at + 3 : at + 3 + BEGINNING]
        at = data.find(b"\0\0\1", at + 3)


def _measured(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """Beginnings of units that each follow their length, as in mp4."""
    at = 0
    while at + length_bytes < len(data):
        length = int.from_bytes(data[at : at + length_bytes], "big")
        at += length_bytes
        yield data[at : at + min(length, BEGINNING)]
        at += length


def _records(extradata: bytes) -> Iterator[bytes]:
    """The parameter sets of an AVCDecoderConfigurationRecord."""
    at, count = 6, extradata[5] & 31
    for _ in range(2):
        for _ in range(count):
            length = int.from_bytes(extradata[at : at + 2], "big")
            yield extradata[at + 2 : at + 2 + length]
            at += 2 + length
        if at >= len(extradata):
            return
        count, at = extradata[at], at + 1
