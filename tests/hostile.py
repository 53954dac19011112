"""Files that nobody would make on purpose, and some that only an attacker would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av

from tests.clips import h264, h264_plain, write


def truncated_mp4(folder: Path) -> Path:
    """The upload broke off: the index at the end of the file is missing."""
    path = h264_plain(folder, None).path
    path.write_bytes(path.read_bytes()[:6000])
    return path


def truncated_mp4_with_index(folder: Path) -> Path:
    """The index came first, so the file opens; it promises pictures that are not there."""
    whole = h264_plain(folder, None).path
    path = folder / "index_first.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"movflags": "+faststart"}) as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                sink.mux(packet)
    path.write_bytes(path.read_bytes()[:6000])
    return path


def corrupt_ts(folder: Path) -> Path:
    """A tenth of a transport stream, in its middle, is overwritten with noise."""
    path = write(folder / "corrupt.ts", None, **h264(90)).path
    data = bytearray(path.read_bytes())
    middle, length = len(data) // 2, len(data) // 10
    data[middle : middle + length] = bytes((i * 97 + i // 256) % 256 for i in range(length))
    path.write_bytes(data)
    return path


def empty(folder: Path) -> Path:
    """No bytes at all."""
    path = folder / "empty.mp4"
    path.touch()
    return path


def text(folder: Path) -> Path:
    """A letter that calls itself a video."""
    path = folder / "letter.mp4"
    path.write_text("Dear Sir or Madam,\n" * 200)
    return path


def audio_only(folder: Path) -> Path:
    """A video container with sound and no picture."""
    path = folder / "audio_only.mp4"
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        for i in range(40):
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            frame.planes[0].update(bytes(4096))
            frame.sample_rate, frame.pts = 48000, 1024 * i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def one_pixel(folder: Path) -> Path:
    """Pictures of 1x1: chroma planes and margins round down to nothing in careless code."""
    return write(folder / "one_pixel.mp4", None, size=(1, 1), pix_fmt="yuv444p", **h264(8)).path


def one_pixel_mjpeg(folder: Path) -> Path:
    """The same in a codec without prediction between frames."""
    return write(folder / "one_pixel.avi", None, codec="mjpeg", count=8, size=(1, 1), pix_fmt="yuvj444p").path


def eight_k(folder: Path) -> Path:
    """One picture of 7680x4320, in a file of some hundred kB."""
    return write(folder / "8k.avi", None, codec="mjpeg", count=1, size=(7680, 4320), pix_fmt="yuvj420p").path


def playlist(folder: Path) -> Path:
    """A playlist that names another file, which the reader never asked for."""
    target = h264_plain(folder, None).path
    path = folder / "playlist.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.4,\nfile://{target}\n#EXT-X-ENDLIST\n")
    return path


def concat_script(folder: Path) -> Path:
    """FFmpeg's own kind of playlist, called a video: its kind is guessed from what is in it."""
    path = folder / "script.mp4"
    path.write_text(f"ffconcat version 1.0\nfile '{h264_plain(folder, None).path.name}'\n")
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {
    maker.__name__: maker
    for maker in (
        truncated_mp4, truncated_mp4_with_index, corrupt_ts, empty, text, audio_only, one_pixel, one_pixel_mjpeg,
        eight_k, playlist, concat_script,
    )
}  # fmt: skip


class HostileFiles:
    """The files by name, each made once, when it is first asked for.

    Args:
        folder: an empty one to put them in.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Path] = {}

    def __call__(self, name: str) -> Path:
        if name not in self._made:
            folder = self._folder / name
            folder.mkdir(parents=True)
            self._made[name] = MAKERS[name](folder)
        return self._made[name]
