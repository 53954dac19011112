"""An upload is decoded once, in order, on a clock that begins at zero; what is lost is counted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.shown import Shown
from pipeline.jail.parent import JailLimits
from pipeline.media.frames import ShownTime, VideoFrames
from pipeline.wire import Head, Packet, Rational
from tests.clips import FPS, Clips, h264, read_index, write
from tests.hostile import HostileFiles

SHOWN_WHOLE = [
    "h264_plain", "h264_open_gop", "mpeg2_open_gop", "edit_list", "variable_rate", "late_start", "clock_jump_ahead",
    "clock_jump_back", "raw_h264", "avi_b_frames", "size_change_ts", "vp9_hidden_frames", "av1", "mp4_aac",
]  # fmt: skip


def test_every_frame_comes_once_in_order(clips: Clips, subtests: pytest.Subtests) -> None:
    for name in SHOWN_WHOLE:
        with subtests.test(name):
            clip = clips(name)
            pictures = VideoFrames(clip.path, "s", JailLimits())

            seen = [(frame.index, frame.time_s, read_index(frame.picture.planes[0])) for frame in pictures]

            indices, times, numbers = zip(*seen, strict=True)
            assert (pictures.reason, dict(pictures.lost), pictures.shown) == ("", {}, len(clip.numbers))
            assert (indices, numbers) == (tuple(range(len(seen))), clip.numbers)
            assert times[0] == 0 and (np.diff(times) > 0).all()
            assert times[-1] < 1.5 * len(seen) / FPS or name == "variable_rate"


def test_a_lying_picture_says_how_it_is_shown(clips: Clips) -> None:
    assert {frame.shown for frame in VideoFrames(clips("rotated").path, "s", JailLimits())} == {Shown.turned(90)}


def test_what_no_picture_comes_of_is_counted(clips: Clips) -> None:
    pictures = VideoFrames(clips("no_keyframe_start").path, "s", JailLimits())

    assert len(list(pictures)) == 36
    assert (dict(pictures.lost), pictures.reason) == ({"undecodable": 18}, "")


def test_damage_in_the_middle_does_not_end_it(hostile: HostileFiles) -> None:
    pictures = VideoFrames(hostile("corrupt_ts"), "s", JailLimits())

    assert 40 < len(list(pictures)) <= 90 and not pictures.reason


@pytest.mark.parametrize(
    ("name", "shown", "reason"),
    [
        ("truncated_mp4", 0, "is not a video"),
        ("truncated_mp4_with_index", 1, "breaks off"),
        ("empty", 0, "is empty"),
        ("text", 0, "text|letter"),
        ("audio_only", 0, "has no video stream"),
        ("playlist", 0, "playlist"),
        ("concat_script", 0, "script"),
    ],
)
def test_what_cannot_be_read_to_its_end_says_why(hostile: HostileFiles, name: str, shown: int, reason: str) -> None:
    pictures = VideoFrames(hostile(name), "s", JailLimits())

    assert min(len(list(pictures)), 1) == shown
    assert re.search(reason, pictures.reason)
    assert str(hostile(name).parent) not in pictures.reason


def test_pictures_larger_than_allowed_end_the_file(hostile: HostileFiles) -> None:
    pictures = VideoFrames(hostile("eight_k"), "s", JailLimits(max_pixels=1920 * 1080))

    assert not list(pictures) and "8k.avi" in pictures.reason


@pytest.mark.parametrize(
    ("stamps", "shown"),
    [
        ([50, 51, 53], [0, 0.04, 0.12]),
        ([50, 51, 51, 54], [0, 0.04, 0.08, 0.16]),
        ([50, 51, 10, 11], [0, 0.04, 0.08, 0.12]),
        ([50, 51, 9000, 9001], [0, 0.04, 0.08, 0.12]),
        ([50, None, 52], [0, 0.04, 0.08]),
        ([None, 50, 51], [0, 0.04, 0.08]),
    ],
    ids=["late start", "twice", "jumps back", "jumps ahead", "one is missing", "the first is missing"],
)
def test_the_clock(stamps: list[int | None], shown: list[float]) -> None:
    tick = Rational(num=1, den=25)
    head = Head(time_base=tick, rate=Rational(num=25, den=1), timed=True, clock_may_jump=True)
    clock = ShownTime(head)

    times = [clock.at(Packet() if stamp is None else Packet(pts=stamp)) for stamp in stamps]

    assert times == pytest.approx(shown)


TWENTY = Rational(num=20, den=1)


@pytest.mark.parametrize(
    ("head", "stamps", "shown"),
    [
        (Head(timed=False), [7, 8], [0, 0.04]),
        (Head(timed=False, rate=TWENTY), [None, None, None], [0, 0.05, 0.1]),
        (Head(timed=True, time_base=Rational(num=1, den=1000)), [5, 5005], [0, 5]),
        (Head(timed=True, time_base=Rational(num=1, den=1000)), [0, 60000], [0, 60]),
        (Head(timed=True, time_base=Rational(num=1, den=1000), clock_may_jump=True), [0, 60000], [0, 60]),
        (Head(timed=True, time_base=Rational(num=1, den=1000), clock_may_jump=True), [0, 600_000], [0, 0.04]),
        (Head(timed=True, time_base=Rational(num=1, den=1000)), [2000, 1000, 1040], [0, 0.001, 0.002]),
        (Head(timed=True, time_base=Rational(num=1, den=1000)), [2000, 999, 1040], [0, 0.04, 0.081]),
    ],
    ids=[
        "without times", "a rate alone", "one frame in five seconds", "a long pause", "a pause where it may jump",
        "a jump",        "a second back", "more than a second back",
    ],
)  # fmt: skip
def test_clocks_of_other_containers(head: Head, stamps: list[int | None], shown: list[float]) -> None:
    clock = ShownTime(head)

    times = [clock.at(Packet() if stamp is None else Packet(pts=stamp)) for stamp in stamps]

    assert times == pytest.approx(shown)


@given(st.lists(st.one_of(st.none(), st.integers(-(10**6), 10**6)), min_size=1, max_size=30), st.booleans())
def test_time_begins_at_zero_and_always_goes_on(stamps: list[int | None], may_jump: bool) -> None:
    tick = Rational(num=1, den=90)
    clock = ShownTime(Head(timed=True, time_base=tick, rate=TWENTY, clock_may_jump=may_jump))

    times = [clock.at(Packet() if stamp is None else Packet(pts=stamp)) for stamp in stamps]

    assert times[0] == 0 and (np.diff(times) > 0).all()


@pytest.mark.parametrize("ticks", [0, 1, 120, 3600])
def test_a_clock_that_crawls_makes_no_look_rarer(ticks: int) -> None:
    """Of 200 pictures, those that are 200 ms apart by the clock that detectors go by."""
    clock = ShownTime(Head(timed=True, time_base=Rational(num=1, den=90_000), rate=Rational(num=25, den=1)))
    looks, next_s = 0, 0.0

    for number in range(200):
        clock.at(Packet(pts=number * ticks, duration=3600))
        if clock.scene_s >= next_s - 0.002:
            looks, next_s = looks + 1, clock.scene_s + 0.2

    assert looks >= 30


def test_pictures_that_a_recorder_left_out_leave_their_time(tmp_path: Path) -> None:
    """An AVI states no times of showing: what is shown takes the times of decoding, in their order."""

    def dropped(packets: list[Any]) -> list[Any]:
        for packet in packets[10:]:
            packet.dts, packet.pts = packet.dts + 5, packet.pts + 5
        return packets

    clip = write(tmp_path / "gap.avi", None, edit=dropped, **h264(24, bframes=2, b_adapt=0))

    video = VideoFrames(clip.path, "video", JailLimits())

    assert [round(frame.source_s * 25) for frame in video] == [*range(10), *range(15, 29)]
