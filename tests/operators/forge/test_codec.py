"""Pictures through H.264 and back: as many, of the same shape, in the same order."""

from __future__ import annotations

import numpy as np
import pytest

from operators.forge.codec import h264
from tests.operators.forge.faces import made_face

FACE = made_face(0).pixels


@pytest.mark.parametrize("intra", [True, False])
@pytest.mark.parametrize("size", [(64, 64), (63, 65)], ids=["even", "odd"])
def test_h264_keeps_the_shape_and_loses_more_at_a_higher_crf(size: tuple[int, int], intra: bool) -> None:
    frames = np.stack([np.roll(FACE, shift, axis=1)[: size[0], : size[1]] for shift in range(4)])

    good, bad = (h264(frames, crf, intra=intra) for crf in (10, 40))

    assert good.shape == bad.shape == frames.shape
    loss = [np.abs(made.astype(int) - frames).mean() for made in (good, bad)]
    assert loss[0] < loss[1] < 60


@pytest.mark.parametrize("intra", [True, False])
def test_pictures_come_back_in_their_order(intra: bool) -> None:
    frames = np.stack([np.full((32, 48, 3), level, np.uint8) for level in (200, 40, 120, 80, 160)])

    assert h264(frames, 10, intra=intra).mean(axis=(1, 2, 3)) == pytest.approx([200, 40, 120, 80, 160], abs=3)


def test_colours_keep_their_order() -> None:
    red = np.zeros((1, 32, 32, 3), np.uint8)
    red[..., 0] = 200

    assert np.abs(h264(red, 10).astype(int) - red).max() < 8


def test_the_last_row_and_column_of_an_odd_picture_are_kept() -> None:
    frame = np.full((1, 33, 35, 3), 60, np.uint8)
    frame[:, -1, :, 0] = frame[:, :, -1, 0] = 180  # red; what is added to make it even must not bleach it

    made = h264(frame, 1)[0, ..., 0]

    assert made[-1].mean() == pytest.approx(180, abs=12) and made[:, -1].mean() == pytest.approx(180, abs=12)
    assert made[:-2, :-2].mean() == pytest.approx(60, abs=3)


def test_a_still_does_not_depend_on_those_before_it_and_a_clip_does() -> None:
    frames = np.stack([FACE, np.roll(FACE, 2, axis=1)])

    stills, clip = (h264(frames, 30, intra=intra) for intra in (True, False))

    moved = [np.abs(made[1].astype(int) - np.roll(made[0], 2, axis=1)).mean() for made in (stills, clip)]
    assert moved[1] < moved[0]  # the clip's second picture is predicted from the first
