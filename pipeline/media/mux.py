"""From packets to files and RTSP servers. No encoder is opened here: packets go in as they are."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from engines import StreamError
from pipeline.media.buffers import packet_of, words
from pipeline.media.matroska import PLACEHOLDER, display_size, state_display_size
from pipeline.private.names import public_name
from pipeline.wire import AudioTrack, Head, Packet, fraction

_MP4_AUDIO = frozenset({"aac", "mp2", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
"""What players expect in mp4. G.711 it cannot hold, PCM hardly any player finds in it; mov takes both."""
_LARGEST_TIMESCALE = (1 << 31) - 1


def container_for(head: Head, path: Path | str) -> str:
    """`mp4`, `mov` or `matroska`: by the path's suffix, and by what can hold the audio. mp4 where nothing speaks
    against it.

    >>> container_for(Head(), "walk.mp4"), container_for(Head(), "walk.mkv")
    ('mp4', 'matroska')
    """
    suffix = Path(path).suffix.lower()
    if suffix in (".mkv", ".webm"):
        return "matroska"
    codecs = {track.codec for track in head.audio}
    if suffix != ".mov" and codecs <= _MP4_AUDIO:
        return "mp4"
    with av.open(io.BytesIO(), "w", format="mov") as probe:
        return "mov" if codecs <= probe.supported_codecs else "matroska"


class _Muxer:
    """Streams laid out after a head, and packets written to them.

    Raises:
        StreamError: the container cannot hold the streams, or what it writes to fails.
    """

    def __init__(self, url: str, container: str, head: Head, options: Mapping[str, str]) -> None:
        self._shown = public_name(url)
        self._bases = {0: fraction(head.time_base)} | {t.track: fraction(t.time_base) for t in head.audio}
        try:
            self._container: OutputContainer = av.open(url, "w", format=container, options=dict(options))
            self._streams: dict[int, Any] = {0: _add_video(self._container, head)}
            for track in head.audio:
                self._streams[track.track] = _add_audio(self._container, track)
            self._container.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            raise StreamError(f"{self._shown}: cannot be written as {container}: {words(error)}") from error

    def write(self, packet: Packet, *, shift: Fraction = Fraction(0)) -> None:
        """Writes a packet of any track, each track in decoding order; `shift` seconds are added to its times."""
        if packet.track not in self._streams:
            raise StreamError(f"{self._shown}: track {packet.track} is not in the head; it has {len(self._streams)}")
        base = self._bases[packet.track]
        ticks = round(shift / base)
        out = packet_of(packet.data)
        out.stream, out.time_base = self._streams[packet.track], base
        out.pts = packet.pts + ticks if packet.HasField("pts") else None
        out.dts = packet.dts + ticks if packet.HasField("dts") else out.pts
        out.duration, out.is_keyframe = packet.duration, packet.key
        try:
            self._container.mux_one(out)
        except av.FFmpegError as error:
            raise StreamError(f"{self._shown}: a packet at {out.pts} could not be written: {words(error)}") from error

    def _close(self) -> None:
        try:
            self._container.close()
        except av.FFmpegError as error:
            raise StreamError(f"{self._shown}: could not be finished: {words(error)}") from error

    def _drop(self) -> None:
        try:
            self._container.close()
        except av.FFmpegError:
            return  # it is given up anyway


class FileMuxer(_Muxer):
    """A video file that appears under its name only when it is whole.

    mp4 and mov hold time stamps, durations and the start exactly; Matroska rounds them to milliseconds. The
    source's metadata is not taken over: it names places and people.

    Args:
        path: where it will be; until then it is `.<name>.part` in the same folder.
        head: as `masked_head` makes it.
    """

    def __init__(self, path: Path | str, head: Head) -> None:
        self._path = Path(path)
        self._part = self._path.with_name(f".{self._path.name}.part")
        container = container_for(head, path)
        options = {} if container == "matroska" else _timescales(head)
        aspect = fraction(head.shown.sample_aspect)
        self._display: tuple[int, int] | None = None
        if container == "matroska" and aspect not in (0, 1):
            self._display = display_size(head.width, head.height, aspect)
        try:
            super().__init__(str(self._part), container, head, options)
        except StreamError:
            self._part.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Finishes the file, brings it to the disk and gives it its name."""
        try:
            self._close()
            if self._display is not None:
                state_display_size(self._part, *self._display)
            _sync(self._part)
            self._part.replace(self._path)
            _sync(self._path.parent)
        except OSError as error:
            raise StreamError(f"{self._path}: could not be finished: {error}") from error

    def abort(self) -> None:
        """Leaves nothing behind."""
        self._drop()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()


class RtspPusher(_Muxer):
    """Pushes to an RTSP server over TCP. A connection that broke is not mended: make a new one at a keyframe.

    Args:
        timeout_s: how long the server may take to answer, and to take a packet.
    """

    def __init__(self, url: str, head: Head, *, timeout_s: float = 10.0) -> None:
        options = {"rtsp_transport": "tcp", "timeout": str(round(timeout_s * 1_000_000))}
        super().__init__(url, "rtsp", head, options)

    def close(self) -> None:
        self._close()

    def abort(self) -> None:
        self._drop()


def _timescales(head: Head) -> dict[str, str]:
    """Ticks that hold the times of video and audio without rounding."""
    video = fraction(head.time_base).denominator
    movie = math.lcm(video, *(fraction(track.time_base).denominator for track in head.audio))
    scales = {"video_track_timescale": str(video)}
    if movie <= _LARGEST_TIMESCALE:
        scales["movie_timescale"] = str(movie)
    return scales


def _add_video(container: OutputContainer, head: Head) -> VideoStream:
    stream = container.add_stream_from_template(_template(head), opaque=True)
    stream.codec_context.extradata = head.extradata
    stream.width, stream.height, stream.pix_fmt = head.width, head.height, head.pixel_format
    stream.color_range, stream.colorspace = head.color.range, head.color.matrix
    stream.color_primaries, stream.color_trc = head.color.primaries, head.color.transfer
    stream.codec_context.framerate = fraction(head.rate)
    if fraction(head.shown.sample_aspect):
        stream.codec_context.sample_aspect_ratio = fraction(head.shown.sample_aspect)
    stream.time_base = fraction(head.time_base)
    if head.shown.matrix:
        stream.set_display_matrix(head.shown.matrix)
    if container.format.name == "matroska" and fraction(head.shown.sample_aspect) not in (0, 1):
        stream.metadata["title"] = PLACEHOLDER
    return stream


def _template(head: Head) -> VideoStream:
    """A stream to lay another out after, read from a file in memory: laid out afresh, it would open an encoder."""
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as nut:
        packet = packet_of(head.extradata)
        packet.stream = nut.add_mux_stream(head.codec, rate=fraction(head.rate), width=head.width, height=head.height)
        packet.pts = packet.dts = 0
        nut.mux_one(packet)
    stream: VideoStream = _first_stream(file.getvalue())
    return stream


def _add_audio(container: OutputContainer, track: AudioTrack) -> Any:
    stream = container.add_stream_from_template(_first_stream(track.header), opaque=True)
    stream.time_base = fraction(track.time_base)
    return stream


def _first_stream(file: bytes) -> Any:
    """Of a file in memory. The stream keeps its container open.

    The file may come from a source that means harm, by way of its head: it must not be a playlist.
    """
    options = {"format_whitelist": "nut,matroska", "protocol_whitelist": "none"}
    return av.open(io.BytesIO(file), options=options).streams[0]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
