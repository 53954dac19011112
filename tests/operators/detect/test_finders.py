"""What each network is shown and how its maps are read, on maps made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines import FrameError
from operators.arrays import Array
from operators.detect.finders import CELL, STRIDE, STRIDES, CenterFaceFinder, YuNetFinder, packed
from operators.frame import Frame
from operators.shown import Shown
from tests.operators.pictures import flat

Point = tuple[int, int]
RED = (81, 90, 240)


def frame(width: int = 128, height: int = 64, *, rotation: int = 0, yuv: tuple[int, int, int] = RED) -> Frame:
    return Frame("s", 0, 0.0, flat("yuv420p", width, height, yuv), shown=Shown.turned(rotation))


class HeatMaps:
    """A network that sees a face at each cell (column, row): its heat, and its width and height in pixels."""

    def __init__(self, faces: Mapping[Point, tuple[float, float, float]], *, points: tuple[float, ...] = (0.5,) * 10):
        self.faces, self.points = faces, points
        self.given: list[NDArray[np.float32]] = []

    def __call__(self, **inputs: Any) -> Mapping[str, Array]:
        (given,) = inputs.values()
        self.given.append(given)
        batch, _, height, width = given.shape
        channels = {"537": 1, "538": 2, "539": 2, "540": 10}
        maps = {name: np.zeros((batch, n, height // CELL, width // CELL), np.float32) for name, n in channels.items()}
        with np.errstate(divide="ignore", invalid="ignore"):
            for (column, row), (heat, across, down) in self.faces.items():
                maps["537"][:, 0, row, column] = heat
                maps["538"][:, :, row, column] = np.log(down / CELL), np.log(across / CELL)
                maps["540"][:, :, row, column] = self.points
        return maps


class Grids:
    """A network that sees a face at each cell (stride, column, row): its score, and its width and height in pixels."""

    def __init__(self, faces: Mapping[tuple[int, int, int], tuple[float, float, float]]) -> None:
        self.faces = faces
        self.given: list[NDArray[np.float32]] = []

    def __call__(self, **inputs: Any) -> Mapping[str, Array]:
        self.given.append(inputs["input"])
        _, _, height, width = inputs["input"].shape
        maps = {}
        for stride in STRIDES:
            cells = (height // stride) * (width // stride)
            for name, n in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
                maps[f"{name}_{stride}"] = np.zeros((1, cells, n), np.float32)
        for (stride, column, row), (score, across, down) in self.faces.items():
            cell = row * (width // stride) + column
            maps[f"cls_{stride}"][0, cell], maps[f"obj_{stride}"][0, cell] = score, score
            maps[f"bbox_{stride}"][0, cell] = 0, 0, np.log(across / stride), np.log(down / stride)
        return maps


def centerface(faces: Mapping[Point, tuple[float, float, float]], **options: Any) -> tuple[CenterFaceFinder, HeatMaps]:
    """A finder that sees pictures at their own size, and its network."""
    network = HeatMaps(faces)
    return CenterFaceFinder(network, **{"min_px": 32, **options}), network


def test_centerface_is_shown_red_first_and_yunet_blue_first() -> None:
    finder, heat = centerface({})
    grids = Grids({})

    finder.find([frame()])
    YuNetFinder(grids, px=128).find(frame())

    assert [heat.given[0][0, channel].mean() for channel in range(3)] == pytest.approx([255, 0, 0], abs=3)
    assert [grids.given[0][0, channel].mean() for channel in range(3)] == pytest.approx([0, 0, 255], abs=3)
    assert [seen.given[0].dtype.name for seen in (heat, grids)] == ["float32"] * 2
    assert heat.given[0].shape == grids.given[0].shape == (1, 3, 64, 128)


def test_frames_of_one_call_have_their_own_faces() -> None:
    bright, dark = frame(yuv=(200, 128, 128)), frame(yuv=(16, 128, 128))

    class Bright(HeatMaps):
        """Sees its faces where the picture is bright only."""

        def __call__(self, **inputs: Any) -> Mapping[str, Array]:
            maps = dict(super().__call__(**inputs))
            (given,) = inputs.values()
            return {
                name: array * (given.mean(axis=(1, 2, 3)) > 100)[:, None, None, None] for name, array in maps.items()
            }

    network = Bright({(8, 8): (0.9, 16, 16)})

    found = CenterFaceFinder(network, min_px=32).find([dark, bright, dark, bright])

    assert [len(faces) for faces in found] == [0, 1, 0, 1]
    assert [given.shape for given in network.given] == [(4, 3, 64, 128)]


@pytest.mark.parametrize(("heat", "found"), [(0.3, 1), (0.25, 0), (0.2, 0)])
def test_a_face_is_above_the_threshold(heat: float, found: int) -> None:
    finder, _ = centerface({(8, 8): (heat, 16, 16)}, threshold=0.25)

    assert len(finder.find([frame()])[0]) == found


def test_centerface_suppresses_what_overlaps_and_keeps_the_best_first() -> None:
    """The second lies a cell, 4 of 24 pixels, to the right of the first: 20 / 28 of overlap. The third is apart."""
    faces = {(8, 8): (0.6, 24, 24), (9, 8): (0.9, 24, 24), (24, 8): (0.7, 24, 24)}

    strict, loose = (centerface(faces, nms=nms)[0].find([frame()])[0] for nms in (0.3, 0.8))

    assert strict.scores.tolist() == pytest.approx([0.9, 0.7])
    assert loose.scores.tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert strict.boxes[0].tolist() == pytest.approx([26, 22, 50, 46])  # around (9 + 0.5) * 4 and (8 + 0.5) * 4


def test_centerface_reads_rows_of_y_and_x() -> None:
    points = (0.25, 0.75, 0.25, 0.25, 0.5, 0.5, 1.0, 0.75, 1.0, 0.25)  # y and x of both eyes, nose, mouth corners
    network = HeatMaps({(8, 8): (0.9, 16, 32)}, points=points)

    (faces,) = CenterFaceFinder(network, min_px=32).find([frame()])

    assert faces.boxes[0].tolist() == pytest.approx([26, 18, 42, 50])
    assert faces.landmarks[0] == pytest.approx(np.array([[30, 26], [38, 26], [34, 34], [30, 50], [38, 50]]))


@pytest.mark.parametrize("size", [np.inf, 1e9])
def test_a_wild_size_covers_the_picture(size: float) -> None:
    finder, _ = centerface({(8, 8): (0.9, size, size)})
    yunet = YuNetFinder(Grids({(16, 2, 2): (0.9, size, size)}), px=128)

    (faces,), also = finder.find([frame()]), yunet.find(frame())

    assert faces.boxes.tolist() == also.boxes.tolist() == [[0, 0, 128, 64]]


@pytest.mark.parametrize("face", [(np.nan, 9, 9), (0.9, np.nan, 9), (0.9, 9, np.nan)], ids=str)
def test_centerface_refuses_numbers_that_are_none(face: tuple[float, float, float]) -> None:
    finder, _ = centerface({(8, 8): face})

    with pytest.raises(FrameError, match=r"detect\.centerface: the network's output is not finite"):
        finder.find([frame()])


@pytest.mark.parametrize(
    ("size", "rotation", "options", "seen"),
    [
        pytest.param((128, 64), 0, {}, (128, 64), id="as it is"),
        pytest.param((100, 60), 0, {}, (128, 64), id="up to the grid"),
        pytest.param((100, 60), 90, {}, (64, 128), id="turned"),
        pytest.param((100, 50), 0, {"min_px": 160}, (160, 96), id="enlarged to the lower limit"),
        pytest.param((100, 50), 0, {"min_px": 640}, (224, 128), id="at most twice"),
        pytest.param((400, 200), 0, {"max_px": 128}, (128, 64), id="reduced to the upper limit"),
        pytest.param((200, 400), 0, {"max_px": 128}, (64, 128), id="reduced by the longer side"),
    ],
)
def test_how_large_centerface_sees_a_picture(size: Point, rotation: int, options: dict[str, int], seen: Point) -> None:
    finder, network = centerface({}, **options)

    finder.find([frame(*size, rotation=rotation)])

    assert network.given[0].shape == (1, 3, seen[1], seen[0])


def test_a_size_that_is_asked_for_is_seen_and_faces_are_scaled_back() -> None:
    finder, network = centerface({(4, 4): (0.9, 16, 16)})

    (faces,) = finder.find([frame()], (64, 64))

    assert network.given[0].shape == (1, 3, 64, 64)
    assert faces.boxes[0].tolist() == pytest.approx([20, 10, 52, 26])  # half the width, all of the height


@pytest.mark.parametrize(
    ("part", "whole", "size"),
    [((640, 360), (1280, 720), (640, 384)), ((700, 400), (2560, 1440), (544, 320)), ((64, 32), (128, 64), (64, 32))],
)
def test_a_part_is_seen_as_large_as_in_the_whole(part: Point, whole: Point, size: Point) -> None:
    """2560 pixels are seen at 1920, by 0.75; the part's 700 x 400 at 525 x 300, up to the grid."""
    finder, _ = centerface({}, max_px=1920)

    found = finder.size_of(frame(*part), within=frame(*whole))

    assert found == size
    assert all(side % STRIDE == 0 for side in found)


@pytest.mark.parametrize("stride", STRIDES)
def test_yunet_reads_each_of_its_grids(stride: int) -> None:
    faces = YuNetFinder(Grids({(stride, 2, 1): (0.8, 20, 10)}), px=128).find(frame())

    x, y = 2 * stride, stride
    assert faces.boxes[0].tolist() == pytest.approx([x - 10, y - 5, x + 10, y + 5], abs=1e-4)
    assert faces.scores.tolist() == pytest.approx([0.8])
    assert faces.landmarks[0].tolist() == [[x, y]] * 5


def test_yunet_suppresses_over_all_grids() -> None:
    same = {(8, 4, 4): (0.7, 24, 24), (16, 2, 2): (0.9, 24, 24), (32, 1, 1): (0.8, 24, 24), (16, 6, 1): (0.5, 24, 24)}

    faces = YuNetFinder(Grids(same), px=128).find(frame())

    assert faces.scores.tolist() == pytest.approx([0.9, 0.5])


@pytest.mark.parametrize(
    ("score", "threshold", "scores"),
    [(0.41, 0.4, [0.41]), (0.39, 0.4, []), (2.5, 0.4, [1]), (-1.0, 0.4, []), (0.2, 0.1, [0.2])],
)
def test_scores_of_yunet(score: float, threshold: float, scores: list[float]) -> None:
    """Both of its outputs are cut to 0..1, and their geometric mean counts."""
    faces = YuNetFinder(Grids({(16, 2, 2): (score, 24, 24)}), threshold, px=128).find(frame())

    assert faces.scores.tolist() == pytest.approx(scores)


@pytest.mark.parametrize("face", [(np.nan, 9, 9), (0.9, np.nan, 9)], ids=str)
@pytest.mark.parametrize("stride", STRIDES)
def test_yunet_refuses_numbers_that_are_none(face: tuple[float, float, float], stride: int) -> None:
    with pytest.raises(FrameError, match=r"detect\.yunet: the network's output is not finite"):
        YuNetFinder(Grids({(stride, 1, 1): face}), px=128).find(frame())


@pytest.mark.parametrize(
    ("size", "rotation", "seen"),
    [((256, 128), 0, (128, 64)), ((256, 128), 90, (64, 128)), ((40, 20), 0, (96, 64)), ((128, 2), 0, (128, 32))],
)
def test_how_large_yunet_sees_a_picture(size: Point, rotation: int, seen: Point) -> None:
    network = Grids({})

    YuNetFinder(network, px=128).find(frame(*size, rotation=rotation))

    assert network.given[0].shape == (1, 3, seen[1], seen[0])


def test_faces_of_a_turned_picture_lie_where_it_is_coded() -> None:
    """Shown 64 wide and 128 high; x of the coded picture is the height less y, and y is x."""
    finder, _ = centerface({(8, 4): (0.9, 16, 16)})
    yunet = YuNetFinder(Grids({(8, 4, 2): (0.9, 16, 16)}), px=128)

    (found,), also = finder.find([frame(rotation=90)]), yunet.find(frame(rotation=90))

    assert found.boxes[0].tolist() == pytest.approx([128 - 26, 26, 128 - 10, 42])  # around x 34, y 18
    assert also.boxes[0].tolist() == pytest.approx([128 - 24, 24, 128 - 8, 40])  # around x 32, y 16


SIDES = st.integers(1, 20).map(lambda cells: cells * STRIDE)


@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=20))
def test_packed_pictures_lie_within_one_and_do_not_overlap(sizes: list[Point]) -> None:
    corners, (width, height) = packed(sizes)

    taken = np.zeros((height // STRIDE, width // STRIDE), int)
    for (x, y), (across, down) in zip(corners, sizes, strict=True):
        assert x % STRIDE == y % STRIDE == width % STRIDE == height % STRIDE == 0
        assert 0 <= x <= x + across <= width and 0 <= y <= y + down <= height
        taken[y // STRIDE : (y + down) // STRIDE, x // STRIDE : (x + across) // STRIDE] += 1
    assert taken.max() == 1
    assert taken.any(axis=0).all() and taken.any(axis=1).all()  # and nothing of it is empty from edge to edge


@pytest.mark.parametrize(
    ("sizes", "corners", "size"),
    [
        ([(64, 32)], [(0, 0)], (64, 32)),
        ([(32, 32), (32, 64), (64, 96)], [(64, 64), (64, 0), (0, 0)], (96, 96)),
    ],
    ids=["one", "low ones upon each other"],
)
def test_where_packed_pictures_lie(sizes: list[Point], corners: list[Point], size: Point) -> None:
    assert packed(sizes) == (corners, size)


class Bright:
    """A network that sees a face of 16 pixels squared in the middle of each grey square of 32."""

    def __init__(self) -> None:
        self.sizes: list[Point] = []

    def cells(self, image: Array, cell: int) -> list[Point]:
        """Column and row of the faces, in cells of so many pixels."""
        self.sizes.append((image.shape[2], image.shape[1]))
        squares = image[0].reshape(image.shape[1] // STRIDE, STRIDE, -1, STRIDE).mean(axis=(1, 3)) > 100
        half = STRIDE // 2 // cell
        return [(column * 2 * half + half, row * 2 * half + half) for row, column in np.argwhere(squares).tolist()]


class BrightHeat(Bright):
    def __call__(self, **inputs: Any) -> Mapping[str, Array]:
        (image,) = inputs["input.1"]
        return HeatMaps(dict.fromkeys(self.cells(image, CELL), (0.9, 16.0, 16.0)))(**inputs)


class BrightGrids(Bright):
    def __call__(self, **inputs: Any) -> Mapping[str, Array]:
        (image,) = inputs["input"]
        found = {(8, column, row): (0.9, 16.0, 16.0) for column, row in self.cells(image, 8)}
        return Grids(found)(**inputs)


def lit(width: int, height: int, *at: Point, rotation: int = 0) -> Frame:
    """A black frame with grey squares of 32 pixels at these columns and rows."""
    made = frame(width, height, yuv=(16, 128, 128), rotation=rotation)
    for column, row in at:
        made.picture.planes[0][row * STRIDE : (row + 1) * STRIDE, column * STRIDE : (column + 1) * STRIDE] = 235
    return made


FRAMES = [lit(64, 64, (1, 0)), lit(128, 64, (0, 1), (3, 0)), lit(32, 96), lit(96, 32, (2, 0), rotation=90)]
MIDDLES = [[(48, 16)], [(112, 16), (16, 48)], [], [(80, 16)]]


@pytest.mark.parametrize("sort", ["centerface", "yunet"])
def test_pictures_that_are_seen_in_one_have_their_own_faces(sort: str) -> None:
    """Each is black but for squares; the last is shown turned, and its face lies where it is coded."""
    heat, grids = BrightHeat(), BrightGrids()
    finder = CenterFaceFinder(heat) if sort == "centerface" else YuNetFinder(grids)
    sizes = [(64, 64), (128, 64), (32, 96), (32, 96)]

    found = finder.find_packed(FRAMES, sizes)

    middles = [sorted(map(tuple, ((faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2).tolist())) for faces in found]
    off = CELL / 2 if sort == "centerface" else 0  # of the middle of the cell
    for faces, seen, expected in zip(found, middles, MIDDLES, strict=True):
        assert np.array(seen).reshape(-1, 2) == pytest.approx(np.array(sorted(expected)).reshape(-1, 2), abs=off + 1e-3)
        assert faces.boxes[:, 2:] - faces.boxes[:, :2] == pytest.approx(np.full((len(expected), 2), 16), abs=1e-3)
    assert (heat if sort == "centerface" else grids).sizes == [packed(sizes)[1]]


def test_pictures_that_are_seen_in_one_are_scaled_and_back() -> None:
    """Shown at half the size, next to another."""
    finder = YuNetFinder(BrightGrids())

    large, _ = finder.find_packed([lit(128, 128, (0, 0), (1, 0), (0, 1), (1, 1)), lit(32, 32)], [(64, 64), (32, 32)])

    assert large.boxes[0].tolist() == pytest.approx([16, 16, 48, 48])


def test_no_pictures_ask_no_network_and_one_is_seen_alone() -> None:
    network = BrightHeat()
    finder = CenterFaceFinder(network)

    assert finder.find_packed([], []) == []
    (faces,) = finder.find_packed([lit(64, 64, (1, 1))], [(64, 64)])

    assert faces.boxes[0].tolist() == pytest.approx([42, 42, 58, 58])
    assert network.sizes == [(64, 64)]
