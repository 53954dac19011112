"""From packets to files and RTSP servers. No encoder is opened here: packets go in as they are."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
from av.container import OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from engines import StreamError
from pipeline.media.buffers import packet_of, words
from pipeline.media.containers import container_for
from pipeline.media.matroska import PLACEHOLDER, display_size, state_display_size
from pipeline.media.new_file import NewFile, create_part, publish
from pipeline.media.sound import has_header, is_plausible_track
from pipeline.media.sound_template import template_stream
from pipeline.private.names import public_name
from pipeline.wire import AudioTrack, Head, Packet, fraction

_LARGEST_TIMESCALE = (1 << 31) - 1


class DiskError(StreamError):
    """A disk takes no more: it is full, a quota is used up, or it is broken. What is written so far stays."""


class Muxer:
    """Streams laid out after a head, and packets written to them.

    Args:
        url: where they go; with `file` only what it is called.

    Raises:
        StreamError: the container cannot hold the streams, or what it writes to fails.
    """

    _container: OutputContainer
    _begun = False

    def __init__(
        self, url: str, container: str, head: Head, options: Mapping[str, str], file: NewFile | None = None
    ) -> None:
        self._shown = public_name(url.removeprefix("file:"))
        self._file = file
        self._bases = {0: fraction(head.time_base)} | {t.track: fraction(t.time_base) for t in head.audio}
        self._codecs = {0: head.codec} | {track.track: track.codec for track in head.audio}
        try:
            self._container = av.open(file or url, "w", format=container, options=dict(options))
            self._streams: dict[int, Any] = {0: _add_video(self._container, head)}
            for track in head.audio:
                self._streams[track.track] = _add_audio(self._container, track)
            if head.chapters and container != "rtsp":
                self._container.set_chapters(_chapters(head))
            self._container.start_encoding()
            self._begun = True
        except (av.FFmpegError, ValueError, OSError) as error:
            self._check_disk(error)
            raise StreamError(f"{self._shown}: cannot be written as {container}: {_words(error)}") from error
        self._check_disk()

    def write(self, packet: Packet, *, shift: Fraction = Fraction(0)) -> None:
        """Writes a packet of any track, each track in decoding order; `shift` seconds are added to its times."""
        if packet.track not in self._streams:
            raise StreamError(f"{self._shown}: track {packet.track} is not in the head; it has {len(self._streams)}")
        if has_header(self._codecs[packet.track], packet.data):
            return  # a demuxer takes such headers off, and no muxer is to take them apart
        base = self._bases[packet.track]
        ticks = round(shift / base)
        out = packet_of(packet.data)
        out.stream, out.time_base = self._streams[packet.track], base
        out.pts = packet.pts + ticks if packet.HasField("pts") else None
        out.dts = packet.dts + ticks if packet.HasField("dts") else out.pts
        out.duration, out.is_keyframe = packet.duration, packet.key
        try:
            self._container.mux_one(out)
        except (av.FFmpegError, OSError) as error:
            self._check_disk(error)
            raise StreamError(f"{self._shown}: a packet at {out.pts} could not be written: {_words(error)}") from error
        self._check_disk()

    def _close(self) -> None:
        try:
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            self._check_disk(error)
            raise StreamError(f"{self._shown}: could not be finished: {_words(error)}") from error
        self._check_disk()

    def _drop(self) -> None:
        with suppress(av.FFmpegError, OSError, AttributeError):  # it is given up anyway, if it was ever opened
            self._container.close()

    def _check_disk(self, error: Exception | None = None) -> None:
        """FFmpeg holds back what it writes, and does not always say when that failed."""
        if self._file is not None and self._file.error is not None:
            raise DiskError(f"{self._shown}: {self._file.error.strerror}") from error or self._file.error


class FileMuxer(Muxer):
    """A video file that appears under its name only when it is whole.

    mp4 and mov hold time stamps, durations and the start exactly; Matroska rounds them to milliseconds. The
    source's metadata is not taken over: it names places and people.

    Args:
        path: where it will be; until then it is in the same folder, hidden under a name that nobody can foresee. What
            has that name already stays, and the file gets a number.
        head: as `masked_head` makes it.
        overwrite: replace what has that name.

    Attributes:
        part: where it is until then.
        path: after `close`, where it is.
    """

    def __init__(self, path: Path | str, head: Head, *, overwrite: bool = False) -> None:
        self.path, self._overwrite = Path(path), overwrite
        container = container_for(path)
        self._display = matroska_display(head, container)
        try:
            self.part, descriptor = create_part(self.path)
        except OSError as error:
            raise StreamError(f"{self.path}: cannot be written as {container}: {error.strerror}") from error
        self._new = NewFile(descriptor)
        try:
            super().__init__(str(self.path), container, head, options_for(head, container), self._new)
        except StreamError:
            self._remove()
            raise

    def finish(self) -> None:
        """Completes it and brings it to the disk, still under its hidden name."""
        self._close()
        try:
            if self._display is not None:
                state_display_size(self._new.path, *self._display)
            self._new.sync()
        except OSError as error:
            raise DiskError(f"{self.path}: could not be finished: {error.strerror}") from error
        self._new.end()

    def publish(self) -> None:
        """Gives it its name."""
        try:
            self.path = publish(self.part, self.path, overwrite=self._overwrite)
            sync_folder(self.path.parent)
        except OSError as error:
            raise StreamError(f"{self.path}: could not be finished: {error.strerror}") from error

    def close(self) -> None:
        """Finishes the file, brings it to the disk and gives it its name."""
        self.finish()
        self.publish()

    def abort(self) -> None:
        """Leaves nothing behind."""
        self._drop()
        self._remove()

    def _remove(self) -> None:
        self._new.end()
        self.part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()


class RtspPusher(Muxer):
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


def _words(error: Exception) -> str:
    return words(error) if isinstance(error, (av.FFmpegError, ValueError)) else str(error)


def options_for(head: Head, container: str) -> dict[str, str]:
    """What the muxer of a container is told."""
    return {} if container == "matroska" else _timescales(head)


def matroska_display(head: Head, container: str) -> tuple[int, int] | None:
    """The display size that has to be stated when the file is done; None where there is nothing to state."""
    aspect = fraction(head.shown.sample_aspect)
    if container != "matroska" or aspect in (0, 1):
        return None
    return display_size(head.width, head.height, aspect)


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
    options = {"protocol_whitelist": "none"}
    return av.open(io.BytesIO(file.getvalue()), format="nut", options=options).streams.video[0]  # which keeps it open


def _add_audio(container: OutputContainer, track: AudioTrack) -> Any:
    """From what the head says alone, which is looked at once more: whoever wrote it may mean harm."""
    if not is_plausible_track(track, track.track):
        raise ValueError(f"track {track.track} is no sound that is carried")
    stream = container.add_stream_from_template(template_stream(track), opaque=True)
    context = stream.codec_context
    context.sample_rate, context.layout = track.sample_rate, track.layout
    if track.extradata:
        context.extradata = track.extradata
    stream.time_base = fraction(track.time_base)
    stream.disposition = Disposition.default if track.default_track else Disposition(0)
    if track.language:
        stream.metadata["language"] = track.language
    return stream


def _chapters(head: Head) -> list[Any]:
    """Numbered, for what they were called may be a name."""
    base = Fraction(1, 1_000_000)
    return [
        {
            "id": number,
            "start": chapter.start_us,
            "end": chapter.end_us,
            "time_base": base,
            "metadata": {"title": f"Chapter {number}"},
        }
        for number, chapter in enumerate(head.chapters, 1)
    ]


def sync_folder(path: Path) -> None:
    """Brings names to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
