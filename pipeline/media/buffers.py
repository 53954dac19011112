"""FFmpeg's things in Python's terms: packets that decoders may read, planes as arrays, errors as words."""

from __future__ import annotations

from typing import Any, TypeAlias

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from operators.shown import Shown

AvPacket: TypeAlias = "av.Packet[Any]"


def packet_of(data: bytes) -> AvPacket:
    """A packet with these bytes followed by the zeros that decoders read as well.

    `av.Packet(data)` has none: it refers to the bytes object, and what follows them in memory was seen to
    change pictures.
    """
    packet: AvPacket = av.Packet(len(data))
    if data:
        packet.update(data)
    return packet


def words(error: av.FFmpegError | ValueError) -> str:
    """What FFmpeg says went wrong, without its number and without the URL, in which a password may be.

    >>> words(ValueError("Invalid data"))
    'invalid data'
    """
    said = error.strerror if isinstance(error, av.FFmpegError) else str(error)
    return (said or str(error)).lower()


def matrix_of(frame: VideoFrame) -> tuple[int, ...]:
    """The nine numbers of the display matrix that comes with a picture; empty if none does."""
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # the picture also has something that PyAV has no name for; its turn can still be read
        return Shown.turned(frame.rotation).matrix
    return () if matrix is None else tuple(np.frombuffer(bytes(matrix), np.int32).tolist())


def samples(plane: VideoPlane, dtype: Any) -> NDArray[Any]:
    """A writable view `(rows, columns)` into the plane, without the padding of its lines."""
    buffer: Any = plane  # exports the buffer protocol, which its stub cannot say before Python 3.12
    return np.frombuffer(buffer, dtype).reshape(plane.height, -1)[:, : plane.width]
