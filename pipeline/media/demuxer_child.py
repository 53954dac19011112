"""The jailed side of `Demuxer`: opens a source and sends its head and packets, as bytes of `StreamRecord`."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from itertools import chain
from typing import Any

import av
import av.logging
import av.subtitles.codeccontext
import av.subtitles.stream  # PyAV would import it when it meets one, and then no file can be opened any more
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.stream import Disposition
from av.video.format import VideoFormat, VideoFormatComponent
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.jail.protocol import FAILED, Channel
from pipeline.media.alpha import alpha_of, has_alpha
from pipeline.media.buffers import AvPacket, matrix_of, words
from pipeline.media.fields import FieldPairs
from pipeline.media.formats import CONTAINERS, JUMPY_CONTAINERS, RAW_CONTAINERS, VIDEO_CODECS
from pipeline.media.left_out import left_out
from pipeline.media.sound_tracks import SoundTracks
from pipeline.media.whole_file import missing
from pipeline.wire import Chapter, Color, Head, Packet, ShownMessage, StreamRecord, fraction, rational

RECORD = 1
ENDED = 2
DENIED = 3
"""Instead of `FAILED`, where another try would end alike."""

_LOOK_AHEAD_BYTES, _LOOK_AHEAD_PART = 128 << 20, 0.75
"""So much is read at most before the head is sent, during at most this part of the time-out, to find what only pictures
hold: how they are shown. Sound may begin long before them, and those of a recording joined in the middle cannot be
decoded."""
_TOP_FIRST, _BOTTOM_FIRST = 1, 2
_FIELD_ORDERS = {2: _TOP_FIRST, 5: _TOP_FIRST, 3: _BOTTOM_FIRST, 4: _BOTTOM_FIRST}
"""FFmpeg's orders, which distinguish coding from showing, by which field is shown first."""
_REORDERED = frozenset({"mpeg4", "mpeg2video", "mpeg1video", "h263"})
"""Codecs whose times of showing FFmpeg works out where a container states only those of decoding."""
_FIELDS_APART = frozenset({"hevc"})
"""Codecs whose interlaced streams decode to fields instead of frames."""
_NOT_THE_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails
_READ_BYTES = 1 << 17
_LIVE_LOOK_AHEAD_S = 60.0
"""So long a camera may send sound before its first picture."""
_ANALYZE_US = "1000000"
PERCENT_ENCODE = "signs such as / # ? % @ in a user or password must be percent-encoded, as %2F %23 %3F %25 %40"
_BYTES_A_PIXEL = 3
"""Of the largest pictures; ten bits with colour at half the resolution have as many. A worker holds over a dozen of
them."""
_LIKELY_RATE = 1000
"""Frames a second; more is the clock of a source that has not said its rate."""
_MOST_CHAPTERS, _MICROSECONDS = 1000, 1_000_000
_DEVICE_FORMATS = ("mjpeg", "h264", None)
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_CREATION = datetime(1990, 1, 1, tzinfo=UTC)
"""What is older comes from a clock that was never set: containers count from 1904, cameras from 1970 or 1980."""
_CLOCKS_DIFFER = timedelta(days=1)
"""So far in the future a file may have been made: some cameras write local time as UTC."""


class Refused(Exception):
    """The source is not opened; the text after the source's name says why."""


class Denied(Refused):
    """And it will not be, however often it is tried."""


def serve(channel: Channel, settings: Mapping[str, Any]) -> None:
    """Sends one head, then packets in the order of demuxing, then `ENDED`; `FAILED` wherever it breaks."""
    try:
        with _open(settings) as container:
            for record in _records(container, settings):
                channel.send(RECORD, record.SerializeToString())
        channel.send(ENDED)
    except Denied as denied:
        channel.send(DENIED, str(denied).encode())
    except Refused as refused:
        channel.send(FAILED, str(refused).encode())
    except av.FFmpegError as error:
        channel.send(FAILED, words(error).encode())


def _open(settings: Mapping[str, Any]) -> InputContainer:
    """Opens nothing but the source itself, as one of the containers that are listed."""
    source: str = settings["source"]
    timeout_s: float = settings["timeout_s"]
    options: dict[str, str] = {"max_pixels": str(settings["max_pixels"]), **settings["options"]}
    if source.startswith("rtsp"):
        return _open_camera(source, options, timeout_s)
    if source.startswith("/dev/video"):
        return _open_device(source, options, timeout_s)
    options |= {"protocol_whitelist": "none", "format_whitelist": ",".join(CONTAINERS)}
    file = _OpenFile(source, settings["descriptor"])
    try:
        return av.open(
            file, "r", options=options, timeout=timeout_s, metadata_errors="replace", buffer_size=_READ_BYTES
        )
    except (av.InvalidDataError, av.EOFError) as error:
        raise Refused("is not a video, or is broken from its beginning") from error
    except av.ArgumentError as error:
        raise Refused(f"is in a format that is not opened; expected one of {', '.join(sorted(CONTAINERS))}") from error


def _open_camera(source: str, options: Mapping[str, str], timeout_s: float) -> InputContainer:
    """By TCP, or by UDP where the camera takes nothing else. It is hardly waited for what is not known yet: pictures
    would pile up, and may come long after sound."""
    options = {
        "protocol_whitelist": "rtsp,rtsps,rtp,srtp,udp,tcp,tls,crypto",
        "rtsp_transport": "tcp+udp",
        "rtsp_flags": "prefer_tcp",
        "analyzeduration": _ANALYZE_US,
        "fpsprobesize": "0",
        **options,
    }
    try:
        return av.open(source, format="rtsp", options=options, timeout=timeout_s, metadata_errors="replace")
    except (av.HTTPUnauthorizedError, av.HTTPForbiddenError) as error:
        raise Denied(f"refuses the login ({words(error)}): check user and password; {PERCENT_ENCODE}") from error
    except av.HTTPNotFoundError as error:
        raise Denied("has nothing at this path (404 not found): check the part after the host") from error
    except av.ArgumentError as error:
        raise Denied(f"is no address that can be opened; {PERCENT_ENCODE}") from error
    except (av.InvalidDataError, av.ExitError) as error:
        raise Refused(f"gave no video within {timeout_s:g} s") from error
    except av.FFmpegError as error:
        path = source.partition("://")[2].partition("/")[2]
        if "@" in path:  # which may be the rest of a password, whose beginning was then taken for the host
            raise Refused(f"cannot be opened ({words(error)}); {PERCENT_ENCODE}") from error
        raise


class _OpenFile:
    """A file that the parent has opened. Here its name alone is known, whose ending helps to tell formats apart."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name, self._descriptor = f"file:{name}", descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        try:
            os.lseek(descriptor, 0, os.SEEK_CUR)
        except OSError:  # a pipe
            return
        self.seek = partial(os.lseek, descriptor)
        self.tell = partial(os.lseek, descriptor, 0, os.SEEK_CUR)

    def read(self, size: int) -> bytes:
        self._poll.poll()  # a pipe without a writer has not ended before the first one came
        return os.read(self._descriptor, size)


def _open_device(source: str, options: dict[str, str], timeout_s: float) -> InputContainer:
    """A camera at hand, by the first format it has: what it compresses itself costs nothing here."""
    for wanted in _DEVICE_FORMATS:
        chosen = options | ({"input_format": wanted} if wanted else {})
        try:
            return av.open(source, format="v4l2", options=chosen, timeout=timeout_s, metadata_errors="replace")
        except av.ArgumentError:
            continue
    raise Refused("gives no format that is known")


def _records(container: InputContainer, settings: Mapping[str, Any]) -> Iterator[StreamRecord]:
    live: bool = settings["live"]
    video = _choose(container, settings["max_pixels"], live=live)
    sound = SoundTracks(container.streams.audio if settings["audio"] else [], settings["container"])
    source = _Packets(container, [video, *sound.streams], settings["max_packet_bytes"])
    packets = iter(source)

    patience_s = _LIVE_LOOK_AHEAD_S if live else settings["timeout_s"] * _LOOK_AHEAD_PART
    waiting, frame = _look_ahead(packets, video, patience_s, live=live)
    _check_size(video, settings["max_pixels"])
    head = _head(container, video, frame)
    _count_fields(head, [packet for packet in waiting if packet.stream is video], frame)
    head.shown.alpha |= any(alpha_of(packet) for packet in waiting if packet.stream is video)
    head.audio.extend(sound.tracks)
    shown = [packet for packet in waiting if packet.stream is video]
    head.notes.extend(sound.notes)
    if live:
        head.frames_expected = 0
        if fraction(head.rate) > _LIKELY_RATE:
            head.rate.CopyFrom(rational(Fraction(0)))
    else:
        head.notes.extend(left_out(container, video, frame))
        head.other_videos = sum(not s.disposition & _NOT_THE_VIDEO for s in container.streams.video) - 1
        head.chapters.extend(_chapters(container))
        head.created_us = created_us(container.metadata.get("creation_time", ""), datetime.now(UTC))
        head.timed = head.timed and all(packet.pts is not None for packet in shown)
        head.first_pts = _first_pts(shown, frame) if head.timed else 0
    yield StreamRecord(head=head)
    made_up = container.format.name in RAW_CONTAINERS
    for packet in chain(waiting, packets):
        if made_up:
            packet.dts = None
        if packet.stream_index == video.index:
            yield _record(0, packet, bytes(packet), alpha_of(packet))
        else:
            yield from (_record(*piece) for piece in sound.pieces(packet))
    yield from (_record(*piece) for piece in sound.rest())
    if not live:
        source.require_whole(settings["descriptor"])


def _choose(container: InputContainer, max_pixels: int, *, live: bool) -> VideoStream:
    """The video that players show: the one marked as default, else the first; a camera may say its size later. Never
    cover art, which would show a face that nobody covers."""
    streams = [s for s in container.streams.video if not s.disposition & _NOT_THE_VIDEO]
    if not streams:
        raise Refused("has no video stream")
    known = [s for s in streams if s.codec_context is not None and s.codec.canonical_name in VIDEO_CODECS]
    if not known:
        names = ", ".join(s.codec_context.codec.canonical_name if s.codec_context else "unknown" for s in streams)
        raise Refused(f"holds {names} video; expected one of {', '.join(sorted(VIDEO_CODECS))}")
    best = next((stream for stream in known if stream.disposition & Disposition.default), known[0])
    if not live:
        _check_size(best, max_pixels)
    return best


def _check_size(video: VideoStream, max_pixels: int) -> None:
    if not video.width or not video.height:
        raise Refused("does not say how large its pictures are")
    if video.width * video.height > max_pixels:
        raise Refused(f"has pictures of {video.width}x{video.height}; at most {max_pixels} pixels are taken")
    name = video.codec_context.pix_fmt
    samples = sum(-(-c.bits // 8) * _share(c) for c in VideoFormat(name, 64, 64).components) if name else 0
    size, most = round(video.width * video.height * samples), max_pixels * _BYTES_A_PIXEL
    if size > most:
        pictures = f"pictures of {video.width}x{video.height} in {name}"
        raise Refused(f"has {pictures}, {size >> 20} MB each; at most {most >> 20} MB are taken")


def _share(component: VideoFormatComponent) -> float:
    """Samples of a component for each pixel."""
    return component.width * component.height / 64**2


class _Packets:
    """All packets of the chosen streams with bytes in them, MPEG-4's packed B-frames unpacked.

    Args:
        streams: the video first.
        max_packet_bytes: of a packet and its alpha.
    """

    def __init__(self, container: InputContainer, streams: Sequence[Any], max_packet_bytes: int) -> None:
        self._container, self._streams, self._max_packet_bytes = container, streams, max_packet_bytes
        self._count = 0
        self._broken: dict[int, bool] = {}

    def __iter__(self) -> Iterator[AvPacket]:
        video, base = self._streams[0], self._streams[0].time_base
        unpack = None
        if video.codec.canonical_name == "mpeg4":
            unpack = BitStreamFilterContext("mpeg4_unpack_bframes", video)
        for packet in self._container.demux(self._streams):
            size = packet.size + len(alpha_of(packet))
            if size > self._max_packet_bytes:
                raise Refused(f"has a packet of {size} bytes; at most {self._max_packet_bytes} are taken")
            if packet.size:
                self._count += packet.stream is video
                self._broken[packet.stream_index] = packet.is_corrupt
            if unpack is None or packet.stream is not video:
                if packet.size:
                    yield packet
                continue
            for unpacked in unpack.filter(packet if packet.size else None):
                if unpacked.size:
                    unpacked.stream, unpacked.time_base = video, base
                    yield unpacked

    def require_whole(self, descriptor: int) -> None:
        """All packets have been read.

        Raises:
            Refused: there should be more.
        """
        video, name = self._streams[0], self._container.format.name
        if name.startswith("mov,") and self._count < len(video.index_entries):
            raise Refused(f"breaks off after {self._count} of {len(video.index_entries)} pictures")
        gap = missing(descriptor, name)
        if gap or any(self._broken.values()):
            raise Refused(f"breaks off after {self._count} pictures: {gap or 'its last packet is not whole'}")


def _look_ahead(
    packets: Iterator[AvPacket], video: VideoStream, patience_s: float, *, live: bool
) -> tuple[list[AvPacket], VideoFrame | None]:
    """Reads until a picture comes out, which alone holds the display matrix, and of some codecs the colours.

    The packets stay whole: the demuxer's own decoder, fed with them here, is not used again. A file without any picture
    is no reason to stop: nothing of it will be shown. A camera is not waited for any longer than for its first packet:
    what says how its pictures are shown travels within them, and is read by the decoder.
    """
    waiting: list[AvPacket] = []
    size, until = 0, time.monotonic() + patience_s
    video.codec_context.thread_count = 1  # each thread would take address space
    for packet in packets:
        waiting.append(packet)
        size += packet.size
        if packet.stream is video and (frame := _decoded(video, packet)):
            return waiting, frame
        if live and packet.stream is video and video.width:
            break
        if size > _LOOK_AHEAD_BYTES or time.monotonic() > until:
            raise Refused(f"shows no picture in its first {size >> 20} MB, so how it is to be shown is not known")
    return waiting, _decoded(video, None)


def _decoded(video: VideoStream, packet: AvPacket | None) -> VideoFrame | None:
    try:
        return next(iter(video.codec_context.decode(packet)), None)
    except av.FFmpegError:
        return None


def _head(container: InputContainer, video: VideoStream, frame: VideoFrame | None) -> Head:
    context, name = video.codec_context, container.format.name
    codec = context.codec.canonical_name
    raw = name in RAW_CONTAINERS
    stated = frame or context
    rates = (context.framerate if raw else None, video.average_rate, video.guessed_rate)
    rate = next((rate for rate in rates if rate), Fraction(0))
    reorders = context.reorder_depth > 0
    duration = container.duration / av.time_base if container.duration else 0.0
    return Head(
        codec=codec,
        extradata=context.extradata or b"",
        width=video.width,
        height=video.height,
        pixel_format=context.pix_fmt or "",
        bits_per_coded_sample=context.bits_per_coded_sample,
        reorder_depth=context.reorder_depth,
        time_base=rational(video.time_base),
        rate=rational(rate),
        color=Color(
            range=stated.color_range,
            primaries=stated.color_primaries,
            transfer=stated.color_trc,
            matrix=stated.colorspace,
        ),
        shown=_shown(video, frame),
        timed=not raw and not (name == "avi" and reorders and codec not in _REORDERED),
        frames_expected=video.frames or round(duration * rate),
        clock_may_jump=name in JUMPY_CONTAINERS,
    )


def _shown(video: VideoStream, frame: VideoFrame | None) -> ShownMessage:
    """How pictures are shown, by the container and by the first of them."""
    context = video.codec_context
    coded, stated = (
        ratio if ratio and ratio > 0 else None for ratio in (context.sample_aspect_ratio, video.sample_aspect_ratio)
    )
    order = _FIELD_ORDERS.get(context.field_order, 0)
    if frame is not None and frame.interlaced_frame and not order:
        order = _TOP_FIRST
    if context.codec.canonical_name in _FIELDS_APART:
        order = 0
    has_planes = context.pix_fmt is not None and has_alpha(VideoFormat(context.pix_fmt))
    return ShownMessage(
        matrix=matrix_of(frame) if frame else (),
        sample_aspect=rational(stated or coded),
        coded_aspect=rational(coded),
        field_order=order,
        alpha=has_planes or (frame is not None and has_alpha(frame.format)) or video.metadata.get("alpha_mode") == "1",
    )


def _count_fields(head: Head, packets: Sequence[AvPacket], frame: VideoFrame | None) -> None:
    """Puts right what is counted by packets where two of them, a field each, make a picture."""
    if frame is None or not frame.interlaced_frame:
        return
    pairs = FieldPairs(head.codec, head.extradata)
    if True not in [pairs.completes(bytes(packet)) for packet in packets]:
        return
    head.shown.field_order = _BOTTOM_FIRST if pairs.first == "bottom" else _TOP_FIRST
    times = sorted(packet.pts for packet in packets if packet.pts is not None)[:2]
    step_s = (times[1] - times[0]) * fraction(head.time_base) if len(times) == 2 else 0
    if step_s and fraction(head.rate) * step_s > Fraction(3, 4):
        head.rate.CopyFrom(rational(fraction(head.rate) / 2))
        head.frames_expected //= 2


def created_us(stated: str, now: datetime) -> int:
    """A container's creation time as Unix time in microseconds; 0 where it states none, or none that can be meant.

    >>> created_us("1970-01-01T00:00:00.000000Z", datetime.now(UTC))
    0
    """
    try:
        created = datetime.fromisoformat(stated)
    except ValueError:
        return 0
    if created.tzinfo is None or not _EARLIEST_CREATION <= created <= now + _CLOCKS_DIFFER:
        return 0
    return (created - _UNIX_EPOCH) // timedelta(microseconds=1)


def _first_pts(packets: Sequence[AvPacket], frame: VideoFrame | None) -> int:
    """When the first frame is shown, in ticks; where none could be decoded, the earliest packet."""
    if frame is not None and frame.pts is not None:
        return frame.pts
    return min((int(packet.pts or 0) for packet in packets), default=0)


def _chapters(container: InputContainer) -> Iterator[Chapter]:
    """When they begin and end, without their titles."""
    for chapter in container.chapters()[:_MOST_CHAPTERS]:
        ends = (round((chapter["time_base"] or 0) * chapter[end] * _MICROSECONDS) for end in ("start", "end"))
        start_us, end_us = (end if abs(end) < 1 << 62 else 0 for end in ends)
        yield Chapter(start_us=start_us, end_us=end_us)


def _record(track: int, packet: AvPacket, data: bytes, alpha: bytes = b"") -> StreamRecord:
    return StreamRecord(
        packet=Packet(
            track=track,
            pts=packet.pts,
            dts=packet.dts,
            duration=packet.duration or 0,
            key=packet.is_keyframe,
            discard=packet.is_discard,
            data=data,
            alpha=alpha,
        )
    )
