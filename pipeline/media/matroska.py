"""The one thing that FFmpeg, as it is reached from here, does not write into a Matroska file: how wide it is shown.

Where the container is silent, players go by what the pictures themselves say of their samples, but not all do. FFmpeg
is made to name the track by as many bytes as the display size takes; when the file is done, the name makes way for it,
within its track, so that nothing else in the file moves.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

PLACEHOLDER = "shown as is"
"""The track's name until its display size is written: with its own head, as many bytes as that takes."""
BEGINNING = 1 << 20
"""Tracks stand within so many bytes of a file."""
LARGEST_SIDE = 0xFFFF

_SEGMENT, _TRACKS, _CRC, _TRACK = 0x18538067, 0x1654AE6B, 0xBF, 0xAE
_NAME, _VIDEO, _WIDTH, _HEIGHT, _UNIT = 0x536E, 0xE0, 0x54B0, 0x54BA, 0x54B2


@dataclass(frozen=True, slots=True)
class _Element:
    """Where an element begins, where its size stands, and where its contents begin and end."""

    id: int
    begin: int
    size: int
    content: int
    end: int


def display_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Width and height of a picture in square pixels: of its exact proportions, and about as large.

    >>> display_size(352, 288, Fraction(16, 11)), display_size(720, 576, Fraction(45, 44))
    ((512, 288), (675, 528))
    """
    shape = width * aspect / height
    times = max(1, round(width * aspect / shape.numerator))
    exact = shape.numerator * times, shape.denominator * times
    return exact if max(exact) <= LARGEST_SIDE else (min(round(width * aspect), LARGEST_SIDE), height)


def state_display_size(path: Path, width: int, height: int) -> bool:
    """Writes it in the place of PLACEHOLDER; false, and the file as it was, where there is no such track."""
    with path.open("r+b") as file:
        data = file.read(BEGINNING)
        segments = _elements(data, 0, len(data), _SEGMENT)
        tracks = next((found for s in segments for found in _elements(data, s.content, s.end, _TRACKS)), None)
        if tracks is None or tracks.end > len(data):
            return False
        for track in _elements(data, tracks.content, tracks.end, _TRACK):
            changed = _with_size(data, track, width, height)
            if changed is not None:
                written = bytearray(data[: tracks.end])
                written[track.content : track.end] = changed
                _sum_up(written, tracks)
                file.seek(tracks.begin)
                file.write(written[tracks.begin :])
                return True
    return False


def _with_size(data: bytes, track: _Element, width: int, height: int) -> bytes | None:
    """The contents of the track's entry, as long as they were; None if it is not the one."""
    name = next(_elements(data, track.content, track.end, _NAME), None)
    video = next(_elements(data, track.content, track.end, _VIDEO), None)
    if name is None or video is None or data[name.content : name.end] != PLACEHOLDER.encode() or video.begin < name.end:
        return None
    sides = b"".join(_number(id_, side) for id_, side in ((_WIDTH, width), (_HEIGHT, height)))
    length_bytes, length = video.content - video.size, video.end - video.content + len(sides)
    if len(sides) != name.end - name.begin or length >= (1 << 7 * length_bytes) - 1:
        return None
    size = (length | 1 << 7 * length_bytes).to_bytes(length_bytes, "big")
    before = data[track.content : name.begin] + data[name.end : video.size]
    pixels = bytearray(data[video.content : video.end])
    for unit in _elements(bytes(pixels), 0, len(pixels), _UNIT):
        pixels[unit.content : unit.end] = bytes(unit.end - unit.content)  # in pixels, instead of unknown
    return before + size + pixels + sides + data[video.end : track.end]


def _number(id_: int, value: int) -> bytes:
    return id_.to_bytes(2, "big") + b"\x84" + value.to_bytes(4, "big")


def _sum_up(data: bytearray, tracks: _Element) -> None:
    """Puts the checksum right, which goes before what it is of."""
    crc = next(_elements(bytes(data), tracks.content, tracks.end, _CRC), None)
    if crc is not None:
        data[crc.content : crc.end] = zlib.crc32(bytes(data[crc.end : tracks.end])).to_bytes(4, "little")


def _elements(data: bytes, begin: int, end: int, wanted: int) -> Iterator[_Element]:
    """The elements of that id in a stretch; ends where there are no whole ones any more."""
    while begin < min(end, len(data)):
        size = begin + _length(data[begin])
        if size >= len(data):
            return
        content = size + _length(data[size])
        length = int.from_bytes(data[size:content], "big") & ((1 << 7 * (content - size)) - 1)
        unknown = length == (1 << 7 * (content - size)) - 1
        until = end if unknown else content + length
        element = _Element(int.from_bytes(data[begin:size], "big"), begin, size, content, until)
        if element.id == wanted:
            yield element
        begin = element.end


def _length(first: int) -> int:
    """How many bytes a number has that begins with this one."""
    return 9 - first.bit_length() if first else 8
