"""A file is whole or not there, and says no more than it must."""

from __future__ import annotations

import re
import socket
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from engines import StreamError
from operators.shown import Shown
from pipeline.media import Encoder, EncoderClock, FileMuxer, RtspPusher, masked_head
from pipeline.media.shown import message_of
from pipeline.wire import Head, Packet, fraction
from tests.clips import Clips
from tests.pipeline.media.passing import demux, frames, plain, sound, times
from tests.rtsp_server import RtspServer


def masked(path: Path, *, low_latency: bool = False) -> tuple[Head, list[Packet]]:
    """The head and packets that a sink gets, audio last."""
    source, packets = demux(path)
    made, encoder = [], None
    for i, (packet, picture) in enumerate(frames(source, packets)):
        encoder = encoder or Encoder(source, picture.format, picture.width, picture.height, low_latency=low_latency)
        made += encoder.encode(picture, *times(source, packet, i), key=i == 0)
    assert encoder is not None
    made += encoder.flush()
    if not low_latency:
        EncoderClock().stamp(made)
    return masked_head(source, encoder), made + [packet for packet in packets if packet.track]


def test_the_file_appears_when_it_is_whole(clips: Clips, tmp_path: Path) -> None:
    head, packets = masked(clips("h264_plain").path)
    path = tmp_path / "out.mp4"

    with FileMuxer(path, head) as muxer:
        for packet in packets:
            muxer.write(packet)
        (part,) = tmp_path.iterdir()
        assert part == muxer.part and re.fullmatch(r"\.out\.mp4\.[0-9a-f]{16}\.part", part.name)

    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert len(plain(path)) == 60


def test_an_error_leaves_nothing(clips: Clips, tmp_path: Path) -> None:
    head, packets = masked(clips("h264_plain").path)

    with pytest.raises(StreamError, match="could not be written"), FileMuxer(tmp_path / "out.mp4", head) as muxer:
        muxer.write(packets[5])
        muxer.write(packets[0])  # decoding order is broken

    assert list(tmp_path.iterdir()) == []


def test_times_can_be_shifted(clips: Clips, tmp_path: Path) -> None:
    head, packets = masked(clips("mp4_aac").path)

    with FileMuxer(tmp_path / "out.mp4", head) as muxer:
        for packet in packets:
            muxer.write(packet, shift=Fraction(3, 2))

    before, after = plain(clips("mp4_aac").path), plain(tmp_path / "out.mp4")
    assert [(f.time_s or 0) - Fraction(3, 2) for f in after] == [f.time_s for f in before]
    assert sound(tmp_path / "out.mp4")[0][0] - Fraction(3, 2) == sound(clips("mp4_aac").path)[0][0]


def test_picture_and_sound_are_interleaved(clips: Clips, tmp_path: Path) -> None:
    head, packets = masked(clips("mp4_aac").path)

    with FileMuxer(tmp_path / "out.mp4", head) as muxer:
        for packet in packets:
            muxer.write(packet)

    with av.open(str(tmp_path / "out.mp4")) as container:
        times_s = [float((packet.dts or 0) * packet.time_base) for packet in container.demux() if packet.size]
    assert max(before - after for before, after in pairwise(times_s)) < 1.1


def test_colors_are_tagged(clips: Clips, tmp_path: Path) -> None:
    head, packets = masked(clips("hdr_10_bit").path)

    with FileMuxer(tmp_path / "out.mp4", head) as muxer:
        for packet in packets:
            muxer.write(packet)

    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace) == (9, 16, 9)


def test_what_a_player_must_know_is_in_the_header(clips: Clips, tmp_path: Path) -> None:
    head, packets = masked(clips("h264_plain").path)
    head.shown.CopyFrom(message_of(Shown.turned(90, sample_aspect=Fraction(4, 3))))

    with FileMuxer(tmp_path / "out.mp4", head) as muxer:
        for packet in packets:
            muxer.write(packet)

    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.width, stream.codec_context.height) == (192, 144)
        assert stream.sample_aspect_ratio == Fraction(4, 3)
        assert stream.codec_context.extradata
        assert next(container.decode(video=0)).rotation == 90


@pytest.mark.parametrize(
    ("video_base", "movie"),
    [(90_000, 720_000), (2_147_483_647, 1000)],
    ids=["both fit", "the common one is too fine"],
)
def test_ticks_of_a_movie_hold_those_of_its_tracks(clips: Clips, tmp_path: Path, video_base: int, movie: int) -> None:
    head, packets = masked(clips("mp4_aac").path)
    head.time_base.num, head.time_base.den = 1, video_base

    with FileMuxer(tmp_path / "out.mp4", head) as muxer:
        for packet in packets:
            muxer.write(packet)

    content = (tmp_path / "out.mp4").read_bytes()
    assert fraction(head.audio[0].time_base) == Fraction(1, 48000)
    assert timescales(content, b"mvhd") == [movie]
    assert timescales(content, b"mdhd") == [video_base, 48000]


def timescales(content: bytes, box: bytes) -> list[int]:
    """Of all boxes of a kind, version 0: size, name, flags, two dates, then the scale."""
    starts = [i for i in range(len(content)) if content.startswith(box, i)]
    return [int.from_bytes(content[start + 16 : start + 20], "big") for start in starts]


def test_a_packet_without_a_decoding_time_is_decoded_when_it_is_shown(clips: Clips, tmp_path: Path) -> None:
    head, packets = masked(clips("h264_plain").path, low_latency=True)
    expected = [packet.pts for packet in packets]
    for packet in packets:
        packet.ClearField("dts")

    with FileMuxer(tmp_path / "out.mp4", head) as muxer:
        for packet in packets:
            muxer.write(packet)

    with av.open(str(tmp_path / "out.mp4")) as container:
        written = [(packet.pts, packet.dts) for packet in container.demux(video=0) if packet.size]
    assert written == [(pts, pts) for pts in expected]


@pytest.mark.parametrize("taken", ["a file", "a folder", "a link that leads nowhere"])
def test_what_is_there_already_stays_and_the_new_file_gets_a_number(clips: Clips, tmp_path: Path, taken: str) -> None:
    head, packets = masked(clips("h264_plain").path)
    former = tmp_path / "out.mp4"
    if taken == "a file":
        former.write_bytes(b"the former one")
    elif taken == "a folder":
        former.mkdir()
    else:
        former.symlink_to(tmp_path / "nobody")

    with FileMuxer(former, head) as muxer:
        for packet in packets:
            muxer.write(packet)

    assert muxer.path == tmp_path / "out.2.mp4"
    assert len(plain(muxer.path)) == 60
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.2.mp4", "out.mp4"]
    assert taken != "a file" or former.read_bytes() == b"the former one"


def test_what_is_there_already_is_replaced_if_that_is_asked_for(clips: Clips, tmp_path: Path) -> None:
    head, packets = masked(clips("h264_plain").path)
    (tmp_path / "out.mp4").write_bytes(b"the former one")

    with FileMuxer(tmp_path / "out.mp4", head, overwrite=True) as muxer:
        for packet in packets:
            muxer.write(packet)
        assert (tmp_path / "out.mp4").read_bytes() == b"the former one"  # until the new one is whole

    assert len(plain(tmp_path / "out.mp4")) == 60


def test_the_source_is_not_told_about(clips: Clips, tmp_path: Path) -> None:
    head, packets = masked(clips("h264_plain").path)
    head.source = "the kitchen of somebody"

    with FileMuxer(tmp_path / "out.mkv", head) as muxer:
        for packet in packets:
            muxer.write(packet)

    assert b"kitchen" not in (tmp_path / "out.mkv").read_bytes()
    assert len(plain(tmp_path / "out.mkv")) == 60


def test_a_folder_that_is_missing_is_named(clips: Clips, tmp_path: Path) -> None:
    head, _ = masked(clips("h264_plain").path)

    with pytest.raises(StreamError, match=r"no/such.*cannot be written as mp4"):
        FileMuxer(tmp_path / "no" / "such" / "out.mp4", head)


@pytest.mark.parametrize(
    "changes",
    [
        {"codec": "pcm_alaw", "extradata": b""},  # which mp4 does not hold
        {"codec": "sipr"},
        {"extradata": b"ffconcat version 1.0"},
        {"layout": "everywhere"},
        {"sample_rate": 0},
        {"language": "german"},
    ],
)
def test_sound_that_is_none_leaves_nothing(clips: Clips, tmp_path: Path, changes: dict[str, Any]) -> None:
    head, _ = masked(clips("mp4_aac").path)
    for name, value in changes.items():
        setattr(head.audio[0], name, value)

    with pytest.raises(StreamError, match="cannot be written as mp4"):
        FileMuxer(tmp_path / "out.mp4", head)

    assert list(tmp_path.iterdir()) == []


def test_languages_chapters_and_the_default_track_are_written(clips: Clips, tmp_path: Path) -> None:
    head, packets = masked(clips("mp4_aac").path)
    head.audio.add().CopyFrom(head.audio[0])
    for track, (language, default) in enumerate([("eng", False), ("deu", True)], 1):
        head.audio[track - 1].track, head.audio[track - 1].language = track, language
        head.audio[track - 1].default_track = default
    head.chapters.add(start_us=0, end_us=1_000_000)
    head.chapters.add(start_us=1_000_000, end_us=1_900_000)

    other = [Packet(track=2, pts=p.pts, dts=p.dts, duration=p.duration, data=p.data) for p in packets if p.track == 1]

    for name in ("out.mp4", "out.mkv"):
        with FileMuxer(tmp_path / name, head) as muxer:
            for packet in [*packets, *other]:
                muxer.write(packet)

        with av.open(str(tmp_path / name)) as container:
            tracks = [(track.language, bool(track.disposition & 1)) for track in container.streams.audio]
            begins = [chapter["start"] * (chapter["time_base"] or 0) for chapter in container.chapters()]
        assert tracks == [("eng", False), ("deu", True)]
        assert begins == [0, 1]


def test_no_muxer_sees_a_header_before_sound(clips: Clips, tmp_path: Path) -> None:
    head, packets = masked(clips("mp4_aac").path)
    headed = Packet(track=1, pts=0, dts=0, duration=1024, data=bytes.fromhex("fff15080043ffc") + bytes(20))

    with FileMuxer(tmp_path / "out.mp4", head) as muxer:
        muxer.write(headed)
        for packet in packets:
            muxer.write(packet)

    assert sound(tmp_path / "out.mp4") == sound(clips("mp4_aac").path)


def test_a_track_that_is_not_in_the_head_is_refused(clips: Clips, tmp_path: Path) -> None:
    head, _ = masked(clips("h264_plain").path)
    muxer = FileMuxer(tmp_path / "out.mp4", head)

    with pytest.raises(StreamError, match="track 4 is not in the head"):
        muxer.write(Packet(track=4, data=b"x"))
    muxer.abort()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("rtsp_available")
def test_a_push_arrives(clips: Clips, tmp_path: Path) -> None:
    head, packets = masked(clips("h264_plain").path, low_latency=True)

    with RtspServer(record={"out": tmp_path / "out.ts"}) as server:
        pusher = RtspPusher(server.url("out"), head)
        for packet in packets:
            pusher.write(packet)
        pusher.close()
        deadline = time.monotonic() + 10
        while _shown(tmp_path / "out.ts") < 60:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def _shown(path: Path) -> int:
    return len(plain(path)) if path.exists() and path.stat().st_size else 0


def test_a_server_that_does_not_answer_is_given_up(clips: Clips) -> None:
    head, _ = masked(clips("h264_plain").path)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://me:secret@127.0.0.1:{silent.getsockname()[1]}/out"
        with pytest.raises(StreamError, match="cannot be written as rtsp") as raised:
            RtspPusher(url, head, timeout_s=0.5)

    assert "secret" not in str(raised.value)


def test_a_server_that_is_not_there_is_named(clips: Clips) -> None:
    head, _ = masked(clips("h264_plain").path)

    with pytest.raises(StreamError, match=r"rtsp://127\.0\.0\.1:1/out: cannot be written as rtsp"):
        RtspPusher("rtsp://127.0.0.1:1/out", head)
