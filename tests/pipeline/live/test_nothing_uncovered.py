"""The default config on people who come, go, cross and lie, in any light: no visible face is left in clear."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.covers import hidden
from bench.people import Box, heads, turned, with_head
from bench.rooms import room
from operators import Operator
from operators.arrays import Image
from operators.frame import Frame
from operators.shown import Shown
from operators.stills import frame_of
from pipeline.config import load
from pipeline.live.lookahead import LookAhead, PendingFrame
from pipeline.live.steps import open_steps
from pipeline.media.clock import FrameStamp
from tests.model_files import model_file

WIDTH, HEIGHT = 1280, 720
RATE = 25
LFW = Path(os.environ.get("FACEWARDEN_DATA", "missing")) / "faces_lfw"
Shot = tuple[Image, Sequence[Box]]
"""A picture, and the boxes of the faces in it."""

pytestmark = pytest.mark.skipif(not LFW.is_dir(), reason="needs FACEWARDEN_DATA")
few = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
EMPTY = room(WIDTH, HEIGHT, seed=0)


@cache
def steps() -> dict[str, Operator]:
    for name in ("centerface", "yunet"):
        model_file(name)
    return dict(open_steps(load("anonymize")))


def released(frames: Sequence[Frame], *, wait_s: float = 0.25) -> Iterator[Frame]:
    """The frames as they leave; those of live streams do after a quarter of a second."""
    ahead = LookAhead("still", steps(), lambda _: nullcontext())
    ahead.begin({})
    for frame in frames:
        ahead.look(pending := PendingFrame(frame, FrameStamp(frame.index, 1), frame.index, 0, frame.index), lag_s=0)
        ahead.window.append(pending)
        while ahead.is_due(free_slots=32, wait_s=wait_s):
            yield ahead.settle(ahead.window.popleft().frame)
    while ahead.window:
        yield ahead.settle(ahead.window.popleft().frame)


def in_clear(shots: Sequence[Shot], *, rate: float = RATE, shown: Shown | None = None) -> list[tuple[int, float]]:
    """Frames with a face of which more than half is open, and how much is."""
    frames = [
        Frame("still", n, n / rate, frame_of(image).picture, shown=shown or Shown())
        for n, (image, _) in enumerate(shots)
    ]
    done = list(released(frames))
    assert all(frame.examined for frame in done)
    opened = [1 - hidden(np.array(boxes).reshape(-1, 4), done[n].covers) for n, (_, boxes) in enumerate(shots)]
    return [(n, round(float(share), 2)) for n, shares in enumerate(opened) for share in shares if share > 0.5]


def head(who: int) -> Image:
    people = heads(LFW)
    return people[who % len(people)]


def shot(image: Image, who: int, x: float, y: float, px: float) -> Shot:
    made, box = with_head(image, head(who), x, y, px)
    return made, [box]


@few
@given(
    who=st.integers(0, 11),
    px=st.integers(26, 190),
    frames=st.integers(1, 6),
    rate=st.sampled_from([12.5, 25, 30, 60]),
    x=st.floats(0.15, 0.85),
    y=st.floats(0.3, 0.7),
)
def test_somebody_is_there_for_a_moment(who: int, px: int, frames: int, rate: float, x: float, y: float) -> None:
    there = shot(EMPTY, who, x * WIDTH, y * HEIGHT, px)

    assert in_clear([*[(EMPTY, ())] * 7, *[there] * frames, *[(EMPTY, ())] * 3], rate=rate) == []


@few
@given(who=st.integers(0, 11), px=st.integers(26, 120), widths_per_s=st.floats(0.2, 2), y=st.floats(0.3, 0.7))
def test_somebody_crosses_the_picture(who: int, px: int, widths_per_s: float, y: float) -> None:
    places = np.arange(px, WIDTH - px, widths_per_s * WIDTH / RATE)[:14]

    assert in_clear([(EMPTY, ()), (EMPTY, ()), *(shot(EMPTY, who, x, y * HEIGHT, px) for x in places)]) == []


@few
@given(px=st.integers(26, 110), step=st.integers(4, 44))
def test_a_camera_pans_over_people(px: int, step: int) -> None:
    street, boxes = np.hstack([EMPTY, EMPTY[:, ::-1]]), []
    for number, x in enumerate(range(180, 2 * WIDTH - 180, 260)):
        street, box = with_head(street, head(number), x, 0.45 * HEIGHT, px)
        boxes.append(np.array(box))
    shots = []
    for left in range(0, min(12 * step, WIDTH), step):
        here = [box - (left, 0, left, 0) for box in boxes]
        seen = [tuple(box.tolist()) for box in here if box[0] >= 0 and box[2] <= WIDTH]
        shots.append((np.ascontiguousarray(street[:, left : left + WIDTH]), seen))

    assert in_clear(shots) == []


def test_a_time_lapse_shows_other_people_in_each_picture() -> None:
    rng = np.random.default_rng(4)
    shots = [shot(EMPTY, n, rng.uniform(0.1, 0.9) * WIDTH, rng.uniform(0.3, 0.7) * HEIGHT, 90) for n in range(12)]

    assert in_clear(shots) == []


@pytest.mark.parametrize("light", [0.08, 0.06])
def test_people_walk_in_the_dark(light: float) -> None:
    rng = np.random.default_rng(5)
    lit = [shot(EMPTY, 3, 400 + 12 * n, 320, 90) if n > 2 else (EMPTY, ()) for n in range(12)]
    dim = [(np.clip(image * light + rng.normal(2.5, 2.5, image.shape), 0, 255).astype(np.uint8), b) for image, b in lit]

    assert in_clear(dim) == []


@few
@given(
    who=st.integers(0, 11),
    px=st.integers(40, 190),
    light=st.floats(0.1, 1),
    black=st.integers(0, 12),
    x=st.integers(2, 8),
)
def test_somebody_stands_before_black(who: int, px: int, light: float, black: int, x: int) -> None:
    empty = np.full_like(EMPTY, black)
    image, box = with_head(empty, (head(who) * light).astype(np.uint8), 128 * x, 360, px)

    assert in_clear([(image, [box]), (image, [box])]) == []


@few
@given(lit=st.integers(0, 11), dim=st.integers(0, 11), light=st.floats(0.09, 1))
def test_one_stands_in_the_light_and_one_does_not(lit: int, dim: int, light: float) -> None:
    dark = (EMPTY * 0.05).astype(np.uint8)
    image, box = with_head(dark, head(lit), 300, 330, 120)
    image, other = with_head(image, (head(dim) * light).astype(np.uint8), 900, 400, 100)

    assert in_clear([(dark, ()), (image, [box, other]), (image, [box, other])]) == []


@pytest.mark.parametrize(("width", "height"), [(6000, 200), (200, 4000)])
def test_somebody_stands_in_a_strip(width: int, height: int) -> None:
    strip = np.asarray(cv2.resize(EMPTY, (width, height)), np.uint8)
    image, box = with_head(strip, head(1), width / 2, height / 2, 120)

    assert in_clear([(strip, ()), (strip, ()), (image, [box]), (image, [box])]) == []


def test_what_stays_the_same_is_looked_at_again_where_it_is_shown_in_another_shape() -> None:
    image, (x1, y1, x2, y2) = with_head(EMPTY, head(2), 600, 360, 160)
    stored = np.asarray(cv2.resize(image, (WIDTH // 4, HEIGHT)), np.uint8)
    frames = [
        Frame("still", n, n / RATE, frame_of(stored).picture, shown=Shown(sample_aspect=Fraction(4 if n > 3 else 1)))
        for n in range(8)
    ]

    done = list(released(frames))

    box = np.array([[x1 / 4, y1, x2 / 4, y2]])
    assert all(hidden(box, frame.covers)[0] > 0.5 for frame in done[4:])


def test_a_dark_scene_is_cut_to_another() -> None:
    crowd, boxes = np.ascontiguousarray(EMPTY[:, ::-1]), []
    for number in range(6):
        crowd, box = with_head(crowd, head(number), 120 + 200 * number, 300, 40)
        boxes.append(box)
    dark = [(image * 0.08).astype(np.uint8) for image in (EMPTY, crowd)]

    assert in_clear([*[(dark[0], ())] * 5, *[(dark[1], boxes)] * 5]) == []


@pytest.mark.parametrize("kind", ["negative", "mixed", "flash"])
def test_one_frame_has_an_effect(kind: str) -> None:
    other = room(WIDTH, HEIGHT, seed=7)
    walk = [shot(EMPTY, 2, 500 + 5 * n, 330, 100) for n in range(12)]
    image, box = walk[6]
    effects = {"negative": 255 - image, "mixed": cv2.addWeighted(image, 0.5, other, 0.5, 0), "flash": image // 5 + 200}
    walk[6] = effects[kind].astype(np.uint8), box

    assert in_clear(walk) == []


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_people_lie_or_hang(quarters: int) -> None:
    shots = []
    for n in range(14):
        image, boxes = shot(EMPTY, 1, 500 + 6 * n, 340, 120) if n > 2 else (EMPTY, ())
        shots.append(turned(image, tuple(boxes), quarters))

    assert in_clear(shots) == []


@pytest.mark.parametrize(("across", "down"), [(4, 1), (1, 4), (2, 1)])
def test_samples_are_not_square(across: int, down: int) -> None:
    shots = []
    for n in range(8):
        image, boxes = shot(EMPTY, 4, 500 + 8 * n, 340, 120)
        size = WIDTH // across, HEIGHT // down
        squeezed = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        stored = [(x1 / across, y1 / down, x2 / across, y2 / down) for x1, y1, x2, y2 in boxes]
        shots.append((np.asarray(squeezed, np.uint8), stored))

    assert in_clear(shots, shown=Shown(sample_aspect=Fraction(across, down))) == []


@pytest.mark.parametrize("frames", [12, 30])
def test_somebody_fades_in(frames: int) -> None:
    (image, boxes), shots = shot(EMPTY, 5, 640, 340, 110), []
    for n in range(frames + 1):
        mixed = cv2.addWeighted(image, n / frames, EMPTY, 1 - n / frames, 0)
        shots.append((np.asarray(mixed, np.uint8), boxes if n / frames >= 0.33 else ()))

    assert in_clear(shots) == []


def test_a_picture_that_stands_keeps_its_faces() -> None:
    assert in_clear([(EMPTY, ()), *[shot(EMPTY, 6, 300, 340, 40)] * 40]) == []
