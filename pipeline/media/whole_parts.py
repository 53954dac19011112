"""How much of a growing video file is whole: after which byte it may be cut off, and how many pictures are before that.

Read from what was written, since muxers hold packets back as long as they like: fragments of mp4 and mov, clusters of
Matroska. The video is the first track in all of them.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

_EBML, _SEGMENT, _CLUSTER, _SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xA3, 0xA0, 0xA1
_VIDEO_TRACK = 1
_MATROSKA_MAGIC = b"\x1a\x45\xdf\xa3"


@dataclass(frozen=True, slots=True)
class WholePart:
    """The file up to a byte: `size` bytes with `pictures` pictures in them."""

    size: int
    pictures: int


class WholeParts:
    """Follows a file as it grows.

    Args:
        descriptor: of the file; is read at places of its own.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at, self._pictures, self._waiting = 0, 0, 0
        self._matroska: bool | None = None

    def new(self) -> list[WholePart]:
        """What has become whole since the last call, in the order of the file."""
        length = os.fstat(self._descriptor).st_size
        if self._matroska is None:
            if length < 8:
                return []
            self._matroska = os.pread(self._descriptor, 4, 0) == _MATROSKA_MAGIC
        found: list[WholePart] = []
        while (step := self._element(length) if self._matroska else self._box(length)) is not None:
            self._at, whole = step
            if whole:
                found.append(WholePart(self._at, self._pictures))
        return found

    def _box(self, length: int) -> tuple[int, bool] | None:
        """The end of the next box if it is there, and whether the file may end behind it."""
        head = os.pread(self._descriptor, 16, self._at)
        if len(head) < 8:
            return None
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1 and len(head) == 16:
            size = int.from_bytes(head[8:], "big")
        if size < 8 or self._at + size > length:
            return None
        if kind in (b"moov", b"moof"):
            self._waiting = _samples(os.pread(self._descriptor, size, self._at)[8:])
        if kind == b"mdat":  # what the box before it says of it
            self._pictures, self._waiting = self._pictures + self._waiting, 0
        return self._at + size, kind == b"mdat" and self._pictures > 0

    def _element(self, length: int) -> tuple[int, bool] | None:
        head = os.pread(self._descriptor, 12, self._at)
        try:
            kind, begin, size = _element_head(head)
        except IndexError:
            return None
        if kind == _SEGMENT:
            return self._at + begin, False
        if size is None or self._at + begin + size > length:
            return None
        if kind == _CLUSTER:
            self._pictures += _blocks(os.pread(self._descriptor, size, self._at + begin))
        return self._at + begin + size, kind == _CLUSTER


def has_index_at_end(descriptor: int) -> bool:
    """Whether an mp4 or mov has become one of the plain kind: its data come before its index."""
    at, kind = 0, b"free"
    while kind in (b"ftyp", b"free", b"wide", b"skip"):
        head = os.pread(descriptor, 8, at)
        if len(head) < 8:
            return False
        kind, at = head[4:], at + max(8, int.from_bytes(head[:4], "big"))
    return kind == b"mdat"


def _samples(boxes: bytes) -> int:
    """Of the first track, in the inside of a `moov` or a `moof`."""
    for kind, inside in _boxes(boxes):
        if kind in (b"trak", b"mdia", b"minf", b"stbl"):
            return _samples(inside)
        if kind == b"stsz":
            return int(struct.unpack_from(">I", inside, 8)[0])
        if kind == b"traf":
            parts = list(_boxes(inside))
            track = next(struct.unpack_from(">I", body, 4)[0] for name, body in parts if name == b"tfhd")
            if track == _VIDEO_TRACK:
                return sum(struct.unpack_from(">I", body, 4)[0] for name, body in parts if name == b"trun")
    return 0


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8:
            break
        found.append((data[at + 4 : at + 8], data[at + 8 : at + size]))
        at += size
    return found


def _element_head(head: bytes) -> tuple[int, int, int | None]:
    """Of an EBML element: its id, where its inside begins, and how long that is; None where that is not stated.

    >>> _element_head(bytes.fromhex("1f43b675 4002 0000"))
    (524531317, 6, 2)
    """
    id_bytes = 9 - head[0].bit_length()
    size_bytes = 9 - head[id_bytes].bit_length()
    if not 0 < id_bytes <= 4 or not 0 < size_bytes <= 8 or len(head) < id_bytes + size_bytes:
        raise IndexError("an element that breaks off")
    mask = (1 << 7 * size_bytes) - 1
    size = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & mask
    return int.from_bytes(head[:id_bytes], "big"), id_bytes + size_bytes, None if size == mask else size


def _blocks(cluster: bytes) -> int:
    """Of the video track, in the inside of a cluster or of a group of blocks."""
    count, at = 0, 0
    while at < len(cluster):
        kind, begin, size = _element_head(cluster[at : at + 12])
        inside = at + begin
        size = len(cluster) - inside if size is None else size
        if kind in (_SIMPLE_BLOCK, _BLOCK):
            count += cluster[inside] & 0x7F == _VIDEO_TRACK
        elif kind == _BLOCK_GROUP:
            count += _blocks(cluster[inside : inside + size])
        at = inside + size
    return count
