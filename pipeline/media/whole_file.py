"""Whether a file is as long as it says: containers state lengths, and one that was cut off is shorter than they are.

Read in plain Python by a jailed process, after all packets, and as little as that takes. What states nothing, such as a
bare stream or a recording that nobody finished, is not held to anything but that its last element is whole.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_LONGEST_WALK = 200_000
"""Elements that are looked at: a day of clusters has fewer."""
_SLACK = 16
"""Bytes by which programs are seen to miscount a RIFF file."""
_PACKET_SIZES, _TIMED_PACKET, _SYNC = (188, 192, 204), 192, b"G"
_LAST_PACKETS, _LAST_BYTES = 20_000, 1 << 20
"""Of a transport stream and of a program stream: the last pieces of all tracks begin within them."""
_PACK, _PROGRAM_END = b"\0\0\1\xba", 0xB9
_ASF_HEADER, _ASF_FILE = (
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"),
)
_FLV_TAG_HEADER = 11
_GIF_TRAILER = b"\x3b"


def missing(descriptor: int, container: str) -> str:
    """What of a file is not there, in a few words; empty if it is whole, or nothing can be said.

    Args:
        descriptor: of the open file, whose offset is moved; it stays open.
        container: FFmpeg's name of what it was read as.
    """
    look = next((look for name, look in _LOOKS.items() if name in container.split(",")), None)
    status = os.fstat(descriptor)
    if look is None or not stat.S_ISREG(status.st_mode):
        return ""
    length = status.st_size
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        try:
            return look(file, length)
        except (struct.error, IndexError):
            return "its last element is not whole"


def _boxes(file: BinaryIO, length: int) -> str:
    """The outermost boxes of ISO/IEC 14496-12: each begins where the one before ends."""
    place = 0
    for _ in range(_LONGEST_WALK):
        if place + 8 > length:
            break
        file.seek(place)
        size, header = int.from_bytes(file.read(4), "big"), 8
        kind = file.read(4)
        if size == 1:
            size, header = int.from_bytes(file.read(8), "big"), 16
        if size == 0 or not kind.isascii():  # goes to the end, or is padding
            return ""
        if size < header:
            return ""
        if place + size > length:
            return _short(place + size, length)
        place += size
    return ""


def _matroska(file: BinaryIO, length: int) -> str:
    place = 0
    while place < length:
        id_, begin, end = _ebml(file, place, length)
        if id_ == _SEGMENT:
            return _clusters(file, begin, length) if end is None else _short(end, length) if end > length else ""
        if end is None:
            return ""
        place = end
    return ""


def _clusters(file: BinaryIO, place: int, length: int) -> str:
    """The elements of a segment: the last one goes no further than the file."""
    for _ in range(_LONGEST_WALK):
        if place >= length:
            return ""
        id_, begin, end = _ebml(file, place, length)
        if end is None:  # of a cluster that is written as it goes: its elements are next
            place = begin
            continue
        if end > length:
            return f"its last element lacks {end - length} bytes"
        place = end
        if id_ == 0:
            return ""
    return ""


def _ebml(file: BinaryIO, place: int, length: int) -> tuple[int, int, int | None]:
    """Id, beginning and end of the element there; its end is None where that is not stated."""
    file.seek(place)
    head = file.read(12)
    id_bytes = 9 - head[0].bit_length() if head[0] else 0
    if not 0 < id_bytes <= 4:
        return 0, length, length  # no element: something that was put behind the file
    size_bytes = 9 - head[id_bytes].bit_length() if head[id_bytes] else 8
    stated = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
    if len(head) < id_bytes + size_bytes:
        raise IndexError("an element that breaks off")
    begin = place + id_bytes + size_bytes
    unknown = stated == (1 << 7 * size_bytes) - 1
    return int.from_bytes(head[:id_bytes], "big"), begin, None if unknown else begin + stated


def _riff(file: BinaryIO, length: int) -> str:
    """One RIFF list after the other; a length of 0 was never filled in."""
    place = 0
    for _ in range(_LONGEST_WALK):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8 or head[:4] != b"RIFF":
            return ""
        size = int.from_bytes(head[4:], "little")
        if size == 0:
            return "nobody finished it: its length was never filled in"
        place += 8 + size + size % 2
        if place > length + _SLACK:
            return _short(place, length)
    return ""


def _transport(file: BinaryIO, length: int) -> str:
    """Packets of one size, the last one whole; and the last piece of each track that says how long it is, too."""
    head = file.read(5 * max(_PACKET_SIZES))
    for size in _PACKET_SIZES:
        syncs = (at for at in range(size) if all(head[at + k * size : at + k * size + 1] == _SYNC for k in range(4)))
        first = next(syncs, None)
        if first is None:
            continue
        skip = 4 if size == _TIMED_PACKET else 0  # bytes before each packet: its time
        over = (length - first + skip) % size
        if over:
            file.seek(length - over)
            is_packet = file.read(5)[skip : skip + 1] in (_SYNC, b"")  # else somebody put it there
            return f"its last packet lacks {size - over} bytes" if is_packet else ""
        count = min(_LAST_PACKETS, (length - first + skip) // size)
        file.seek(length - count * size)
        data = file.read(count * size)
        return _last_pieces(data[place + skip : place + skip + 188] for place in range(0, len(data), size))
    return ""


def _last_pieces(packets: Iterable[bytes]) -> str:
    """Of a PES packet, ISO/IEC 13818-1, 2.4.3.6, as many bytes as it says; those of video mostly do not."""
    lacking: dict[int, int] = {}
    for packet in packets:
        if packet[:1] != _SYNC or not packet[3] & 0x10:
            continue
        track, begins = int.from_bytes(packet[1:3], "big") & 0x1FFF, packet[1] & 0x40
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        if begins and payload[:3] == b"\0\0\1" and len(payload) >= 6:
            stated = int.from_bytes(payload[4:6], "big")
            lacking[track] = stated + 6 - len(payload) if stated else 0
        elif track in lacking:
            lacking[track] -= len(payload)
    lost = max(lacking.values(), default=0)
    return f"the last piece of a track lacks {lost} bytes" if lost > 0 else ""


def _program(file: BinaryIO, length: int) -> str:
    """A program stream's last packets, ISO/IEC 13818-1, 2.5.3: each but the pack header says how long it is."""
    back = min(length, _LAST_BYTES)
    file.seek(length - back)
    data = file.read(back)
    place = data.find(_PACK)
    while 0 <= place < len(data) - 4 and data[place : place + 3] == _PACK[:3]:
        kind = data[place + 3]
        if kind == _PROGRAM_END:
            return ""
        if kind == _PACK[3]:
            second = len(data) > place + 13 and data[place + 4] >> 6 == 1
            place += 14 + (data[place + 13] & 7) if second else 12
        else:
            place += 6 + int.from_bytes(data[place + 4 : place + 6], "big")
    if 0 <= place < len(data) and len(data) - place < 4 and _PACK.startswith(data[place : place + 3]):
        return "its last packet is not whole"
    return f"its last packet lacks {place - len(data)} bytes" if place > len(data) else ""


def _flv(file: BinaryIO, length: int) -> str:
    file.seek(5)
    place = int.from_bytes(file.read(4), "big") + 4
    while place < length:
        file.seek(place)
        head = file.read(4)
        if len(head) < 4:
            return "its last element is not whole"
        place += _FLV_TAG_HEADER + int.from_bytes(head[1:], "big") + 4
    return f"its last element lacks {place - length} bytes" if place - 4 > length else ""


def _asf(file: BinaryIO, length: int) -> str:
    head = file.read(1 << 16)
    at = head.find(_ASF_FILE)
    if not head.startswith(_ASF_HEADER) or at < 0:
        return ""
    (size,) = struct.unpack_from("<Q", head, at + 40)
    (flags,) = struct.unpack_from("<I", head, at + 88)
    return _short(size, length) if size > length and not flags & 1 else ""


def _gif(file: BinaryIO, length: int) -> str:
    file.seek(max(0, length - 64))
    return "" if file.read().rstrip(b"\0").endswith(_GIF_TRAILER) else "its end is missing"


def _ivf(file: BinaryIO, length: int) -> str:
    file.seek(6)
    place = int.from_bytes(file.read(2), "little") or 32
    while place < length:
        file.seek(place)
        head = file.read(4)
        if place + 12 > length:
            return "its last element is not whole"
        place += 12 + int.from_bytes(head, "little")
    return f"its last element lacks {place - length} bytes" if place > length else ""


def _ogg(file: BinaryIO, length: int) -> str:
    """The last page is whole."""
    back = min(length, 1 << 17)
    file.seek(length - back)
    tail = file.read(back)
    at = tail.rfind(b"OggS")
    if at < 0:
        return ""
    segments = tail[at + 26]
    sizes = tail[at + 27 : at + 27 + segments]
    lacks = 27 + segments + sum(sizes) - (len(tail) - at)
    return f"its last page lacks {lacks} bytes" if lacks > 0 or len(sizes) < segments else ""


def _short(stated: int, length: int) -> str:
    return f"it is {length} bytes long, and says that it has {stated}"


_LOOKS: Mapping[str, Callable[[BinaryIO, int], str]] = {
    "mov": _boxes,
    "matroska": _matroska,
    "avi": _riff,
    "mpegts": _transport,
    "mpeg": _program,
    "flv": _flv,
    "asf": _asf,
    "gif": _gif,
    "ivf": _ivf,
    "ogg": _ogg,
}
