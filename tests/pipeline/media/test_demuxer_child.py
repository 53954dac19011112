"""The child's side of the demuxer: which stream is the video, what is told of it, and that no packet is lost."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from operators.shown import Shown
from pipeline.media import demuxer_child
from pipeline.media.demuxer_child import ENDED
from pipeline.media.shown import of_head
from pipeline.media.sound import is_plausible_track
from pipeline.wire import Head, Packet, StreamRecord, fraction
from tests.clips import Clips
from tests.pipeline.media.serving import serving

Track = Callable[[Any], Any]
LIMITS = {"timeout_s": 10.0, "max_pixels": 1 << 20, "max_packet_bytes": 1 << 20}


def said(path: Path, **changes: Any) -> tuple[Head | None, list[Packet], str]:
    """The head, the packets, and why it ended: empty if the source did."""
    records = []
    with path.open("rb") as file, serving(demuxer_child.serve, _settings(path, file.fileno(), changes)) as channel:
        while (message := channel.receive()).kind == demuxer_child.RECORD:
            records.append(StreamRecord.FromString(message.payload))
    reason = "" if message.kind == ENDED else message.payload.decode()
    return (records[0].head if records else None), [record.packet for record in records[1:]], reason


def _settings(path: Path, descriptor: int, changes: dict[str, Any]) -> dict[str, Any]:
    opened = {"source": str(path), "descriptor": descriptor, "container": "", "options": {}}
    return {**opened, "audio": True, "live": False, **LIMITS, **changes}


def video(
    size: tuple[int, int], *, codec: str = "mpeg4", rate: int = 25, cover: bool = False, default: bool = False
) -> Track:
    """A track of three grey pictures; a cover belongs to the sound of an album."""

    def add(container: Any) -> Any:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if cover:
            stream.disposition = Disposition.attached_pic
        if default:
            stream.disposition = Disposition.default

        def packets() -> list[Any]:
            made: list[Any] = []
            for pts in range(1 if cover else 3):
                frame = av.VideoFrame.from_ndarray(np.full((*size[::-1], 3), 90, np.uint8), format="rgb24")
                frame.pts, frame.time_base = pts, Fraction(1, rate)
                made += stream.encode(frame)
            return [*made, *stream.encode(None)]

        return packets

    return add


def sound(codec: str, rate: int = 48000) -> Track:
    """A track of 2048 silent samples."""

    def add(container: Any) -> Any:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        if codec.startswith("wma"):
            stream.bit_rate = 64_000

        def packets() -> list[Any]:
            made: list[Any] = []
            for pts in (0, 1024):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = rate, pts, Fraction(1, rate)
                made += stream.encode(frame)
            return [*made, *stream.encode(None)]

        return packets

    return add


def file_of(path: Path, *tracks: Track) -> Path:
    with av.open(str(path), "w") as container:
        for packets in [track(container) for track in tracks]:
            container.mux(packets())
    return path


@pytest.mark.parametrize(("default", "width"), [(None, 64), (1, 128), (2, 96)])
def test_the_video_that_players_show_is_taken_and_the_others_are_named(
    tmp_path: Path, default: int | None, width: int
) -> None:
    sizes = [(64, 48), (128, 96), (96, 64)]
    path = file_of(tmp_path / "two.mkv", *(video(size, default=n == default) for n, size in enumerate(sizes)))

    head, packets, reason = said(path)

    assert head is not None and head.width == width
    (note,) = head.notes
    others = [f"video track {n} (mpeg4 {w}x{h})" for n, (w, h) in enumerate(sizes, 1) if w != width]
    assert note == f"left out: {', '.join(others)}"
    assert (len(packets), reason) == (3, "")


def test_cover_art_is_never_the_video(tmp_path: Path) -> None:
    cover = video((320, 240), codec="mjpeg", cover=True)

    head, packets, _ = said(file_of(tmp_path / "film.mp4", video((64, 48)), cover))
    _, _, reason = said(file_of(tmp_path / "song.mp4", sound("aac"), cover))

    assert head is not None and (head.codec, head.width) == ("mpeg4", 64)
    assert len(packets) == 3
    assert reason == "has no video stream"


@pytest.mark.parametrize(
    ("tracks", "changes", "reason"),
    [
        ([video((64, 48), codec="ffv1")], {}, "holds ffv1 video; expected one of av1, gif, h263,"),
        (
            [video((64, 48), codec="libx264")],
            {"max_pixels": 3071},
            "has pictures of 64x48; at most 3071",
        ),
        ([video((64, 48))], {"max_packet_bytes": 9}, "; at most 9 are taken"),
        ([sound("flac")], {}, "has no video stream"),
    ],
    ids=["codec", "pixels", "packet", "sound"],
)
def test_what_is_not_taken_is_named(tmp_path: Path, tracks: list[Track], changes: dict[str, Any], reason: str) -> None:
    _, packets, said_reason = said(file_of(tmp_path / "file.mkv", *tracks), **changes)

    assert reason in said_reason
    assert packets == []


@pytest.mark.parametrize(("max_pixels", "taken"), [(64 * 48, False), (128 * 48, True)])
def test_heavy_pictures_count_for_more(tmp_path: Path, max_pixels: int, taken: bool) -> None:
    """A worker holds a dozen of them, by their bytes."""
    path = tmp_path / "heavy.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p10le"
        file.mux(stream.encode(av.VideoFrame(64, 48, "yuv444p10le")))
        file.mux(stream.encode(None))

    head, _, why = said(path, max_pixels=max_pixels)

    assert (head is not None) == taken
    assert taken or "64x48 in yuv444p10le, 0 MB each" in why


def test_a_video_that_is_not_decoded_gives_way_to_a_smaller_one(tmp_path: Path) -> None:
    head, _, _ = said(file_of(tmp_path / "file.mkv", video((128, 96), codec="ffv1"), video((64, 48))))

    assert head is not None and (head.codec, head.width) == ("mpeg4", 64)


@pytest.mark.parametrize(
    ("codec", "container", "carried"),
    [
        ("aac", "", "aac"),
        ("alac", "", "alac"),
        ("pcm_alaw", "mov", "pcm_alaw"),
        ("pcm_alaw", "mp4", "aac"),
        ("flac", "mp4", "flac"),
        ("flac", "rtsp", "aac"),
        ("wavpack", "matroska", "aac"),
        ("pcm_mulaw", "matroska", "aac"),
    ],
)
def test_sound_is_copied_where_its_container_takes_it_and_else_encoded_anew(
    tmp_path: Path, codec: str, container: str, carried: str
) -> None:
    suffix = "mkv" if codec in ("flac", "wavpack") else "mov"
    path = file_of(tmp_path / f"file.{suffix}", video((64, 48)), sound(codec, 32000))

    head, packets, _ = said(path, container=container)

    assert head is not None
    (track,) = head.audio
    assert (track.track, track.codec, track.sample_rate, track.layout) == (1, carried, 32000, "mono")
    assert is_plausible_track(track, 1)
    assert {packet.track for packet in packets} == {0, 1}
    assert bool(head.notes) == (carried != codec)
    assert all(codec in note and "AAC" in note for note in head.notes)


@pytest.mark.parametrize(
    ("codec", "suffix", "rate"),
    [
        ("adpcm_ima_wav", "avi", 32000),
        ("adpcm_ms", "avi", 32000),
        ("pcm_mulaw", "avi", 8000),
        ("adpcm_g726", "avi", 8000),
        ("libspeex", "mkv", 16000),
        ("wmav2", "asf", 44100),
        ("wmav1", "avi", 44100),
        ("nellymoser", "flv", 22050),
        ("adpcm_swf", "flv", 22050),
        ("pcm_bluray", "m2ts", 48000),
        ("tta", "mkv", 44100),
    ],
)
def test_no_sound_costs_a_file_its_pictures(tmp_path: Path, codec: str, suffix: str, rate: int) -> None:
    """Of old files and cameras; a track that mp4 takes stays beside it as it is."""
    if codec not in av.codecs_available:
        pytest.skip(f"no encoder for {codec} here")
    pictures = video((64, 48), codec="libx264" if suffix in ("flv", "m2ts") else "mpeg4")
    alone = file_of(tmp_path / f"alone.{suffix}", pictures, sound(codec, rate))
    beside = file_of(tmp_path / "beside.mkv", video((64, 48)), sound("ac3"), sound("wavpack"))

    head, packets, reason = said(alone, container="mp4")
    both, _, _ = said(beside, container="mp4")

    assert head is not None and reason == ""
    assert sum(packet.track == 0 for packet in packets) == 3
    assert [track.codec for track in head.audio] == ["aac"]
    assert len(head.notes) == 1 and "encoded anew in AAC" in head.notes[0]
    assert both is not None and [track.codec for track in both.audio] == ["ac3", "aac"]


def test_sound_tracks_are_numbered_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = file_of(tmp_path / "file.mkv", sound("mp2"), video((64, 48)), sound("flac"))

    head, packets, _ = said(path)
    silent, pictures, _ = said(path, audio=False)

    assert head is not None and [(track.track, track.codec) for track in head.audio] == [(1, "mp2"), (2, "flac")]
    assert {packet.track for packet in packets} == {0, 1, 2}
    assert silent is not None and not silent.audio
    assert {packet.track for packet in pictures} == {0}


@pytest.mark.parametrize("name", ["h264_open_gop", "vp9_hidden_frames", "mp4_aac", "mpeg1", "hevc_open_gop"])
def test_looking_ahead_loses_no_packet(clips: Clips, name: str) -> None:
    path = clips(name).path

    _, packets, _ = said(path)

    with av.open(str(path)) as container:
        plain = [(p.stream.type == "audio", p.pts, p.dts, bytes(p)) for p in container.demux() if p.size]
    assert [(p.track == 1, p.pts, p.dts, p.data) for p in packets] == plain


def test_a_camera_is_not_read_ahead_and_promises_no_number_of_frames(clips: Clips) -> None:
    path = clips("rotated").path

    recorded, _, _ = said(path)
    live, packets, _ = said(path, live=True)

    assert recorded is not None and (recorded.frames_expected, of_head(recorded)) == (48, Shown.turned(90))
    assert live is not None and (live.frames_expected, of_head(live)) == (0, Shown.turned(90))
    assert len(packets) == 48


@pytest.mark.parametrize(
    ("name", "expected", "jumps"),
    [("h264_plain", 60, False), ("gif", 24, False), ("vp8", 48, False), ("mpeg1", 48, True), ("raw_h264", 0, False)],
)
def test_the_number_of_frames_is_guessed_from_the_duration_where_it_is_not_said(
    clips: Clips, name: str, expected: int, jumps: bool
) -> None:
    head, _, _ = said(clips(name).path)

    assert head is not None
    assert abs(head.frames_expected - expected) <= 2
    assert head.clock_may_jump is jumps


def test_the_rate_of_a_bare_stream_is_what_its_codec_says(tmp_path: Path) -> None:
    head, _, _ = said(file_of(tmp_path / "bare.h264", video((64, 48), codec="libx264", rate=30)))

    assert head is not None and (fraction(head.rate), head.timed) == (Fraction(30), False)  # FFmpeg's reader says 25
