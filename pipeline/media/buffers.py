"""FFmpeg's buffers: planes as arrays, and packets that its decoders may read."""

from __future__ import annotations

from typing import Any, TypeAlias

import av
import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray

AvPacket: TypeAlias = "av.Packet[Any]"


def packet_of(data: bytes) -> AvPacket:
    """A packet with these bytes and, behind them, the zeros that decoders read as well.

    `av.Packet(data)` has none: it refers to the bytes object, and what lies behind that in memory was seen to
    change pictures.
    """
    packet: AvPacket = av.Packet(len(data))
    if data:
        packet.update(data)
    return packet


def samples(plane: VideoPlane, dtype: Any) -> NDArray[Any]:
    """A writable view `(rows, columns)` into the plane, without the padding of its lines."""
    buffer: Any = plane  # exports the buffer protocol, which its stub cannot say before Python 3.12
    return np.frombuffer(buffer, dtype).reshape(plane.height, -1)[:, : plane.width]
