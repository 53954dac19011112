"""What a file holds besides its video and sound is named, and cover pictures are never called videos."""

from __future__ import annotations

from pathlib import Path

import av

from pipeline.media.left_out import left_out
from tests.pipeline.media.test_demuxer_child import file_of, sound, video


def named(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return left_out(container, stream, next(container.decode(stream)))


def test_a_plain_file_has_nothing_to_name(tmp_path: Path) -> None:
    assert named(file_of(tmp_path / "plain.mkv", video((64, 48)), sound("flac"))) == []


def test_tracks_are_named_once(tmp_path: Path) -> None:
    path = file_of(tmp_path / "more.mkv", video((64, 48)), video((32, 16)), video((16, 16)))
    with av.open(str(path)) as source, av.open(str(tmp_path / "all.mkv"), "w") as file:
        streams = {stream.index: file.add_stream_from_template(stream, opaque=True) for stream in source.streams.video}
        file.add_attachment("a.txt", "text/plain", b"a")
        file.add_attachment("b.txt", "text/plain", b"b")
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                file.mux(packet)

    (line,) = named(tmp_path / "all.mkv")

    assert line == "left out: video track 2 (mpeg4 32x16), video track 3 (mpeg4 16x16), 2 attachments"


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    cover = video((320, 240), codec="mjpeg", cover=True)
    path = file_of(tmp_path / "song.mp4", video((64, 48)), cover)

    assert named(path) == ["left out: a cover picture"]
