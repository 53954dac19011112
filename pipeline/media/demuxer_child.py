"""The jailed side of `Demuxer`: opens a source and sends its head and packets, as bytes of `StreamRecord`."""

from __future__ import annotations

import io
import os
import select
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
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
from pipeline.media.buffers import AvPacket, matrix_of, packet_of, words
from pipeline.media.fields import FieldPairs
from pipeline.media.formats import CONTAINERS, JUMPY_CONTAINERS, RAW_CONTAINERS, VIDEO_CODECS
from pipeline.wire import AudioTrack, Color, Head, Packet, ShownMessage, StreamRecord, fraction, rational

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
_FIELDS_APART = frozenset({"hevc"})
"""Codecs whose interlaced streams decode to fields instead of frames."""
_NOT_THE_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails
_TEMPLATE_CONTAINERS = ("nut", "matroska")
"""The first that takes the codec: NUT takes all that were tried but ALAC, Matroska wants more than parameters."""
_READ_BYTES = 1 << 17
_LIVE_LOOK_AHEAD_S = 60.0
"""So long a camera may send sound before its first picture."""
_ANALYZE_US = "1000000"
PERCENT_ENCODE = "signs such as / # ? % @ in a user or password must be percent-encoded, as %2F %23 %3F %25 %40"
_BYTES_A_PIXEL = 3
"""Of the largest pictures; ten bits with colour at half the resolution have as many. A worker holds a dozen of them."""
_LIKELY_RATE = 1000
"""Frames a second; more is the clock of a source that has not said its rate."""
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
    audio = [s for s in container.streams.audio if s.codec_context is not None] if settings["audio"] else []
    tracks = {video.index: 0} | {stream.index: i for i, stream in enumerate(audio, 1)}
    packets = _packets(container, [video, *audio], settings["max_packet_bytes"])

    patience_s = _LIVE_LOOK_AHEAD_S if live else settings["timeout_s"] * _LOOK_AHEAD_PART
    waiting, frame = _look_ahead(packets, video, patience_s, live=live)
    _check_size(video, settings["max_pixels"])
    head = _head(container, video, frame)
    _count_fields(head, [packet for packet in waiting if packet.stream is video], frame)
    head.shown.alpha |= any(alpha_of(packet) for packet in waiting if packet.stream is video)
    head.audio.extend(_audio_track(i, stream) for i, stream in enumerate(audio, 1))
    shown = [packet for packet in waiting if packet.stream is video]
    if live:
        head.frames_expected = 0
        if fraction(head.rate) > _LIKELY_RATE:
            head.rate.CopyFrom(rational(Fraction(0)))
    else:
        head.created_us = created_us(container.metadata.get("creation_time", ""), datetime.now(UTC))
        head.timed = head.timed and all(packet.pts is not None for packet in shown)
        head.first_pts = _first_pts(shown, frame) if head.timed else 0
    yield StreamRecord(head=head)
    for packet in waiting:
        yield _record(packet, tracks)
    for packet in packets:
        yield _record(packet, tracks)


def _choose(container: InputContainer, max_pixels: int, *, live: bool) -> VideoStream:
    """The largest video, which a camera may say later; never cover art, which would show a face that nobody covers."""
    streams = [s for s in container.streams.video if not s.disposition & _NOT_THE_VIDEO]
    if not streams:
        raise Refused("has no video stream")
    known = [s for s in streams if s.codec_context is not None and s.codec.canonical_name in VIDEO_CODECS]
    if not known:
        names = ", ".join(s.codec_context.codec.canonical_name if s.codec_context else "unknown" for s in streams)
        raise Refused(f"holds {names} video; expected one of {', '.join(sorted(VIDEO_CODECS))}")
    best = max(known, key=lambda stream: stream.width * stream.height)
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


def _packets(container: InputContainer, streams: list[Any], max_packet_bytes: int) -> Iterator[AvPacket]:
    """All packets with bytes in them, MPEG-4's packed B-frames unpacked."""
    video, base = streams[0], streams[0].time_base
    unpack = None
    if video.codec.canonical_name == "mpeg4":
        unpack = BitStreamFilterContext("mpeg4_unpack_bframes", video)
    count = 0
    for packet in container.demux(streams):
        count += packet.stream is video and packet.size > 0
        size = packet.size + len(alpha_of(packet))
        if size > max_packet_bytes:
            raise Refused(f"has a packet of {size} bytes; at most {max_packet_bytes} are taken")
        if unpack is None or packet.stream is not video:
            if packet.size:
                yield packet
            continue
        for unpacked in unpack.filter(packet if packet.size else None):
            if unpacked.size:
                unpacked.stream, unpacked.time_base = video, base
                yield unpacked
    if container.format.name.startswith("mov,") and count < len(video.index_entries):
        raise Refused(f"breaks off after {count} of {len(video.index_entries)} pictures")


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
        timed=not raw and not (name == "avi" and reorders),
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


def _audio_track(track: int, stream: Any) -> AudioTrack:
    return AudioTrack(
        track=track,
        codec=stream.codec_context.codec.canonical_name,
        time_base=rational(stream.time_base),
        header=_template(stream),
    )


def _template(stream: Any) -> bytes:
    """The stream's parameters, as a file of one packet: of none, it could not be read."""
    for container in _TEMPLATE_CONTAINERS:
        content = io.BytesIO()
        with av.open(content, "w", format=container) as file:
            packet = packet_of(b"\0")
            try:
                packet.stream = file.add_stream_from_template(stream, opaque=True)
            except ValueError:
                continue
            packet.pts = packet.dts = 0
            file.mux_one(packet)
        return content.getvalue()
    raise Refused(f"has {stream.codec_context.codec.canonical_name} audio, which is not copied; drop the audio")


def _record(packet: AvPacket, tracks: Mapping[int, int]) -> StreamRecord:
    track = tracks[packet.stream_index]
    return StreamRecord(
        packet=Packet(
            track=track,
            pts=packet.pts,
            dts=packet.dts,
            duration=packet.duration or 0,
            key=packet.is_keyframe,
            discard=packet.is_discard,
            data=bytes(packet),
            alpha=b"" if track else alpha_of(packet),
        )
    )
