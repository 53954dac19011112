"""Frames, times, sizes, rotation and sound survive demuxing, decoding, encoding in units and muxing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.media import container_for
from tests.clips import Clips, shown
from tests.pipeline.media.passing import plain, sound, through

STEADY = [
    "h264_plain",
    "h264_open_gop",
    "hevc_open_gop",
    "mpeg2_open_gop",
    "h264_intra_refresh",
    "h264_long_gop",
    "h264_all_intra",
    "no_keyframe_start",
    "edit_list",
    "late_start",
    "rotated",
    "odd_size",
    "odd_size_444",
    "h264_444",
    "hdr_10_bit",
    "vp8",
    "vp9_hidden_frames",
    "av1",
    "mjpeg_avi",
    "mjpeg_mkv",
    "mpeg1",
    "mov_g711",
    "mov_pcm",
    "mp4_aac",
    "long_audio",
    "variable_rate",
    "gif",
]
SOUND_OF_MOV = ["mov_g711", "mov_pcm"]
COUNTED = ["avi_b_frames", "raw_h264"]  # sources without usable times


def test_each_trap_is_passed(clips: Clips, tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name in STEADY + COUNTED:
        with subtests.test(name):
            clip = clips(name)
            out = tmp_path / f"{name}{'.mov' if name in SOUND_OF_MOV else '.mp4'}"

            through(clip.path, out)

            before, after = plain(clip.path), plain(out)
            assert shown(out) == list(clip.numbers)
            assert [f.size for f in after] == [f.size for f in before]
            assert [f.rotation for f in after] == [f.rotation for f in before]
            assert sound(out) == sound(clip.path)
            if name in STEADY:
                assert [f.time_s for f in after] == [f.time_s for f in before]
                assert max(f.end_s or 0 for f in after) == max(f.end_s or 0 for f in before)
            else:
                assert [f.time_s for f in after] == [i * (after[1].time_s or 0) for i in range(len(before))]


def test_real_clips_keep_frames_times_and_sound(data_dir: Path, tmp_path: Path, subtests: pytest.Subtests) -> None:
    small = [path for path in sorted((data_dir / "videos").iterdir()) if path.stat().st_size < 1_000_000]
    paths = [*small, *(data_dir / "videos").glob("*.gif")]
    assert len(paths) >= 8
    for path in paths:
        with subtests.test(path.name):
            out = tmp_path / f"{path.stem}.mp4"

            through(path, out)

            before, after = plain(path), plain(out)
            assert [(f.time_s, f.size, f.rotation) for f in after] == [(f.time_s, f.size, f.rotation) for f in before]
            assert max(f.end_s or 0 for f in after) == max(f.end_s or 0 for f in before)
            assert [data for _, data in sound(out)] == [data for _, data in sound(path)]
            shifts = [abs(a - b) for (a, _), (b, _) in zip(sound(out), sound(path), strict=True)]
            assert max(shifts, default=0) < 0.00002  # 1/90000 of a second has no whole number of samples


@pytest.mark.parametrize(
    ("path", "container"),
    [
        ("a.mp4", "mp4"),
        ("a", "mp4"),
        ("a.m4v", "mp4"),
        ("a.mkv", "matroska"),
        ("a.MOV", "mov"),
        ("RTSP://server/a.mkv", "rtsp"),
    ],
)
def test_the_container_is_what_the_name_says(path: str, container: str) -> None:
    assert container_for(path) == container
