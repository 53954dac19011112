"""A judge sees what a viewer sees: upright, in square pixels, at one size."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from operators.shown import Shown
from operators.stills import frame_of
from pipeline.jail.parent import JailLimits
from pipeline.judging.views import GLANCE, ShownVideo, as_shown, glance, luma8
from tests.clips import Clips
from tests.pipeline.judging.scenes import background


def test_a_lying_video_is_turned(clips: Clips) -> None:
    video = ShownVideo(clips("rotated").path, JailLimits())

    frames = [(frame.shown.rotation, frame.picture.width, frame.picture.height) for frame in video]

    width, height = video.shown_size or (0, 0)
    assert set(frames) == {(0, width, height)} and height > width
    assert video.frames == len(frames) and not video.reason and not video.lost


def test_a_video_can_be_gone_through_again_at_another_size(clips: Clips) -> None:
    video = ShownVideo(clips("h264_plain").path, JailLimits(), size=(96, 72))

    first, second = ([frame.time_s for frame in video] for _ in range(2))

    assert first == second and len(first) == len(clips("h264_plain").numbers)
    assert video.shown_size == (192, 144)
    assert {luma8(frame).shape for frame in video} == {(72, 96)}


def test_a_broken_file_says_why(tmp_path: object) -> None:
    file = tmp_path / "text.mp4"  # type: ignore[operator]
    file.write_text("no video")
    video = ShownVideo(file, JailLimits())

    assert not list(video) and video.reason


def test_wide_samples_make_a_wide_picture() -> None:
    shown = as_shown(frame_of(background(), shown=Shown(sample_aspect=Fraction(4))))

    assert luma8(shown).shape == (144, 768)
    assert shown.shown == Shown()


@pytest.mark.parametrize("size", [(95, 71), (191, 144)])
def test_odd_sizes_stay_odd(size: tuple[int, int]) -> None:
    assert luma8(as_shown(frame_of(background()), size=size)).shape == size[::-1]


def test_what_is_shown_as_it_is_stays_as_it_is() -> None:
    frame = frame_of(background())

    assert as_shown(frame) is frame


def test_ten_bits_become_eight(clips: Clips) -> None:
    with av.open(str(clips("hdr_10_bit").path)) as container:
        assert "10" in next(container.decode(video=0)).format.name

    frame = next(iter(ShownVideo(clips("hdr_10_bit").path, JailLimits())))

    assert luma8(frame).dtype == np.uint8 and luma8(frame).max() > 100


def test_a_glance_does_not_see_light() -> None:
    luma = background()[..., 0]

    bright, dim = glance(luma), glance((luma * 0.5 + 20).astype(np.uint8))

    assert bright.shape == GLANCE[::-1]
    assert np.abs(bright - dim).mean() < 0.1
