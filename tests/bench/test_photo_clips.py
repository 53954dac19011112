"""Which photos hang where and when, and what is judged in which frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bench.photo_clips import BURST_S, GAP_PX, Hung, PhotoClip, hang, shown_at
from operators.stills import Labelled

WIDTH, HEIGHT = 128, 64


def photo(level: int) -> Labelled:
    """Of one grey, with a face in its middle."""
    content = cv2.imencode(".png", np.full((32, 48, 3), level, np.uint8))[1].tobytes()
    return Labelled(content, np.array([[10.0, 8, 30, 28]]))


def test_photos_do_not_overlap_and_lie_on_the_wall() -> None:
    rng = np.random.default_rng(0)
    sizes = {number: (int(w), int(h)) for number, (w, h) in enumerate(rng.integers(20, 120, (60, 2)))}

    walls = hang(sizes, 400, 300)

    assert sorted(each.photo for wall in walls for each in wall) == sorted(sizes)
    for wall in walls:
        taken = np.zeros((300, 400), int)
        for each in wall:
            across, down = sizes[each.photo]
            assert each.x % 2 == 0 and each.x + across <= 400 and each.y + down <= 300
            taken[each.y : each.y + down, each.x : each.x + across] += 1
        assert taken.max() == 1


def test_photos_larger_than_the_wall_are_left_out() -> None:
    assert hang({0: (401, 10), 1: (10, 301), 2: (400, 300)}, 400, 300) == [[Hung(2, 0, 0)]]
    assert hang({}, 400, 300) == []
    assert hang({0: (100, 50), 1: (100, 50)}, 100, 50 + GAP_PX) == [[Hung(0, 0, 0)], [Hung(1, 0, 0)]]


def test_after_a_change_frames_come_at_a_cameras_pace() -> None:
    times = shown_at(10.0, 2.0)

    assert times[0] == 10 and times[-1] == pytest.approx(12)
    assert np.diff(times)[:5] == pytest.approx(BURST_S)
    assert np.diff(times)[5:] == pytest.approx(0.2)


@pytest.mark.parametrize("swapped", [False, True])
def test_half_of_the_photos_appear_in_a_picture_that_stands(swapped: bool) -> None:
    clip = PhotoClip({0: photo(20), 1: photo(235), 2: photo(20)}, WIDTH, HEIGHT, swapped=swapped)
    frames = list(clip.frames())
    first, second = (1, 0) if swapped else (0, 1)

    moments = [(frame, moment) for frame, moment in frames if moment]
    told = [(moment.look, moment.judged, sorted(moment.boxes)) for _, moment in moments]
    last = [("new", (2,), [2]), ("new_later", (2,), [2])] if swapped else [("first", (2,), [2]), ("later", (2,), [2])]
    assert told == [
        ("first", (first,), [first]),
        ("later", (first,), [first]),
        ("new", (second,), [0, 1]),
        ("new_later", (second,), [0, 1]),
        *last,
    ]
    begins, stays, appears, ends = (frame for frame, _ in moments[:4])
    assert stays.time_s - begins.time_s == pytest.approx(2.0)
    assert ends.time_s - appears.time_s == pytest.approx(1.0)
    assert appears.index == stays.index + 1
    assert np.diff([frame.time_s for frame, _ in frames]).min() > 0

    where = moments[2][1].boxes
    for number, level in ((0, 20), (1, 235)):
        x1, y1, x2, y2 = where[number][0].astype(int)
        luma = appears.picture.planes[0][y1:y2, x1:x2]
        assert abs(float(luma.mean()) - (16 + level * 219 / 255)) < 6
    x1, y1, x2, y2 = where[second][0].astype(int)
    wall = stays.picture.planes[0][y1:y2, x1:x2]
    assert abs(float(wall.mean()) - float(appears.picture.planes[0][y1:y2, x1:x2].mean())) > 20, "not there yet"
