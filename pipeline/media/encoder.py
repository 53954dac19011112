"""From pictures to packets, in the codec that every sink can hold, and the clock that joins encoder runs."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Self, cast

import av
import av.logging
import numpy as np
from av.codec.context import Flags, OptionFlags
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.frame import PictureType, VideoFrame

from engines import ConfigError, FrameError
from operators.frame import Picture, PixelFormat
from operators.shown import FieldOrder
from pipeline.media.buffers import samples, words
from pipeline.media.shown import of_head
from pipeline.wire import Color, Head, Packet, fraction, rational

HARDWARE = ("h264_nvenc",)
"""Encoders that `auto` tries. Only such as take planes from memory and a constant quality."""
ENCODERS = ("libx264", *HARDWARE)
DEFAULT_RATE = Fraction(25)
"""Frames per second where a source does not say; it steers the rate control, and no time stamp."""

LARGE_BYTES = 26 << 20
"""Of larger pictures, as of 8K, x264 keeps few: by itself it holds some forty, gigabytes that a small file asks for."""
THRIFTY = {"rc-lookahead": "0", "bf": "0", "refs": "1"}
"""A dozen pictures."""
_OURS = frozenset({"flags", "forced-idr", "threads", "thread_type", "color_range", "colorspace", "max_pixels"})
_LIMITED, _FULL = 1, 2
_FIRST_PTS = -(1 << 62)
"""Time stamps further from zero leave no room to count with."""
_RGB, _BT601 = 0, 6


class Encoder:
    """One run of x264, or of a hardware encoder: one size, one format, one clock. After `flush` it is used up.

    Of x264, the same pictures give the same bytes, as long as options and `threads` are the same.

    Args:
        head: of the source: time base, rate, sample aspect and colours are taken over.
        format, width, height: of the pictures.
        preset: of x264; hardware has one of its own.
        crf: constant quality, 0 (lossless) to 51.
        low_latency: no packet waits for a later picture; half again as many bytes.
        options: further options of the encoder by FFmpeg's names, such as `{"tune": "film"}`; `options_of`
            reads them from `key=value`.

    Raises:
        ConfigError: an option that the encoder does not know or take.
        FrameError: it does not take such pictures.
    """

    def __init__(
        self,
        head: Head,
        format: PixelFormat,  # noqa: A002 - what it is
        width: int,
        height: int,
        *,
        preset: str = "veryfast",
        crf: float = 23,
        threads: int = 1,
        low_latency: bool = False,
        encoder: str = "libx264",
        options: Mapping[str, str] | None = None,
    ) -> None:
        if encoder not in ENCODERS:
            raise ConfigError(f"encoder: expected one of {', '.join(ENCODERS)}, got {encoder!r}")
        self.format, self.width, self.height = format, width, height
        self.color = _encoded_color(head)
        self._time_base = fraction(head.time_base)
        self._durations: dict[int, int] = {}
        self._last_pts: int | None = None
        self._frame: VideoFrame | None = None

        codec = cast(VideoCodecContext, av.CodecContext.create(encoder, "w"))
        codec.width, codec.height, codec.pix_fmt = width, height, format.name
        codec.time_base = self._time_base
        codec.framerate = fraction(head.rate) or DEFAULT_RATE
        codec.thread_count = threads
        codec.flags |= Flags.global_header
        codec.color_range, codec.colorspace = self.color.range, self.color.matrix
        codec.color_primaries, codec.color_trc = self.color.primaries, self.color.transfer
        if fraction(head.shown.sample_aspect):
            codec.sample_aspect_ratio = fraction(head.shown.sample_aspect)
        settings = _x264(preset, crf, low_latency) if encoder == "libx264" else _nvenc(crf, low_latency)
        if encoder == "libx264" and format.frame_bytes(width, height) > LARGE_BYTES:
            settings |= THRIFTY
        chosen = {**settings, **_known(codec, options or {})}
        if encoder == "libx264" and height % (2 * format.subsample_y) == 0:
            _say_fields(chosen, of_head(head).field_order)
        codec.options = {**chosen, "forced-idr": "1"}
        try:
            complaints = _opened(codec, listen="x264-params" in chosen)
        except av.FFmpegError as error:
            given = ", ".join(f"{name}={value}" for name, value in chosen.items())
            raise ConfigError(f"{encoder} does not take {given} at {width}x{height} {format.name}") from error
        if complaints:
            raise ConfigError(f"{encoder}: {complaints}")
        self._codec = codec

    @property
    def extradata(self) -> bytes:
        """SPS and PPS in Annex B; the same for every run with the same arguments."""
        return self._codec.extradata or b""

    @property
    def reorder_depth(self) -> int:
        return self._codec.reorder_depth

    def encode(self, picture: Picture, pts: int, duration: int, *, key: bool = False) -> list[Packet]:
        """Encodes the next picture; its planes are copied. `pts` and `duration` in ticks of the head's time base.

        Returns packets in decoding order, of this or earlier pictures, mostly none at first.

        Args:
            key: make it an IDR picture, to which nothing before it is needed.

        Raises:
            FrameError: the picture has another size or format, or a time stamp that does not grow.
        """
        if (picture.width, picture.height, picture.format.name) != (self.width, self.height, self.format.name):
            got = f"{picture.width}x{picture.height} {picture.format.name}"
            raise FrameError(f"encoder of {self.width}x{self.height} {self.format.name}: got {got}; open a new one")
        if not _FIRST_PTS < pts < -_FIRST_PTS or (self._last_pts is not None and pts <= self._last_pts):
            raise FrameError(f"{self._codec.name}: expected a time stamp that grows, got {pts} after {self._last_pts}")
        self._last_pts = pts
        frame = self._filled(picture)
        frame.pts, frame.time_base = pts, self._time_base
        frame.pict_type = PictureType.I if key else PictureType.NONE
        self._durations[pts] = duration
        return self._packets(frame)

    def flush(self) -> list[Packet]:
        """The packets of all pictures that are still inside."""
        return self._packets(None)

    def _filled(self, picture: Picture) -> VideoFrame:
        if self._frame is None:
            self._frame = VideoFrame(self.width, self.height, self.format.name)
        self._frame.make_writable()
        for plane, pixels in zip(self._frame.planes, picture.planes, strict=True):
            np.copyto(samples(plane, pixels.dtype), pixels)
        return self._frame

    def _packets(self, frame: VideoFrame | None) -> list[Packet]:
        try:
            made = self._codec.encode(frame)
        except av.FFmpegError as error:
            raise FrameError(f"{self._codec.name}: {words(error)}") from error
        return [
            Packet(
                pts=packet.pts,
                dts=packet.dts,
                duration=self._durations.pop(packet.pts or 0),
                key=packet.is_keyframe,
                data=bytes(packet),
            )
            for packet in made
        ]


def _x264(preset: str, crf: float, low_latency: bool) -> dict[str, str]:
    return {"preset": preset, "crf": str(crf), **({"tune": "zerolatency", "bf": "0"} if low_latency else {})}


def _say_fields(options: dict[str, str], order: FieldOrder) -> None:
    """Has x264 code fields apart where pictures are woven of them; whoever set its parameters by hand goes first."""
    if order:
        fields = "tff=1" if order == "top" else "bff=1"
        options["x264-params"] = ":".join(filter(None, (fields, options.get("x264-params", ""))))


def _nvenc(crf: float, low_latency: bool) -> dict[str, str]:
    tune = {"tune": "ull", "delay": "0", "zerolatency": "1"} if low_latency else {"tune": "hq"}
    return {"preset": "p4", "rc": "vbr", "cq": str(crf), "b": "0", "bf": "0", **tune}


def working_encoder(wanted: str, head: Head, format: PixelFormat, width: int, height: int) -> str:  # noqa: A002
    """What `wanted` names; of `auto`, the first hardware encoder that does what is relied on here, else libx264."""
    if wanted != "auto":
        return wanted
    return next((name for name in HARDWARE if works(name, head, format, width, height)), "libx264")


def works(encoder: str, head: Head, format: PixelFormat, width: int, height: int) -> bool:  # noqa: A002
    """Encodes a few grey pictures, and looks whether each becomes a packet, and a keyframe only where it should."""
    planes = [np.full(shape, 1 << (format.bits - 1), format.dtype) for shape in format.plane_shapes(width, height)]
    grey = Picture((planes[0], planes[1], planes[2]), format)
    try:
        run = Encoder(head, format, width, height, encoder=encoder)
        packets = [packet for pts in range(4) for packet in run.encode(grey, pts, 1, key=pts in (0, 2))]
        packets += run.flush()
    except (ConfigError, FrameError):
        return False
    made = sorted((packet.pts, packet.key) for packet in packets)
    return bool(run.extradata) and made == [(0, True), (1, False), (2, True), (3, False)]


def options_of(texts: Iterable[str]) -> dict[str, str]:
    """Reads `key=value` texts.

    >>> options_of(["tune=film", "x264-params=keyint=60"])
    {'tune': 'film', 'x264-params': 'keyint=60'}
    """
    options = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise ConfigError(f"encoder option: expected key=value, got {text!r}")
        options[name] = value
    return options


def _known(codec: VideoCodecContext, options: Mapping[str, str]) -> Mapping[str, str]:
    supported = codec.supported_options
    both = OptionFlags.ENCODING_PARAM | OptionFlags.VIDEO_PARAM
    names = {option.name for option in supported.private}
    names |= {option.name for option in supported.generic if option.flags & both == both}
    unknown = sorted(set(options) - (names - _OURS))
    if unknown:
        known = ", ".join(sorted(names - _OURS))
        raise ConfigError(f"{codec.name} has no option {', '.join(unknown)} to set; known: {known}")
    return options


def _opened(codec: VideoCodecContext, *, listen: bool) -> str:
    """Opens it; what it has to say about a misspelt x264 parameter, which it only logs, and goes on without."""
    if not listen:
        codec.open()
        return ""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as messages:
            codec.open()
    finally:
        av.logging.set_level(level)
    return " ".join(text.strip() for _, _, text in messages if "option" in text)


def _encoded_color(head: Head) -> Color:
    """What the encoded picture is tagged with: the source's, except where the decoder had to convert RGB."""
    color = Color()
    color.CopyFrom(head.color)
    source = VideoFormat(head.pixel_format) if head.pixel_format else None
    if source is not None and (source.is_rgb or source.has_palette or color.matrix == _RGB):
        color.range, color.matrix = _LIMITED, _BT601
    elif head.pixel_format.startswith("yuvj"):
        color.range = _FULL
    return color


def masked_head(source: Head, encoder: Encoder) -> Head:
    """The head of what the encoder makes of a source: all that a sink needs. `epoch` is the caller's.

    When the source was made goes into reports only: the masked video carries none of its container's metadata.
    """
    head = Head()
    head.CopyFrom(source)
    for name in ("epoch", "created_us", "first_pts", "notes", "other_videos"):
        head.ClearField(name)
    head.codec, head.extradata, head.reorder_depth = "h264", encoder.extradata, encoder.reorder_depth
    head.width, head.height, head.pixel_format = encoder.width, encoder.height, encoder.format.name
    head.color.CopyFrom(encoder.color)
    head.rate.CopyFrom(rational(fraction(source.rate) or DEFAULT_RATE))
    head.bits_per_coded_sample = 0
    head.shown.ClearField("coded_aspect")
    head.shown.ClearField("alpha")
    head.timed, head.clock_may_jump = True, False
    return head


class EncoderClock:
    """Decoding times across encoder runs: the times of showing, sorted and two late.

    x264 delays by two pictures at most, but starts anew in each run, which no muxer takes. So the last two
    times of showing are carried over.
    """

    _FIELDS = struct.Struct("<qq")

    def __init__(self, before: tuple[int, int] | None = None) -> None:
        self._before = before

    def stamp(self, packets: Sequence[Packet]) -> None:
        """Sets `dts` of one whole run's packets, which are in decoding order and shown after all before."""
        if not packets:
            return
        shown = sorted(packet.pts for packet in packets)
        if self._before is None:
            step = shown[1] - shown[0] if len(shown) > 1 else max(1, packets[0].duration)
            self._before = (shown[0] - 2 * step, shown[0] - step)
        times = [*self._before, *shown]
        for packet, dts in zip(packets, times, strict=False):
            packet.dts = dts
        self._before = (times[-2], times[-1])

    def to_bytes(self) -> bytes:
        return b"" if self._before is None else self._FIELDS.pack(*self._before)

    @classmethod
    def from_bytes(cls, state: bytes) -> Self:
        return cls(cast(tuple[int, int], cls._FIELDS.unpack(state)) if state else None)
