"""What an alpha channel hides is hidden for good: pictures are laid over black when they are decoded.

No output has an alpha channel, and most pictures under alpha 0 still hold what was there. VP8 and VP9 in Matroska carry
alpha as a second stream, a picture of it with each of theirs, which their usual decoders pass over; others have it as a
plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from operators.arrays import Array
from pipeline.media.buffers import packet_of, samples
from pipeline.media.formats import DECODERS

if TYPE_CHECKING:
    from pipeline.media.buffers import AvPacket

_SIDE_DATA: Final = "matroska_block_additional"
_NAME_BYTES, _ALPHA = 8, 1
"""What comes with a block of Matroska begins with a number that says what it is; 1 is alpha."""
_OPAQUE = 255
_WAITING = 32


def has_alpha(format: VideoFormat) -> bool:  # noqa: A002 - what it is
    """Pictures like this have an alpha channel.

    >>> has_alpha(VideoFormat("yuva420p")), has_alpha(VideoFormat("bgr0"))
    (True, False)
    """
    return any(component.is_alpha for component in format.components)


def alpha_of(packet: AvPacket) -> bytes:
    """The alpha picture that comes with a packet, coded as the packet is; empty if none does."""
    if not packet.has_sidedata(_SIDE_DATA):
        return b""
    added = bytes(packet.get_sidedata(_SIDE_DATA))
    is_alpha = int.from_bytes(added[:_NAME_BYTES], "big") == _ALPHA
    return added[_NAME_BYTES:] if is_alpha else b""


class AlphaStream:
    """Decodes the alpha pictures that come with those of a stream.

    Once one has come, every picture needs one: what would be shown without it nobody knows.

    Args:
        codec: of the stream, and so of its alpha.
        width, height: of its pictures.
        max_pixels: of a picture.
    """

    def __init__(self, codec: str, width: int, height: int, max_pixels: int) -> None:
        self._settings = codec, width, height, max_pixels
        self._codec: VideoCodecContext | None = None
        self._planes: dict[int, Array] = {}

    def send(self, data: bytes, number: int) -> None:
        """Takes the alpha picture of the packet of that number; empty if it has none.

        Raises:
            av.FFmpegError: it cannot be decoded.
        """
        if not data:
            return
        if self._codec is None:
            self._codec = _open(*self._settings)
        packet = packet_of(data)
        packet.pts = packet.dts = number
        for frame in self._codec.decode(packet):
            self._planes[frame.pts or 0] = samples(frame.planes[0], np.uint8).copy()
        for old in [old for old in self._planes if old < number - _WAITING]:
            del self._planes[old]

    def take(self, frame: VideoFrame) -> Array | None:
        """How opaque the picture is, `(h, w)` uint8; None where no picture of the stream has alpha so far.

        Raises:
            ValueError: it has none, and others had, or it is of another size.
        """
        if self._codec is None:
            return None
        plane = self._planes.pop(frame.pts or 0, None)
        if plane is None or plane.shape != (frame.height, frame.width):
            raise ValueError("its alpha channel is missing")
        return plane


def plane_of(frame: VideoFrame) -> Array | None:
    """How opaque a picture with an alpha plane is, `(h, w)` uint8; None for one without."""
    if not has_alpha(frame.format):
        return None
    whole = frame if frame.format.name == "yuva444p" else frame.reformat(format="yuva444p", threads=1)
    return samples(whole.planes[3], np.uint8).copy()


def lay_over_black(planes: Sequence[Array], opacity: Array, *, bits: int, full_range: bool) -> None:
    """Darkens Y, U and V in place: to black where `opacity` `(h, w)` is 0, not at all where it is 255.

    >>> y, u, v = (np.full((2, 2), value, np.uint8) for value in (200, 90, 90))
    >>> lay_over_black([y, u, v], np.array([[255, 0], [0, 255]], np.uint8), bits=8, full_range=False)
    >>> y.tolist(), u.tolist()
    ([[200, 16], [16, 200]], [[90, 128], [128, 90]])
    """
    if opacity.min() == _OPAQUE:
        return
    black = 0 if full_range else 16 << (bits - 8)
    for plane, floor in zip(planes, (black, 1 << (bits - 1), 1 << (bits - 1)), strict=True):
        part = _reduced(opacity, plane.shape)
        plane[:] = np.rint(floor + (plane.astype(np.float32) - floor) * part)


def _reduced(opacity: Array, shape: tuple[int, ...]) -> Array:
    """0 to 1 at a plane's size: the mean of the samples that each of its samples covers."""
    down, across = opacity.shape[0] // shape[0], opacity.shape[1] // shape[1]
    part = opacity.astype(np.float32) / _OPAQUE
    return np.asarray(part.reshape(shape[0], down, shape[1], across).mean(axis=(1, 3)))


def _open(codec: str, width: int, height: int, max_pixels: int) -> VideoCodecContext:
    context = av.CodecContext.create(DECODERS[codec], "r")
    assert isinstance(context, VideoCodecContext)  # noqa: S101 - all of the list are
    context.width, context.height, context.thread_count = width, height, 1
    context.options = {"max_pixels": str(max_pixels)}
    context.open()
    return context
