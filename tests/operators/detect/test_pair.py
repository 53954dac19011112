"""How two networks look at parts of a picture together, by networks that see drawn faces."""

from __future__ import annotations

import numpy as np
import pytest

from operators.boxes import iou
from operators.detect.finders import CenterFaceFinder, YuNetFinder
from operators.detect.pair import MAX_GAIN, REFUTED_MORE, AskedRegion, NetworkPair, apart, lit, same_face
from operators.detect.regions import Region
from operators.frame import PIXEL_FORMATS, Faces, Frame, Picture
from operators.stills import frame_of
from tests.operators.detect.drawn_faces import QuickEngine, ThoroughEngine, scene, with_face

WIDTH, HEIGHT = 640, 384
WHOLE = (0, 0, WIDTH, HEIGHT)
NOBODY = Faces.of()


class Looks:
    """A pair of networks, and a picture with faces for them."""

    def __init__(self, thorough: float = 0.9, quick: float = 0.9) -> None:
        self.thorough, self.quick = ThoroughEngine(thorough), QuickEngine(quick)
        finder = CenterFaceFinder(self.thorough, threshold=0.2, min_px=32)
        self.pair = NetworkPair(finder, YuNetFinder(self.quick, threshold=0.12), sure=0.6)
        self.image = scene(WIDTH, HEIGHT)

    def draw(self, x: float, y: float, px: int, *, turns: int = 0, only_thorough: bool = False) -> Looks:
        self.image = with_face(self.image, x, y, px, turns=turns, only_thorough=only_thorough)
        return self

    @property
    def frame(self) -> Frame:
        return frame_of(self.image)

    def at(self, *regions: Region, refuted: Faces = NOBODY, thoroughly: bool = True) -> tuple[Faces, Faces]:
        asked = [AskedRegion(region, 100, fine=True, thoroughly=thoroughly, turning=thoroughly) for region in regions]
        return self.pair.look(self.frame, asked, refuted)


def box_of(x: float, y: float, px: int) -> list[float]:
    return [x - px / 2, y - px / 2, x + px / 2, y + px / 2]


@pytest.mark.parametrize("thoroughly", [True, False])
@pytest.mark.parametrize(
    "regions", [[WHOLE], [(100, 60, 260, 220)], [(0, 200, 90, 384), (150, 100, 260, 180)]], ids=["whole", "part", "two"]
)
def test_a_face_is_found_where_it_is(regions: list[Region], *, thoroughly: bool) -> None:
    found, _ = Looks().draw(200, 140, 40).at(*regions, thoroughly=thoroughly)

    assert found.boxes == pytest.approx(np.array([box_of(200, 140, 40)]), abs=4)
    assert found.data["turn"].tolist() == [0]


def test_parts_are_looked_at_in_one_picture_by_each_network() -> None:
    looks = Looks().draw(60, 60, 32).draw(500, 300, 32)

    found, _ = looks.at((0, 0, 128, 128), (430, 230, 570, 370))

    assert len(found) == 2
    assert len(looks.thorough.shapes) == 1


@pytest.mark.parametrize(("thoroughly", "faces"), [(True, 1), (False, 0)])
def test_what_only_the_thorough_network_sees_is_found_by_a_thorough_look(*, thoroughly: bool, faces: int) -> None:
    found, _ = Looks().draw(200, 140, 40, only_thorough=True).at(WHOLE, thoroughly=thoroughly)

    assert len(found) == faces


@pytest.mark.parametrize(("blind", "found", "refuted"), [(False, 1, 0), (True, 0, 1)])
def test_a_doubtful_face_is_looked_at_closely(*, blind: bool, found: int, refuted: int) -> None:
    looks = Looks(quick=0.3).draw(200, 140, 40)
    looks.thorough.blind = blind

    faces, wrong = looks.at(WHOLE, thoroughly=False)

    assert (len(faces), len(wrong)) == (found, refuted)
    assert looks.thorough.shapes == [(1, 64, 64)]


@pytest.mark.parametrize(("more", "looks_again"), [(-0.01, False), (0.01, True)])
def test_what_was_refuted_is_looked_at_again_if_it_looks_more_like_a_face(more: float, *, looks_again: bool) -> None:
    looks = Looks(quick=0.4).draw(200, 140, 40)
    refuted = Faces.of([box_of(200, 140, 40)], scores=[0.4 - REFUTED_MORE - more])

    looks.at(WHOLE, refuted=refuted, thoroughly=False)

    assert bool(looks.thorough.shapes) == looks_again


def test_a_face_that_a_region_cuts_off_is_seen_as_a_whole() -> None:
    found, _ = Looks().draw(200, 140, 48).at((192, 100, 320, 228), thoroughly=False)

    assert iou(found.boxes, np.array([box_of(200, 140, 48)]))[0, 0] > 0.8


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_that_lies_or_hangs_is_found_and_how_it_lies(turns: int) -> None:
    found, _ = Looks().draw(200, 140, 40, turns=turns).at(WHOLE)

    assert found.boxes == pytest.approx(np.array([box_of(200, 140, 40)]), abs=4)
    assert found.data["turn"].tolist() == [-turns % 4]


def test_upright_and_lying_faces_are_found_together() -> None:
    found, _ = Looks().draw(200, 140, 40).draw(450, 200, 40, turns=1).at(WHOLE)

    assert sorted(found.data["turn"].tolist()) == [0, 3]


def test_a_face_is_looked_at_closely_the_way_it_lies() -> None:
    looks = Looks().draw(200, 140, 40, turns=1)
    boxes = np.array([box_of(203, 142, 44)] * 2)

    upright, lying = looks.pair.closely(looks.frame, boxes, np.array([0, 3]), [100, 100])

    assert upright is None
    assert lying is not None
    assert lying.boxes == pytest.approx(np.array([box_of(200, 140, 40)]), abs=4)


def test_of_two_faces_in_a_crop_the_one_is_taken_that_is_meant() -> None:
    looks = Looks().draw(200, 140, 30).draw(232, 140, 30)

    (found,) = looks.pair.closely(looks.frame, np.array([box_of(231, 141, 30)]), np.array([0]), [100])

    assert found is not None
    assert found.boxes == pytest.approx(np.array([box_of(232, 140, 30)]), abs=4)


@pytest.mark.parametrize("bits", [8, 10])
def test_dim_pictures_are_raised_to_usual_light_and_black_stays_black(bits: int) -> None:
    layout, unit = PIXEL_FORMATS["yuv420p" + "10le" * (bits == 10)], 1 << (bits - 8)
    planes = [np.full(shape, 128 * unit, layout.dtype) for shape in layout.plane_shapes(4, 4)]
    planes[0][:] = 16 * unit
    planes[0][0] = 22 * unit
    frame = Frame("dim", 0, 0.0, Picture((planes[0], planes[1], planes[2]), layout))

    raised = lit(frame, 1.0).picture.planes

    assert raised[0][:2, 0].tolist() == [(16 + 6 * MAX_GAIN) * unit, 16 * unit]
    assert (raised[1] == 128 * unit).all()
    assert lit(frame, 90) is frame


def test_apart_keeps_the_first_of_what_is_one_face() -> None:
    faces = Faces.of([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [80, 80, 90, 90]])

    assert apart(faces, Faces.of([[50, 50, 62, 62]])).boxes[:, 0].tolist() == [0, 80]


@pytest.mark.parametrize(
    ("box", "same"),
    [([2, 2, 12, 12], True), ([7, 0, 17, 10], False), ([3, 3, 6, 6], True), ([20, 0, 30, 10], False)],
)
def test_which_boxes_are_one_face(box: list[float], *, same: bool) -> None:
    assert same_face(np.array([[0.0, 0, 10, 10]]), np.array([box], float)).tolist() == [[same]]
