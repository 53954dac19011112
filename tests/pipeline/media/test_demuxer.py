"""What is opened, what is refused, and what the head says."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from engines import StreamError
from pipeline.jail.parent import JailLimits
from pipeline.jail.protocol import FAILED, Received
from pipeline.media import Demuxer
from pipeline.media.demuxer import _port_of
from pipeline.media.demuxer_child import ENDED, RECORD
from pipeline.wire import AudioTrack, End, Head, Packet, Rational, StreamRecord, fraction
from tests.clips import Clips
from tests.hostile import HostileFiles
from tests.pipeline.media.passing import demux
from tests.rtsp_server import RtspServer


def test_a_head_comes_first_and_says_how_to_decode(clips: Clips) -> None:
    head, packets = demux(clips("mp4_aac").path)

    assert (head.codec, head.width, head.height, head.pixel_format) == ("h264", 192, 144, "yuv420p")
    assert head.extradata
    assert fraction(head.rate) == 25
    assert head.timed
    assert not head.clock_may_jump
    assert head.frames_expected == sum(packet.track == 0 for packet in packets)
    assert [track.codec for track in head.audio] == ["aac"]
    assert {packet.track for packet in packets} == {0, 1}
    assert packets[0].key


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("raw_h264", "timed", False),
        ("avi_b_frames", "timed", False),
        ("mjpeg_avi", "timed", True),
        ("mpeg2_open_gop", "clock_may_jump", True),
        ("hdr_10_bit", "pixel_format", "yuv420p10le"),
        ("vp9_hidden_frames", "codec", "vp9"),
        ("av1", "codec", "av1"),
    ],
)
def test_a_head_knows_the_trap(clips: Clips, name: str, field: str, value: object) -> None:
    head, _ = demux(clips(name).path)

    assert getattr(head, field) == value


def test_colors_of_hdr_are_told(clips: Clips) -> None:
    head, _ = demux(clips("hdr_10_bit").path)

    assert (head.color.primaries, head.color.transfer, head.color.matrix) == (9, 16, 9)


def test_the_rate_of_a_bare_stream_is_its_own(clips: Clips) -> None:
    head, packets = demux(clips("raw_h264").path)

    assert fraction(head.rate) == Fraction(25)
    assert len(packets) == 48


def test_packets_before_an_edit_are_marked(clips: Clips) -> None:
    _, packets = demux(clips("edit_list").path)

    assert [packet.discard for packet in packets] == [True] * 12 + [False] * 48


def test_audio_can_be_left_out(clips: Clips) -> None:
    with Demuxer(str(clips("mp4_aac").path), audio=False) as demuxer:
        head, *packets = demuxer

    assert not head.head.audio
    assert {record.packet.track for record in packets} == {0}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("truncated_mp4", "is not a video, or is broken from its beginning"),
        ("empty", "is empty"),
        ("text", "is not a video"),
        ("audio_only", "has no video stream"),
        ("playlist", "is in a format that is not opened; expected one of .*matroska"),
        ("concat_script", "is in a format that is not opened"),
    ],
)
def test_what_is_no_video_is_refused_by_name(hostile: HostileFiles, name: str, message: str) -> None:
    path = hostile(name)

    with pytest.raises(StreamError, match=message) as raised:
        demux(path)

    assert str(path) in str(raised.value)


def test_what_came_before_a_break_is_kept(hostile: HostileFiles) -> None:
    read: list[StreamRecord] = []

    with (
        Demuxer(str(hostile("truncated_mp4_with_index"))) as demuxer,
        pytest.raises(StreamError, match=r"breaks off after \d+ of 60 pictures"),
    ):
        read.extend(demuxer)

    assert len(read) > 10


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no/such/file.mp4", "no such file"),
        ("/", "is a directory"),
        ("http://example.org/a.mp4", "http: is not read; use a file, rtsp://"),
        ("concat:a.mp4|b.mp4", "no such file"),
    ],
)
def test_what_is_no_source_is_refused_at_once(source: str, message: str) -> None:
    with pytest.raises(StreamError, match=message):
        Demuxer(source)


def test_a_wrong_suffix_does_not_matter(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "clip.txt"
    path.write_bytes(clips("h264_plain").path.read_bytes())

    _, packets = demux(path)

    assert len(packets) == 60


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (JailLimits(max_pixels=100), "has pictures of 192x144; at most 100 pixels are taken"),
        (JailLimits(max_packet_bytes=500), "has a packet of [0-9]+ bytes; at most 500 are taken"),
        (JailLimits(memory_bytes=60 << 20), "its child process ended"),
    ],
)
def test_limits_hold(clips: Clips, limits: JailLimits, message: str) -> None:
    with Demuxer(str(clips("h264_plain").path), limits=limits) as demuxer, pytest.raises(StreamError, match=message):
        list(demuxer)


def test_a_killed_child_ends_the_stream(clips: Clips) -> None:
    with Demuxer(str(clips("h264_plain").path)) as demuxer:
        os.kill(demuxer.pid, signal.SIGKILL)

        with pytest.raises(StreamError, match="SIGKILL"):
            list(demuxer)


def said(kind: int = RECORD, **fields: Any) -> Received:
    return Received(kind, StreamRecord(**fields).SerializeToString())


def good_track(**changes: Any) -> AudioTrack:
    good = {"track": 1, "codec": "aac", "extradata": b"\x12\x10", "sample_rate": 44100, "layout": "stereo"}
    return AudioTrack(**{**good, "time_base": Rational(num=1, den=44100), **changes})


def good_head(**changes: Any) -> Head:
    good = {"codec": "h264", "width": 64, "height": 48, "pixel_format": "yuv420p", "time_base": Rational(num=1, den=25)}
    return Head(**{**good, "audio": [good_track()], **changes})


SOUND = said(packet=Packet(track=1, data=b"x"))


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([SOUND], id="a packet before the head"),
        pytest.param([said(head=good_head()), said(head=good_head())], id="two heads"),
        pytest.param([said(head=good_head()), said(packet=Packet(track=2))], id="a track that is not in the head"),
        pytest.param([said(head=good_head()), said(end=End())], id="an end of its own"),
        pytest.param([said(head=good_head(codec="ffv1"))], id="a codec that is not listed"),
        pytest.param([said(head=good_head(pixel_format="yuv420q"))], id="no such pixel format"),
        pytest.param([said(head=good_head(width=8192, height=8192))], id="too large"),
        pytest.param([said(head=Head(codec="h264", time_base=Rational(num=1, den=25)))], id="no size"),
        pytest.param([said(head=good_head(time_base=Rational(num=-1, den=25)))], id="time goes back"),
        pytest.param([said(head=good_head(time_base=Rational(num=0, den=0)))], id="no time base"),
        pytest.param([said(head=good_head(rate=Rational(num=-25, den=1)))], id="a rate below zero"),
        pytest.param([said(7, head=good_head())], id="another kind of message"),
        pytest.param([said(head=good_head(audio=[good_track(codec="wmav2")]))], id="sound that is not carried"),
        pytest.param([said(head=good_head(audio=[good_track(track=2)]))], id="sound tracks that are not in order"),
        pytest.param([said(head=good_head(audio=[good_track(extradata=b"\x12\x10by me")]))], id="sound with comments"),
        pytest.param([Received(RECORD, b"\xff\xff")], id="no record"),
    ],
)
def test_what_a_hostile_child_says_is_not_believed(clips: Clips, messages: list[Received]) -> None:
    with Demuxer(str(clips("mp4_aac").path)) as demuxer:
        demuxer._jail._inbox += [*messages, Received(ENDED, b"")]

        with pytest.raises(StreamError, match="its child process sent something else than it should"):
            list(demuxer)

        assert demuxer._jail.closed


def test_what_an_honest_child_says_is_passed_on_until_it_ends(clips: Clips) -> None:
    with Demuxer(str(clips("mp4_aac").path)) as demuxer:
        first = said(head=good_head(notes=["left out: \x1b[2Jall", *["more"] * 99]))
        demuxer._jail._inbox += [first, SOUND, Received(ENDED, b""), SOUND]

        head, packet = demuxer

        assert (head.head.codec, packet.packet.data) == ("h264", b"x")
        assert head.head.notes[0] == "left out:  [2Jall"
        assert len(head.head.notes) == 20
        assert list(demuxer) == []


def test_words_of_a_child_tell_no_password() -> None:
    with Demuxer("rtsp://me:s3cret@127.0.0.1:1/live?token=t0ken") as demuxer:
        demuxer._jail._inbox.append(Received(FAILED, b"'rtsp://me:s3cret@127.0.0.1:1/live?token=t0ken': t0ken, s3cret"))

        with pytest.raises(StreamError) as caught:
            next(demuxer)

    assert str(caught.value) == "rtsp://127.0.0.1:1/live: 'rtsp://127.0.0.1:1/live': …, …"


def test_a_source_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)
    holder = os.open(path, os.O_RDWR)  # open at both ends, and silent

    with Demuxer(str(path), limits=JailLimits(timeout_s=0.5)) as demuxer, pytest.raises(StreamError):
        list(demuxer)
    os.close(holder)


def test_a_camera_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/door"

        with (
            Demuxer(url, live=True, limits=JailLimits(timeout_s=0.5)) as demuxer,
            pytest.raises(StreamError, match=r"gave no video within 0\.5 s"),
        ):
            list(demuxer)


def test_a_password_is_not_shown() -> None:
    with (
        Demuxer("rtsp://me:secret@127.0.0.1:1/door", limits=JailLimits(timeout_s=5)) as demuxer,
        pytest.raises(StreamError, match=r"rtsp://127\.0\.0\.1:1/door: connection refused"),
    ):
        list(demuxer)


@pytest.mark.usefixtures("rtsp_available")
def test_a_camera_is_read_until_it_is_gone(clips: Clips) -> None:
    server = RtspServer(play={"door": clips("h264_plain").path})
    packets: list[Packet] = []

    with Demuxer(server.url("door"), live=True, limits=JailLimits(timeout_s=3)) as demuxer:
        head = next(demuxer).head
        packets += [next(demuxer).packet for _ in range(5)]
        threading.Timer(0.1, server.close).start()
        began = time.monotonic()
        try:
            packets += [record.packet for record in demuxer]
        except StreamError as error:
            assert "rtsp://" in str(error)

    assert (head.codec, head.width, head.clock_may_jump, head.timed) == ("h264", 192, True, True)
    assert packets[0].key
    assert time.monotonic() - began < 6


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("socket", r"x: cannot be read \(No such device or address\)"),
        ("device", r"x: is a device that is not read; expected a file or /dev/videoN"),
    ],
)
def test_what_is_no_file_is_named(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "x"
    with socket.socket(socket.AF_UNIX) as bound:
        if kind == "socket":
            bound.bind(str(path))
        else:
            path.symlink_to("/dev/null")

        with pytest.raises(StreamError, match=message):
            Demuxer(str(path))


@pytest.mark.parametrize("url", ["rtsp://me:secret@camera:99999/door", "rtsp://me:secret@camera:door/x"])
def test_an_address_without_a_port_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(StreamError, match="expected a port between 0 and 65535") as raised:
        Demuxer(url)

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "port"), [("rtsp://cam/x", 554), ("rtsps://cam/x", 322), ("rtsp://me:p@[::1]:8554/x", 8554)]
)
def test_the_port_that_a_camera_may_be_reached_at(url: str, port: int) -> None:
    assert _port_of(url) == port
