"""Fixed boxes that are faces in every frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators import find
from operators.deidentify.cover import CoverFaces
from operators.detect.zones import Zones
from operators.frame import Faces, Frame
from operators.paint.cpu import paint
from operators.shown import Shown
from tests.operators.pictures import flat


def frame(index: int = 0, size: tuple[int, int] = (64, 48), faces: Faces | None = None) -> Frame:
    return Frame("s", index, index / 25, flat("yuv420p", *size), faces or Faces.of())


def test_it_is_found_by_its_name() -> None:
    assert find("detect.zones") is Zones


def test_fractions_of_the_coded_picture() -> None:
    zones = Zones(boxes=[(0, 0, 0.5, 1), (0.25, 0.5, 1, 0.75)])

    small, large = zones([frame(), frame(1, (128, 240))])

    assert small.faces.boxes.tolist() == [[0, 0, 32, 48], [16, 24, 64, 36]]
    assert large.faces.boxes.tolist() == [[0, 0, 64, 240], [32, 120, 128, 180]]


def test_a_lying_picture_has_them_where_it_is_coded() -> None:
    (done,) = Zones(boxes=[(0, 0, 0.5, 1)])([replace(frame(), shown=Shown.turned(90))])

    assert done.faces.boxes.tolist() == [[0, 0, 32, 48]]


def test_zones_are_sure_and_must_be_covered() -> None:
    (done,) = Zones(boxes=[(0, 0, 1, 1)])([frame()])

    faces = done.faces
    assert (faces.scores.tolist(), faces.kept.tolist(), faces.seen.tolist()) == ([1], [False], [True])
    assert faces.tracks.tolist() == [-1]


def test_every_frame_has_them_after_its_own_faces() -> None:
    frames = [frame(2, faces=Faces.of([[1, 2, 3, 4]], kept=[True])), frame(3), frame(4)]

    done = Zones(boxes=[(0, 0, 0.5, 0.5)])(frames)

    assert [(f.index, f.examined, len(f.faces)) for f in done] == [(2, True, 2), (3, True, 1), (4, True, 1)]
    assert done[0].faces.boxes.tolist() == [[1, 2, 3, 4], [0, 0, 32, 24]]
    assert done[0].faces.kept.tolist() == [True, False]
    assert [(f.examined, len(f.faces)) for f in frames] == [(False, 1), (False, 0), (False, 0)]


def test_they_are_no_faces() -> None:
    (done,) = Zones(boxes=[(0, 0, 0.5, 0.5)])([frame(faces=Faces.of([[1, 2, 3, 4]]))])

    assert done.faces.zones.tolist() == [False, True]


@pytest.mark.parametrize("box", [(0.25, 0.25, 0.75, 0.5), (0.1, 0.1, 0.9, 0.33)])
def test_they_are_covered_exactly_corners_included(box: tuple[float, float, float, float]) -> None:
    (marked,) = Zones(boxes=[box])([frame(size=(128, 96))])
    (done,) = CoverFaces(scale=2.0, zone_style="solid")([marked])

    (cover,) = done.covers
    assert (cover.style, cover.shape, cover.feather) == ("solid", "box", 0.0)
    asked = np.array(box) * [128, 96, 128, 96]
    assert np.abs(np.array(cover.box) - asked).max() <= 2
    before = np.array(done.picture.planes[0])
    paint(done)
    changed = np.asarray(done.picture.planes[0] != before)
    x1, y1, x2, y2 = map(int, cover.box)
    assert changed[y1:y2, x1:x2].all()
    assert changed.sum() == (x2 - x1) * (y2 - y1)


def test_faces_keep_their_style_beside_them() -> None:
    (marked,) = Zones(boxes=[(0, 0, 0.5, 0.5)])([frame(faces=Faces.of([[40, 30, 50, 40]]))])
    (done,) = CoverFaces(style="mosaic", scale=1.5)([marked])

    assert [(cover.style, cover.shape) for cover in done.covers] == [("mosaic", "ellipse"), ("mosaic", "box")]
    assert done.covers[0].box[0] < 38
    assert done.covers[1].box == (0, 0, 32, 24)


def test_no_zones_and_no_frames() -> None:
    assert len(Zones(boxes=[])([frame()])[0].faces) == 0
    assert Zones(boxes=[(0, 0, 1, 1)])([]) == []
