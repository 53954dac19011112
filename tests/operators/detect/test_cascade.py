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
from operators.stills import frame_of
from tests.clips import portrait
from tests.model_files import model_file

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

    done = cascade([frame_of(image, index, rotation=rotation) for index in range(5)])

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
    both = [cascade([frame_of(coded, index, rotation=rotation)])[0].faces for index in range(2)]

    cascade = Cascade(open_engine(model_file("centerface")), Quick(), quick_ms=0)
    crops = [cascade([frame_of(coded, index, rotation=rotation)])[0].faces for index in range(2)]

    boxes = np.concatenate([faces.boxes for faces in [*both, *crops]])
    assert boxes.shape == (4, 4)
    assert boxes == pytest.approx(np.tile(boxes[0], (4, 1)), abs=40)
