"""FFV1 in Matroska: for pictures that have to come out again bit by bit.

x264 is lossless at 8 bits only, and does not take odd sizes; FFV1 (RFC 9043) takes every format there is here, checks
each slice by a sum, and is what archives keep.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import VideoFrame

from engines import FrameError
from operators.frame import Picture
from pipeline.media.buffers import samples, words
from pipeline.wire import Head, Packet, fraction, rational


class LosslessEncoder:
    """Encodes pictures of one size and format.

    Args:
        head: of the video whose pictures they are: time base, colours and shape are taken over.
        first: a picture of that size and format.

    Attributes:
        head: of what comes out, for `FileMuxer`.

    Raises:
        FrameError: FFV1 does not take such pictures.
    """

    def __init__(self, head: Head, first: Picture) -> None:
        self._layout = first.format, first.width, first.height
        codec = av.CodecContext.create("ffv1", "w")
        codec.width, codec.height, codec.pix_fmt = first.width, first.height, first.format.name
        codec.time_base = self._time_base = fraction(head.time_base)
        codec.thread_count = 1
        codec.flags |= Flags.global_header
        codec.color_range, codec.colorspace = head.color.range, head.color.matrix
        codec.color_primaries, codec.color_trc = head.color.primaries, head.color.transfer
        codec.options = {"level": "3", "coder": "1", "context": "0", "slicecrc": "1", "slices": "4", "strict": "normal"}
        try:
            codec.open()
        except av.FFmpegError as error:
            raise FrameError(f"FFV1 does not take {first.width}x{first.height} {first.format.name}") from error
        self._codec = codec
        self.head = Head()
        self.head.CopyFrom(head)
        for name in ("audio", "created_us", "first_pts", "bits_per_coded_sample", "reorder_depth"):
            self.head.ClearField(name)
        self.head.codec, self.head.extradata = "ffv1", codec.extradata or b""
        self.head.width, self.head.height, self.head.pixel_format = first.width, first.height, first.format.name
        self.head.rate.CopyFrom(rational(fraction(head.rate) or Fraction(25)))

    def encode(self, picture: Picture, pts: int, duration: int) -> Packet:
        """One picture, which is copied; `pts` and `duration` in ticks of the head's time base.

        Raises:
            FrameError: it has another size or format.
        """
        if (picture.format, picture.width, picture.height) != self._layout:
            raise FrameError(f"pictures change to {picture.width}x{picture.height} {picture.format.name}")
        frame = VideoFrame(picture.width, picture.height, picture.format.name)
        for plane, pixels in zip(frame.planes, picture.planes, strict=True):
            np.copyto(samples(plane, pixels.dtype), pixels)
        frame.pts, frame.time_base = pts, self._time_base
        try:
            (packet,) = self._codec.encode(frame)
        except (av.FFmpegError, ValueError) as error:
            raise FrameError(f"ffv1: {words(error)}") from error
        return Packet(pts=pts, dts=pts, duration=duration, key=True, data=bytes(packet))
