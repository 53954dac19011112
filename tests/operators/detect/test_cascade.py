"""Where and when the cascade looks, and that no face goes through: by networks that see drawn faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines import ConfigError
from operators.boxes import area, intersection
from operators.detect.cascade import CONFIRMED, PERIODS, RETURN_FRAMES, Cascade
from operators.frame import Frame
from operators.stills import frame_of
from tests.operators.detect.drawn_faces import QuickEngine, ThoroughEngine, scene, with_face

WIDTH, HEIGHT = 640, 360
ROOM = scene(WIDTH, HEIGHT)
SIDE = 40


class Watch:
    """A cascade that is shown one picture after the other, at 25 a second."""

    def __init__(self, *, thorough: float = 0.9, quick: float = 0.9, **options: float) -> None:
        self.thorough, self.quick = ThoroughEngine(thorough), QuickEngine(quick)
        self.cascade = Cascade(self.thorough, self.quick, **options)  # type: ignore[arg-type]
        self.index = 0

    def show(self, *images: NDArray[np.uint8], stream: str = "still") -> list[Frame]:
        frames = [frame_of(image, self.index + n, stream=stream) for n, image in enumerate(images)]
        self.index += len(images)
        return self.cascade(frames)

    def forget_shapes(self) -> None:
        self.thorough.shapes.clear()
        self.quick.shapes.clear()

    @property
    def looked(self) -> bool:
        return bool(self.thorough.shapes or self.quick.shapes)


def face_at(
    x: float, y: float = 180, px: int = SIDE, *, over: NDArray[np.uint8] = ROOM, turns: int = 0
) -> NDArray[np.uint8]:
    return with_face(over, x, y, px, turns=turns)


def open_part(frame: Frame, x: float, y: float = 180, px: int = SIDE) -> float:
    """How much of a face that is there lies under no cover of 1.2 times its box, at the least; covers are larger."""
    out = 0.2 * (frame.faces.boxes[:, 2:] - frame.faces.boxes[:, :2])
    boxes = np.concatenate([frame.faces.boxes[:, :2] - out, frame.faces.boxes[:, 2:] + out], axis=1).astype(float)
    face = np.array([[max(0, x - px / 2), max(0, y - px / 2), min(WIDTH, x + px / 2), min(HEIGHT, y + px / 2)]])
    covered = intersection(face, boxes).max(initial=0)
    return float(1 - covered / area(face)[0])


# -- where nothing happens -----------------------------------------------------------------------------


def test_a_picture_that_stands_is_looked_at_once_and_its_faces_stay() -> None:
    watch = Watch(refresh_ms=60_000)
    watch.show(face_at(200))
    watch.forget_shapes()

    frames = watch.show(*[face_at(200)] * 200)

    assert not watch.looked
    assert all(frame.examined and len(frame.faces) == 1 for frame in frames)
    assert not any(frame.faces.seen.any() for frame in frames)


def test_the_first_look_is_one_by_both_networks_at_all_of_the_picture() -> None:
    watch = Watch()

    (frame,) = watch.show(face_at(200))

    assert watch.thorough.shapes[0][1:] == (480, 800)  # it enlarges small pictures
    assert frame.faces.seen.tolist() == [True]
    assert not frame.cut


@pytest.mark.parametrize(("refresh_ms", "looks"), [(1000, 2), (400, 5), (60_000, 0)])
def test_a_face_is_looked_at_again_at_times_even_if_nothing_changed(refresh_ms: float, looks: int) -> None:
    watch = Watch(refresh_ms=refresh_ms)
    watch.show(face_at(200))
    watch.forget_shapes()

    frames = watch.show(*[face_at(200)] * 51)

    assert watch.thorough.shapes == [(1, 64, 64)] * looks
    assert sum(frame.faces.seen.sum() for frame in frames) == looks


# -- where something happens ---------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    px=st.integers(24, 110),
    widths_per_s=st.floats(0, 2),
    frames=st.integers(1, 8),
    rate=st.sampled_from([15, 25, 30, 60]),
    start=st.floats(0.1, 0.8),
    down=st.floats(0.2, 0.8),
    before=st.integers(1, 6),
)
def test_a_face_is_covered_in_each_frame_in_which_it_is_there(
    px: int, widths_per_s: float, frames: int, rate: int, start: float, down: float, before: int
) -> None:
    watch, y = Watch(), down * HEIGHT
    places = [start * WIDTH + n * widths_per_s * WIDTH / rate for n in range(frames)]
    places = [x for x in places if x < WIDTH - px / 2]
    watch.show(*[ROOM] * before)

    shown = watch.show(*[face_at(x, y, px) for x in places])
    (after,) = watch.show(ROOM)[-1:]

    assert [open_part(frame, x, y, px) < 0.3 for frame, x in zip(shown, places, strict=True)] == [True] * len(places)
    assert after.examined


@settings(max_examples=5, deadline=None)
@given(st.integers(4, 40), st.integers(0, 99))
def test_faces_are_covered_while_the_camera_pans(step: int, seed: int) -> None:
    street = scene(WIDTH + 8 * step, HEIGHT, seed)
    where = [150, 330, 500]
    for x in where:
        street = with_face(street, x, 180, SIDE)
    watch = Watch()

    frames = watch.show(*[np.ascontiguousarray(street[:, n * step : n * step + WIDTH]) for n in range(8)])

    for n, frame in enumerate(frames):
        for x in where:
            if x - n * step > SIDE:
                assert open_part(frame, x - n * step) < 0.35, (n, x)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_lying_face_is_found_when_it_comes_and_followed(turns: int) -> None:
    watch = Watch()
    watch.show(ROOM)

    frames = watch.show(*[face_at(x, turns=turns) for x in range(200, 300, 6)])

    assert max(open_part(frame, x) for frame, x in zip(frames, range(200, 300, 6), strict=True)) < 0.3


def test_a_face_that_goes_is_not_there_any_more() -> None:
    watch = Watch()
    watch.show(face_at(200), face_at(200))

    gone, after = watch.show(ROOM, ROOM)

    assert len(gone.faces) == len(after.faces) == 0


def test_who_takes_somebodys_place_is_looked_at_in_that_frame() -> None:
    watch = Watch(refresh_ms=60_000)
    other = with_face(ROOM, 200, 180, SIDE, only_thorough=True)
    watch.show(*[face_at(200)] * 3)

    (frame,) = watch.show(other)

    assert frame.faces.seen.tolist() == [True]


def test_a_face_keeps_its_name_while_it_is_followed() -> None:
    watch = Watch()

    frames = watch.show(*[face_at(x) for x in range(100, 300, 5)], *[ROOM] * 30, face_at(500))

    names = [frame.faces.data["who"].tolist() for frame in frames]
    assert len({name for row in names[:40] for name in row}) == 1
    assert names[-1] != names[0]


def test_what_keeps_changing_is_looked_at_by_the_quick_network_and_thoroughly_at_times() -> None:
    watch, rng = Watch(), np.random.default_rng(0)
    busy = [ROOM.copy() for _ in range(33)]
    for image in busy:
        image[100:180, 200:320] = rng.integers(30, 130, (10, 15, 1)).repeat(8, 0).repeat(8, 1)
    watch.show(ROOM)
    watch.forget_shapes()

    watch.show(*busy)

    assert 33 // PERIODS["thorough"] <= len(watch.thorough.shapes) <= 5
    assert len(watch.quick.shapes) >= 33


def test_a_face_in_what_keeps_changing_is_found_at_once_or_two_frames_later() -> None:
    watch, rng = Watch(), np.random.default_rng(1)

    def busy() -> NDArray[np.uint8]:
        image = ROOM.copy()
        image[60:300, 160:460] = rng.integers(40, 120, (30, 60, 1)).repeat(8, 0).repeat(5, 1)
        return image

    watch.show(ROOM, *[busy() for _ in range(7)])
    late = watch.show(*[face_at(300, px=26, over=busy()) for _ in range(PERIODS["fine"])])[-1]

    assert open_part(late, 300, px=26) < 0.3


# -- doubt ---------------------------------------------------------------------------------------------


def test_a_weak_face_that_is_not_confirmed_does_not_live() -> None:
    watch = Watch(thorough=0.25, quick=0.25)
    watch.show(face_at(200))
    watch.thorough.blind = True

    frames = watch.show(*[face_at(200)] * 4)

    assert len(frames[0].faces) == 1
    assert len(frames[-1].faces) == 0


def test_a_weak_face_that_is_confirmed_is_believed() -> None:
    watch = Watch(thorough=0.3, quick=0.3)
    watch.show(*[face_at(200)] * (3 * CONFIRMED))
    watch.thorough.blind = True

    assert len(watch.show(*[face_at(200)] * 10)[-1].faces) == 1


def test_a_face_that_stirs_and_is_not_found_again_is_looked_for() -> None:
    watch = Watch()
    watch.show(face_at(200))
    watch.thorough.blind = watch.quick.blind = True
    watch.show(with_face(ROOM, 200, 180, SIDE, only_thorough=True))
    watch.thorough.blind = watch.quick.blind = False

    frames = watch.show(*[face_at(200)] * 3)

    assert open_part(frames[-1], 200) < 0.3


# -- cuts ----------------------------------------------------------------------------------------------


def test_another_scene_is_a_cut_and_looked_at_as_a_whole() -> None:
    watch, other = Watch(), scene(WIDTH, HEIGHT, seed=5)
    watch.show(face_at(200), face_at(200))

    (frame,) = watch.show(face_at(450, over=other))

    assert frame.cut
    assert open_part(frame, 450) < 0.3
    assert len(frame.faces) == 1


@pytest.mark.parametrize(("frames", "cut"), [(1, False), (RETURN_FRAMES, False), (RETURN_FRAMES + 1, True)])
def test_a_picture_that_comes_back_after_a_few_frames_is_no_cut(frames: int, *, cut: bool) -> None:
    watch, other = Watch(), scene(WIDTH, HEIGHT, seed=5)
    watch.show(face_at(200))
    watch.show(*[other] * frames)

    (frame,) = watch.show(face_at(200))

    assert frame.cut == cut
    assert open_part(frame, 200) < 0.3


# -- rest ----------------------------------------------------------------------------------------------


def test_at_rest_everything_that_is_new_counts_as_a_face_and_nothing_is_looked_at() -> None:
    watch = Watch()
    watch.show(face_at(200))
    watch.forget_shapes()

    frame = watch.cascade.rest(frame_of(face_at(480, over=face_at(200)), 1))

    assert not watch.looked
    assert frame.examined
    assert not frame.faces.seen.any()
    assert max(open_part(frame, 200), open_part(frame, 480)) < 0.3


def test_what_came_at_rest_is_looked_at_afterwards() -> None:
    watch = Watch()
    watch.show(ROOM)
    for index in (1, 2):
        watch.cascade.rest(frame_of(face_at(300), index))
    watch.index = 3

    (frame,) = watch.show(face_at(300))

    assert frame.faces.seen.tolist() == [True]
    assert open_part(frame, 300) < 0.3


def test_a_cut_over_frames_at_rest_is_none_for_who_does_not_know_where_it_was() -> None:
    watch, other = Watch(), scene(WIDTH, HEIGHT, seed=5)
    watch.show(ROOM)
    watch.cascade.rest(frame_of(other, 1))
    watch.index = 2

    assert [frame.cut for frame in watch.show(scene(WIDTH, HEIGHT, seed=6))] == [False]


def test_a_stream_that_begins_at_rest_is_looked_at() -> None:
    watch = Watch()

    assert len(watch.cascade.rest(frame_of(face_at(200))).faces) == 1


# -- streams -------------------------------------------------------------------------------------------


def test_at_a_pace_frames_between_are_not_examined() -> None:
    watch = Watch(pace_ms=80, refresh_ms=0)

    frames = watch.show(*[face_at(200)] * 7)

    assert [frame.index for frame in frames if frame.examined] == [0, 2, 4, 6]
    assert all(frame.faces.seen.all() for frame in frames)


@pytest.mark.parametrize("change", ["size", "clock", "forgotten", "restored"])
def test_a_stream_begins_anew_with_a_look_at_everything(change: str) -> None:
    watch = Watch()
    watch.show(face_at(200), face_at(200))
    watch.forget_shapes()
    image = face_at(200)
    if change == "size":
        image = np.ascontiguousarray(image[:, :480])
    elif change == "clock":
        watch.index = 0
    elif change == "forgotten":
        watch.cascade.forget("still")
    else:
        watch.cascade.restore("still", watch.cascade.snapshot("still"))

    (frame,) = watch.show(image)

    assert watch.thorough.shapes
    assert frame.faces.seen.tolist() == [True]
    assert not frame.cut


def test_streams_do_not_mix() -> None:
    watch = Watch()
    watch.show(face_at(200), stream="one")

    frames = watch.show(face_at(450), stream="other") + watch.show(face_at(200), stream="one")

    assert [open_part(frames[0], 450) < 0.3, open_part(frames[1], 200) < 0.3] == [True, True]
    assert [len(frame.faces) for frame in frames] == [1, 1]


def test_faces_that_were_there_before_it_stay() -> None:
    frame = frame_of(face_at(200))
    zone = frame.faces.of([[1, 2, 3, 4]])

    (examined,) = Watch().cascade([Frame(frame.stream, 0, 0.0, frame.picture, zone)])

    assert examined.faces.boxes[0].tolist() == [1, 2, 3, 4]


def test_what_is_weak_cannot_be_surer_than_sure() -> None:
    with pytest.raises(ConfigError, match=r"detect\.cascade: weak: expected at most sure, which is 0\.3, got 0\.5"):
        Watch(weak=0.5, sure=0.3)


def unexamined(frames: Sequence[Frame]) -> list[int]:
    return [frame.index for frame in frames if not frame.examined]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(["room", "face", "other", "dark", "white"]), min_size=2, max_size=12))
def test_every_frame_is_examined(kinds: list[str]) -> None:
    pictures = {
        "room": ROOM, "face": face_at(300), "other": scene(WIDTH, HEIGHT, seed=9),
        "dark": np.zeros_like(ROOM), "white": np.full_like(ROOM, 255),
    }  # fmt: skip

    assert unexamined(Watch().show(*[pictures[kind] for kind in kinds])) == []
