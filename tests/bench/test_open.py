"""Scenes for `bench_open`, and how it counts."""

from __future__ import annotations

import numpy as np
import pytest

from bench.bench_open import KindTally, frames_of, open_shares
from bench.hard_scenes import KINDS, Director, HardScene
from operators.frame import Cover

PEOPLE = [np.full((194, 162, 3), value, np.uint8) for value in (0, 255)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_shows_faces_within_pictures_of_one_size(kind: str) -> None:
    scene = KINDS[kind](Director(PEOPLE, 5))

    assert len({image.shape for image, _ in scene.shots}) == 1
    height, width = scene.shots[0][0].shape[:2]
    boxes = np.array([box for _, found in scene.shots for box in found])
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert len(boxes) and (centers > 0).all() and (centers < (width, height)).all()


def test_the_same_seed_makes_the_same_scene() -> None:
    one, other = (KINDS["crossing"](Director(PEOPLE, 9)) for _ in range(2))

    assert all(np.array_equal(a, b) and c == d for (a, c), (b, d) in zip(one.shots, other.shots, strict=True))


def test_what_counts_as_open() -> None:
    box = (10.0, 10.0, 30.0, 30.0)
    scene = HardScene([(np.zeros((40, 40, 3), np.uint8), (box,))] * 3, 25, 20)
    half, tally = Cover((10, 10, 20.5, 30), shape="box"), KindTally()

    tally.add(open_shares(scene, [(), (half,), (Cover(box),)]))
    tally.add([0.0])

    row = tally.row()
    assert (row["face_frames"], row["open"], row["scenes"], row["leaky_scenes"]) == (4, 1, 2, 1)
    assert 0 < row["leaky_low"] < 0.5 < row["leaky_high"] < 1


def test_a_scene_comes_through_the_codec_frame_by_frame() -> None:
    scene = KINDS["samples that are not square"](Director(PEOPLE, 1))

    frames = list(frames_of(scene))

    assert len(frames) == len(scene.shots)
    assert frames[1].time_s == 1 / scene.rate
    assert frames[0].shown == scene.shown
