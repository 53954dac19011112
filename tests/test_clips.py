"""The made clips are what they say: they decode to the frames drawn, and hold their traps."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from operators.shown import Shown
from pipeline.media.alpha import alpha_of
from pipeline.media.buffers import matrix_of
from tests import hostile as broken
from tests.clips import FPS, MAKERS, Clips, draw, portrait, read_index, shown
from tests.hostile import HostileFiles


def packets(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def frames(path: Path) -> Iterator[Any]:
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


def times(path: Path) -> list[Fraction]:
    return [frame.pts * frame.time_base for frame in frames(path)]


def leading(path: Path) -> list[Any]:
    """Packets behind a keyframe that are shown before it."""
    found, keyframe = [], None
    for packet in packets(path):
        if packet.is_keyframe:
            keyframe = packet.pts
        elif keyframe is not None and packet.pts < keyframe:
            found.append(packet)
    return found


def keyframes(path: Path) -> list[int]:
    return [number for number, packet in enumerate(packets(path)) if packet.is_keyframe]


@pytest.mark.parametrize("number", [0, 1, 170, 255])
@pytest.mark.parametrize("size", [(192, 144), (321, 241), (64, 48)], ids=str)
def test_the_number_on_a_picture_can_be_read(number: int, size: tuple[int, int]) -> None:
    for face in (None, portrait()):
        picture = draw(number, *size, face)

        assert read_index(picture) == number
        assert read_index(picture[..., 1].astype(np.uint16) * 4) == number


def test_a_covered_picture_has_no_number() -> None:
    assert read_index(np.full((144, 192), 128, np.uint8)) is None


@pytest.mark.parametrize("name", MAKERS)
def test_a_clip_shows_the_frames_that_were_drawn(clips: Clips, name: str) -> None:
    clip = clips(name)

    assert shown(clip.path) == list(clip.numbers)


@pytest.mark.parametrize("name", ["h264_open_gop", "hevc_open_gop", "mjpeg_mkv", "mp4_aac"])
def test_the_same_bytes_come_out_again(clips: Clips, tmp_path: Path, name: str) -> None:
    assert MAKERS[name](tmp_path, None).path.read_bytes() == clips(name).path.read_bytes()


def test_a_face_changes_the_picture_and_not_the_numbers(clips: Clips) -> None:
    plain, faced = clips("h264_plain"), clips("h264_plain", with_face=True)

    assert shown(faced.path) == list(plain.numbers)
    assert faced.path.read_bytes() != plain.path.read_bytes()


@pytest.mark.parametrize("name", ["h264_open_gop", "hevc_open_gop", "mpeg2_open_gop"])
def test_open_gops_have_leading_pictures(clips: Clips, name: str) -> None:
    assert len(leading(clips(name).path)) > 5


@pytest.mark.parametrize(
    ("name", "expected"),
    [("h264_plain", [0, 24, 48]), ("h264_long_gop", [0]), ("h264_all_intra", list(range(60))), ("gif", [0])],
)
def test_keyframes(clips: Clips, name: str, expected: list[int]) -> None:
    assert keyframes(clips(name).path) == expected


def test_intra_refresh_has_one_picture_that_decoding_may_begin_with(clips: Clips) -> None:
    path = clips("h264_intra_refresh").path

    kinds = [{unit[0] & 31 for unit in nal_units(bytes(packet))} for packet in packets(path)]

    assert [number for number, kind in enumerate(kinds) if 5 in kind] == [0]
    assert keyframes(path) == [0, 30, 60]


def nal_units(access_unit: bytes) -> Iterator[bytes]:
    """Of H.264 as mp4 holds it, each behind its length."""
    while access_unit:
        end = 4 + int.from_bytes(access_unit[:4])
        yield access_unit[4:end]
        access_unit = access_unit[end:]


def test_a_stream_without_a_keyframe_at_its_start(clips: Clips) -> None:
    clip = clips("no_keyframe_start")

    assert keyframes(clip.path)[0] == 18
    assert len(packets(clip.path)) - len(clip.numbers) == 18


def test_an_edit_list_discards_packets(clips: Clips) -> None:
    discarded = [packet.is_discard for packet in packets(clips("edit_list").path)]

    assert discarded == [True] * 12 + [False] * 48


def test_frames_of_different_length(clips: Clips) -> None:
    shown_at = times(clips("variable_rate").path)

    ticks = [0, *accumulate([1, 2, 5, 1] * 15)][:60]
    assert shown_at == [Fraction(tick, FPS) for tick in ticks]


def test_a_late_start(clips: Clips) -> None:
    assert times(clips("late_start").path)[0] == 3


@pytest.mark.parametrize("name", ["clock_jump_ahead", "clock_jump_back"])
def test_a_jump_of_the_clock(clips: Clips, name: str) -> None:
    steps = [later - before for before, later in pairwise(times(clips(name).path))]

    assert [number for number, step in enumerate(steps) if step != Fraction(1, FPS)] == [47]
    assert steps[47] > 500  # the demuxer takes a clock that starts anew for one that has overflowed


@pytest.mark.parametrize("name", ["avi_b_frames", "raw_h264"])
def test_time_stamps_that_cannot_be_used(clips: Clips, name: str) -> None:
    stamps = [frame.pts for frame in frames(clips(name).path)]

    assert None in stamps or stamps != sorted(stamps)


def test_a_rotation(clips: Clips) -> None:
    assert {frame.rotation for frame in frames(clips("rotated").path)} == {90}


def test_a_mirror_and_wide_samples(clips: Clips) -> None:
    with av.open(str(clips("mirrored").path)) as container:
        stream = container.streams.video[0]
        assert {matrix_of(frame) for frame in container.decode(stream)} == {Shown.turned(90, mirrored=True).matrix}
        assert stream.sample_aspect_ratio == 2


def test_fields_in_packets_of_their_own(clips: Clips) -> None:
    with av.open(str(clips("fields").path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    shown = list(frames(clips("fields").path))

    assert (len(packets), len(shown)) == (32, 16)
    assert all(frame.interlaced_frame for frame in shown)


def test_what_a_plain_decode_shows_lies_under_alpha(clips: Clips) -> None:
    path = clips("hidden_by_alpha", with_face=True).path
    with av.open(str(path)) as container:
        alpha = [alpha_of(packet) for packet in container.demux(video=0) if packet.size]

    assert all(alpha) and len(alpha) == 24
    hidden = list(frames(path))[12].to_ndarray(format="gray")[80:, 110:]
    assert hidden.max() > 100


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("odd_size", [(321, 241, "yuv420p")]),
        ("odd_size_444", [(321, 241, "yuv444p")]),
        ("h264_444", [(192, 144, "yuv444p")]),
        ("hdr_10_bit", [(192, 144, "yuv420p10le")]),
        ("mjpeg_avi", [(192, 144, "yuvj420p")]),
        ("mjpeg_mkv", [(192, 144, "yuvj422p")]),
        ("size_change_ts", [(192, 144, "yuv420p"), (256, 160, "yuv420p")]),
        ("size_change_raw", [(256, 160, "yuv420p"), (192, 144, "yuv420p")]),
    ],
)
def test_sizes_and_pixels(clips: Clips, name: str, expected: list[tuple[int, int, str]]) -> None:
    kinds = [(frame.width, frame.height, frame.format.name) for frame in frames(clips(name).path)]

    assert list(dict.fromkeys(kinds)) == expected


def test_colour_tags(clips: Clips) -> None:
    with av.open(str(clips("hdr_10_bit").path)) as container:
        context = container.streams.video[0].codec_context

        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)

    assert tags == (9, 16, 9, 1)


def test_vp9_packets_that_hold_a_hidden_frame(clips: Clips) -> None:
    superframes = [packet for packet in packets(clips("vp9_hidden_frames").path) if bytes(packet)[-1] >> 5 == 0b110]

    assert superframes


@pytest.mark.parametrize(
    ("name", "codec", "longer_s"),
    [("mov_g711", "pcm_alaw", 0.08), ("mov_pcm", "pcm_s16le", 0.08), ("mp4_aac", "aac", 0), ("long_audio", "aac", 3)],
)
def test_sound(clips: Clips, name: str, codec: str, longer_s: float) -> None:
    with av.open(str(clips(name).path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]

        assert audio.codec_context.name == codec
        assert seconds(audio) - seconds(video) == pytest.approx(longer_s, abs=0.03)


def seconds(stream: Any) -> float:
    return float(stream.duration * stream.time_base)


@pytest.mark.parametrize("name", ["truncated_mp4", "empty", "text"])
def test_files_that_do_not_open(hostile: HostileFiles, name: str) -> None:
    with pytest.raises(av.InvalidDataError):
        av.open(str(hostile(name)))


def test_a_file_that_breaks_off(hostile: HostileFiles) -> None:
    path = hostile("truncated_mp4_with_index")

    with av.open(str(path)) as container, pytest.raises(av.InvalidDataError):
        assert container.streams.video[0].frames == 60
        list(container.decode(video=0))


def test_noise_in_the_middle_loses_frames(hostile: HostileFiles) -> None:
    numbers = shown(hostile("corrupt_ts"))

    assert numbers[:40] == list(range(40))
    assert 40 < len(numbers) < 90


def test_a_file_without_pictures(hostile: HostileFiles) -> None:
    with av.open(str(hostile("audio_only"))) as container:
        assert [stream.type for stream in container.streams] == ["audio"]


@pytest.mark.parametrize(
    ("name", "size", "count"), [("one_pixel", (1, 1), 8), ("one_pixel_mjpeg", (1, 1), 8), ("eight_k", (7680, 4320), 1)]
)
def test_extreme_sizes(hostile: HostileFiles, name: str, size: tuple[int, int], count: int) -> None:
    assert [(frame.width, frame.height) for frame in frames(hostile(name))] == [size] * count


@pytest.mark.parametrize("name", ["playlist", "concat_script"])
def test_files_through_which_ffmpeg_reads_another_file(hostile: HostileFiles, name: str) -> None:
    assert hostile(name).stat().st_size < 1000
    assert len(shown(hostile(name))) == 60


def test_every_clip_says_which_trap_it_is() -> None:
    assert len(MAKERS) > 25
    assert all(maker.__doc__ for maker in (*MAKERS.values(), *broken.MAKERS.values()))
