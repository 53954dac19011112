"""When which network looks at what, by engines that note what they are shown; at last both real ones on a portrait."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines import ConfigError, open_engine
from operators.detect.cascade import Cascade
from operators.frame import Frame
from operators.shown import Shown
from operators.stills import frame_of
from tests.clips import portrait
from tests.model_files import model_file
from tests.operators.pictures import flat

GREY = np.full((320, 640, 3), 96, np.uint8)
FULL, CROPS = (1, 416, 800), (1, 64, 64)
"""Batch, height and width that the thorough network is shown; it enlarges GREY to its usual 800 pixels."""
PART = (1, 224, 448)
"""A quarter of FULL, and a little more."""


class Thorough:
    """Sees one face in the middle of each picture, if it is asked to."""

    def __init__(self, sees: bool = True) -> None:
        self.sees = sees
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, **inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        b, _, h, w = inputs["input.1"].shape
        self.shapes.append((b, h, w))
        size = {"537": 1, "538": 2, "539": 2, "540": 10}
        maps = {name: np.zeros((b, n, h // 4, w // 4), np.float32) for name, n in size.items()}
        maps["537"][:, :, h // 8, w // 8] = 0.9 * self.sees
        maps["538"][:] = np.log(32 / 4)
        return maps


class Quick:
    """Sees nothing, but counts how often."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, **inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        self.looks += 1
        _, _, h, w = inputs["input"].shape
        shapes = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
        return {
            f"{name}_{stride}": np.zeros((1, h // stride * (w // stride), width), np.float32)
            for stride in (8, 16, 32)
            for name, width in shapes.items()
        }


class Crowd(Thorough):
    """Sees a face of 24 pixels at each of its centers when it is shown all of GREY, and in crops one in the middle if
    it is asked to."""

    def __init__(self, centers: Sequence[tuple[float, float]], *, again: bool = True) -> None:
        super().__init__(again)
        self.centers = centers

    def __call__(self, **inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        maps = super().__call__(**inputs)
        if self.shapes[-1] == FULL:
            maps["537"][:] = 0
            for x, y in self.centers:
                maps["537"][:, :, int(y * 1.25 / 4), int(x * 1.25 / 4)] = 0.9
            maps["538"][:] = np.log(24 * 1.25 / 4)
        return maps


class Seeing(Quick):
    """Sees a face of 24 pixels at each of its centers, multiples of 8, with this score."""

    def __init__(self, centers: Sequence[tuple[float, float]], score: float) -> None:
        super().__init__()
        self.centers, self.score = centers, score

    def __call__(self, **inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        maps = super().__call__(**inputs)
        for x, y in self.centers:
            cell = int(y) // 8 * (inputs["input"].shape[3] // 8) + int(x) // 8
            maps["cls_8"][0, cell] = maps["obj_8"][0, cell] = self.score
            maps["bbox_8"][0, cell] = 0, 0, np.log(24 / 8), np.log(24 / 8)
        return maps


TWENTY = [(40.0 + 56 * column, y) for column in range(10) for y in (64.0, 160.0)]
OTHERS = [(x, y + 48) for x, y in TWENTY]
"""Centers of faces that do not overlap."""


def clip(frames: int, image: NDArray[np.uint8] = GREY, start: int = 0) -> list[Frame]:
    """Frames of 25 fps."""
    return [frame_of(image, index) for index in range(start, start + frames)]


def examined(frames: Sequence[Frame]) -> list[int]:
    return [frame.index for frame in frames if frame.examined]


def test_looks_are_periodic_in_seconds() -> None:
    thorough, quick = Thorough(sees=False), Quick()
    cascade = Cascade(thorough, quick, quick_ms=200, thorough_ms=1000)

    done = cascade(clip(46))

    assert examined(done) == list(range(0, 46, 5))
    assert (thorough.shapes, quick.looks) == ([FULL, *[PART] * 4], 9)
    assert [frame.index for frame in done] == list(range(46))


@settings(max_examples=20, deadline=None)
@given(st.integers(40, 500), st.integers(40, 500), st.sampled_from([0, 90, 180, 270]))
def test_the_parts_of_a_slow_look_show_the_whole_picture(width: int, height: int, rotation: int) -> None:
    thorough = Thorough()
    cascade = Cascade(thorough, Quick(), quick_ms=0, thorough_ms=0, crops=0)
    image = np.zeros((height, width, 3), np.uint8)

    done = cascade([frame_of(image, index, shown=Shown.turned(rotation)) for index in range(5)])

    middles = np.concatenate([(f.faces.boxes[:1, :2] + f.faces.boxes[:1, 2:]) / 2 for f in done[1:]])
    quarters = np.array([[3, 3], [1, 3], [3, 1], [1, 1]]) / 4 * (width, height)
    assert middles == pytest.approx(quarters, abs=0.06 * max(width, height))


def test_a_face_that_only_the_thorough_network_sees_stays_found() -> None:
    thorough = Thorough()

    done = Cascade(thorough, Quick(), quick_ms=200)(clip(11))

    assert [len(done[index].faces) for index in (0, 5, 10)] == [1, 1, 1]
    assert thorough.shapes == [FULL, CROPS, CROPS]
    centers = [(faces.boxes[0, :2] + faces.boxes[0, 2:]) / 2 for faces in (done[0].faces, done[5].faces)]
    assert centers == [pytest.approx((320, 160), abs=4)] * 2


def test_a_face_that_neither_finds_again_is_let_go_after_a_second() -> None:
    thorough = Thorough()
    cascade = Cascade(thorough, Quick(), quick_ms=200)
    cascade(clip(1))
    thorough.sees = False

    done = cascade(clip(50, start=1))

    assert [len(frame.faces) for frame in done] == [0] * 50
    assert thorough.shapes == [FULL, *[CROPS] * 5]


def middles(frame: Frame) -> NDArray[np.float32]:
    """Of its faces, from left to right."""
    boxes = frame.faces.boxes
    found = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.asarray(found[np.lexsort(found.T[::-1])])


def test_all_known_faces_are_looked_at_again_however_many() -> None:
    thorough = Crowd(TWENTY)

    done = Cascade(thorough, Quick(), quick_ms=200, crops=12)(clip(11))

    assert thorough.shapes == [FULL, (20, 64, 64), (20, 64, 64)]
    assert [len(done[index].faces) for index in (0, 5, 10)] == [20, 20, 20]
    assert middles(done[10]) == pytest.approx(np.array(sorted(TWENTY)), abs=6)


@pytest.mark.parametrize("crops", [0, 5, 12, 30])
def test_of_what_may_be_new_a_few_are_looked_at(crops: int) -> None:
    thorough = Crowd([])

    done = Cascade(thorough, Seeing(TWENTY, 0.3), quick_ms=200, crops=crops)(clip(6))

    looked_at = min(crops, 20)
    assert thorough.shapes == [FULL, *[(looked_at, 64, 64)] * bool(crops)]
    assert len(done[5].faces) == looked_at


def test_known_faces_do_not_count_against_the_limit_for_new_ones() -> None:
    thorough = Crowd(TWENTY)

    done = Cascade(thorough, Seeing(OTHERS, 0.3), quick_ms=200, crops=12)(clip(6))

    assert thorough.shapes == [FULL, (32, 64, 64)]
    assert len(done[5].faces) == 32


def test_of_faces_lost_for_longer_a_few_are_looked_for() -> None:
    thorough = Crowd(TWENTY, again=False)

    done = Cascade(thorough, Quick(), quick_ms=200, crops=12)(clip(16))

    assert thorough.shapes == [FULL, (20, 64, 64), (12, 64, 64), (12, 64, 64)]
    assert [len(done[index].faces) for index in (0, 5, 10, 15)] == [20, 0, 0, 0]


@pytest.mark.parametrize(("score", "close"), [(0.9, 0), (0.61, 0), (0.59, 20), (0.13, 20), (0.11, 0)])
def test_what_the_quick_network_is_sure_of_is_believed(score: float, close: int) -> None:
    """Above 0.6 without a look, down to 0.12 with one; below, it is no face."""
    thorough = Crowd([])

    done = Cascade(thorough, Seeing(TWENTY, score), quick_ms=200, crops=99)(clip(6))

    assert thorough.shapes == [FULL, *[(close, 64, 64)] * bool(close)]
    expected = score if score > 0.6 else 0.9
    assert done[5].faces.scores.tolist() == pytest.approx([expected] * (20 if score > 0.12 else 0))


def test_a_known_face_that_is_seen_is_not_looked_for() -> None:
    thorough = Crowd(TWENTY)

    done = Cascade(thorough, Seeing(TWENTY[:15], 0.9), quick_ms=200)(clip(6))

    assert thorough.shapes == [FULL, (5, 64, 64)]
    assert sorted(done[5].faces.scores.tolist()) == pytest.approx([0.9] * 20)
    assert middles(done[5]) == pytest.approx(np.array(sorted(TWENTY)), abs=6)


def test_what_the_network_does_not_confirm_is_no_face() -> None:
    done = Cascade(Crowd([], again=False), Seeing(TWENTY, 0.3), quick_ms=200)(clip(6))

    assert (done[5].examined, len(done[5].faces)) == (True, 0)


def test_a_face_that_two_close_looks_show_counts_once() -> None:
    """Both faces lie so near the corner that their crops begin there and show nearly the same."""
    thorough = Crowd([])

    done = Cascade(thorough, Seeing([(8, 8), (8, 24)], 0.3), quick_ms=200)(clip(6))

    assert thorough.shapes == [FULL, (2, 64, 64)]
    assert len(done[5].faces) == 1


@settings(max_examples=40, deadline=None)
@given(st.floats(1, 639), st.floats(1, 319))
def test_a_close_look_reaches_around_the_face_and_not_out_of_the_picture(x: float, y: float) -> None:
    """A crop is twice as wide as the face; in it a face is seen in the middle."""
    done = Cascade(Crowd([(x, y)]), Quick(), quick_ms=200)(clip(6))

    box = done[0].faces.boxes[0]
    half = max(float((box[2:] - box[:2]).max()), 16)
    middle = np.clip((box[:2] + box[2:]) / 2, half, np.array([640, 320]) - half)
    assert middles(done[5])[0] == pytest.approx(middle, abs=4)


def test_what_a_part_shows_and_is_known_already_counts_once() -> None:
    """The last quarter is seen first; its middle is about (470, 235). The other face is that of the first look."""
    cascade = Cascade(Thorough(), Seeing([(472, 232)], 0.95), quick_ms=0, thorough_ms=0)

    done = cascade(clip(2))

    assert done[1].faces.scores.tolist() == pytest.approx([0.95, 0.9])
    assert middles(done[1]) == pytest.approx(np.array([[320, 160], [472, 232]]), abs=4)


def textured(seed: int) -> NDArray[np.uint8]:
    few = np.random.default_rng(seed).integers(40, 216, (9, 16), np.uint8)
    return np.asarray(cv2.cvtColor(cv2.resize(few, (640, 320), interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR))


@pytest.mark.parametrize(("changed_ms", "looks"), [(500, [0, 20]), (1000, [0, 25]), (5000, [0])])
def test_a_picture_that_has_come_to_show_something_else(changed_ms: float, looks: list[int]) -> None:
    """One picture fades into another over 25 frames; after 16 of them they are alike by less than a half."""
    one, other = textured(1).astype(np.float64), textured(2).astype(np.float64)
    thorough, done = Thorough(sees=False), []
    cascade = Cascade(thorough, Quick(), quick_ms=200, changed_ms=changed_ms)

    for index in range(41):
        part = min(index / 25, 1)
        image = np.rint((1 - part) * one + part * other).astype(np.uint8)
        before = len(thorough.shapes)
        (frame,) = cascade([frame_of(image, index)])
        done.extend([index] * (len(thorough.shapes) - before))
        assert not frame.cut

    assert done == looks
    assert set(thorough.shapes) == {FULL}


@pytest.mark.parametrize("change", [pytest.param(50, id="brighter"), pytest.param(-35, id="darker")])
def test_a_change_of_light_is_no_cut(change: int) -> None:
    cascade = Cascade(Thorough(sees=False), Quick(), quick_ms=200)
    lit = np.clip(textured(1).astype(int) + change, 0, 255).astype(np.uint8)

    done = cascade([frame_of(textured(1), 0), frame_of(lit, 1), frame_of(textured(2), 2)])

    assert [frame.cut for frame in done] == [False, False, True]


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize(("luma", "cut"), [(101, False), (103, True)])
def test_cuts_are_found_at_any_depth(name: str, luma: int, cut: bool) -> None:
    """Flat pictures are not alike at all, but they must differ by more than 6 of 255."""
    cascade = Cascade(Thorough(sees=False), Quick(), quick_ms=200)
    pictures = [flat(name, 640, 320, (96, 128, 128)), flat(name, 640, 320, (luma, 128, 128))]

    done = cascade([Frame("s", index, index / 25, shown) for index, shown in enumerate(pictures)])

    assert [frame.cut for frame in done] == [False, cut]


def test_frames_between_pass_as_the_objects_they_are() -> None:
    frames = clip(6)

    done = Cascade(Thorough(), Quick(), quick_ms=200)(frames)

    assert [one is other for one, other in zip(done, frames, strict=True)] == [False, True, True, True, True, False]
    assert [len(frame.faces) for frame in frames] == [0] * 6


def test_a_cut_is_looked_at_thoroughly() -> None:
    thorough = Thorough(sees=False)
    other = np.full_like(GREY, 180)

    done = Cascade(thorough, Quick(), quick_ms=200)([*clip(2), *clip(2, other, 2)])

    assert examined(done) == [0, 2]
    assert [frame.index for frame in done if frame.cut] == [2]
    assert thorough.shapes == [FULL, FULL]


def test_a_look_that_was_asked_for_is_a_quick_one() -> None:
    thorough, quick = Thorough(sees=False), Quick()
    cascade = Cascade(thorough, quick, quick_ms=200)
    cascade(clip(1))

    cascade.look_next("still")
    cascade.look_next("not seen yet")
    done = cascade(clip(2, start=1))

    assert examined(done) == [1]
    assert (thorough.shapes, quick.looks) == ([FULL], 1)


@pytest.mark.parametrize("change", ["time runs back", "size", "taken over", "another stream"])
def test_what_begins_anew_is_looked_at_thoroughly(change: str) -> None:
    thorough = Thorough(sees=False)
    cascade = Cascade(thorough, Quick())
    cascade(clip(1, start=1))
    frame = frame_of(GREY[:160] if change == "size" else GREY, 0 if change == "time runs back" else 2)
    if change == "taken over":
        cascade.restore("still", cascade.snapshot("still"))

    cascade([replace(frame, stream="other") if change == "another stream" else frame])

    assert len(thorough.shapes) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quick_ms": 300, "thorough_ms": 200}, "quick_ms: expected at most thorough_ms, which is 200, got 300"),
        ({"weak": 0.7}, "weak: expected at most sure, which is 0.6, got 0.7"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Cascade(Thorough(), Quick(), **options)


@pytest.mark.parametrize("rotation", [0, 90])
def test_a_portrait_in_every_look(rotation: int) -> None:
    image = cv2.resize(portrait(), (400, 480))
    coded = np.ascontiguousarray(np.rot90(image, -rotation // 90))
    cascade = Cascade(open_engine(model_file("centerface")), open_engine(model_file("yunet")), quick_ms=0)
    both = [cascade([frame_of(coded, index, shown=Shown.turned(rotation))])[0].faces for index in range(2)]

    cascade = Cascade(open_engine(model_file("centerface")), Quick(), quick_ms=0)
    crops = [cascade([frame_of(coded, index, shown=Shown.turned(rotation))])[0].faces for index in range(2)]

    boxes = np.concatenate([faces.boxes for faces in [*both, *crops]])
    assert boxes.shape == (4, 4)
    assert boxes == pytest.approx(np.tile(boxes[0], (4, 1)), abs=40)
