"""Files that were cut off are told from whole ones, in every container."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from engines import StreamError
from pipeline.media import Demuxer
from pipeline.media.whole_file import missing
from tests.clips import Clips, draw

HEALTHY = {
    "mp4": ("mov,mp4", "libx264", {}),
    "fragments.mp4": ("mov,mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "mkv": ("matroska,webm", "libx264", {}),
    "live.mkv": ("matroska,webm", "libx264", {"live": "1"}),
    "webm": ("matroska,webm", "libvpx-vp9", {}),
    "avi": ("avi", "mpeg4", {}),
    "ts": ("mpegts", "libx264", {}),
    "m2ts": ("mpegts", "libx264", {}),
    "mpg": ("mpeg", "mpeg1video", {}),
    "flv": ("flv", "libx264", {}),
    "asf": ("asf", "mpeg4", {}),
    "gif": ("gif", "gif", {}),
    "ivf": ("ivf", "libvpx-vp9", {}),
}
WITHOUT_SOUND = {"gif", "ivf"}
SOUND = {"webm": "libopus", "avi": "mp3", "flv": "mp3", "mpg": "mp2"}
CUTS = (0.5, 0.75, 0.9, 0.98)


def made(folder: Path, name: str) -> Path:
    """A second of video, with sound where there can be any."""
    _, codec, options = HEALTHY[name]
    path = folder / f"clip.{name}"
    pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
    with av.open(str(path), "w", options={**options, "fflags": "+bitexact"}) as file:
        video: Any = file.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = 192, 144, pix_fmt
        sound: Any = None
        if name not in WITHOUT_SOUND:
            sound = file.add_stream(SOUND.get(name, "aac"), rate=48000, layout="mono")
        packets: list[Any] = []
        for number in range(25):
            packets += video.encode(av.VideoFrame.from_ndarray(draw(number), format="bgr24"))
        packets += video.encode(None)
        if sound is not None:
            for start in range(0, 48000, 1024):
                frame = av.AudioFrame(format="s16", layout="mono", samples=1024)
                frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
                packets += sound.encode(frame)
            packets += sound.encode(None)
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            file.mux(packet)
    return path


def lacks(path: Path, container: str) -> str:
    with path.open("rb") as file:
        return missing(file.fileno(), container)


def broken(path: Path) -> str:
    """What a demuxer says at the end; empty if it came to it."""
    try:
        with Demuxer(str(path)) as demuxer:
            for _ in demuxer:
                pass
    except StreamError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", HEALTHY)
def test_a_whole_file_is_whole_and_one_that_was_cut_off_is_not(tmp_path: Path, name: str) -> None:
    container = HEALTHY[name][0]
    path = made(tmp_path, name)
    content = path.read_bytes()

    assert lacks(path, container) == ""
    assert broken(path) == ""

    cut = tmp_path / f"cut.{name}"
    for part in CUTS:
        cut.write_bytes(content[: int(len(content) * part) | 1])  # odd, and so never between two transport packets
        assert broken(cut), f"{name} at {part}"


def test_transport_packets_that_are_missing_as_a_whole_are_missed(tmp_path: Path) -> None:
    """Cut between two packets, within a piece of sound or of a picture."""
    content = made(tmp_path, "ts").read_bytes()
    cut = tmp_path / "cut.ts"
    told = 0
    for count in range(60, 90):
        cut.write_bytes(content[: 188 * count])
        told += bool(broken(cut))

    assert told > 0


@pytest.mark.parametrize(
    ("container", "content", "said"),
    [
        ("matroska,webm", b"", ""),
        ("matroska,webm", b"\x1a\x45\xdf\xa3\x80", ""),
        ("matroska,webm", b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x88abc", "says that it has"),
        ("matroska,webm", b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff\xec\x84ab", "lacks 2 bytes"),
        ("matroska,webm", b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff\xec", "not whole"),
        ("avi", b"RIFF\0\0\0\0AVI ", "nobody finished it"),
        ("avi", b"RIFF\x04\0\0\0AVI " + b"something else", ""),
        ("mov,mp4", b"\0\0\0\x08free" + b"\0\0\0\0mdat" + bytes(9), ""),
        ("mov,mp4", b"\0\0\0\x01mdat" + (64).to_bytes(8, "big") + bytes(9), "says that it has 64"),
        ("ogg", b"OggS" + bytes(22) + b"\x02\x05", "last page"),
        ("gif", b"GIF89a", "end is missing"),
        ("h264", b"\0\0\1\x65", ""),
    ],
)
def test_what_is_stated_is_compared(tmp_path: Path, container: str, content: bytes, said: str) -> None:
    (tmp_path / "file").write_bytes(content)

    words = lacks(tmp_path / "file", container)

    assert said in words
    assert bool(words) == bool(said)


def test_all_clips_are_whole(clips: Clips, subtests: pytest.Subtests) -> None:
    for name in ("mjpeg_avi", "avi_b_frames", "clock_jump_with_sound", "mpeg1", "raw_h264", "gif", "vp8", "edit_list"):
        with subtests.test(name):
            assert broken(clips(name).path) == ""


def test_what_is_no_file_is_not_judged() -> None:
    end, other = os.pipe()
    try:
        assert missing(end, "matroska,webm") == ""
    finally:
        os.close(end)
        os.close(other)
