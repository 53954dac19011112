"""Whatever a player does with a coded picture, its faces are found where they lie, by every detector alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import open_engine
from operators import Operator
from operators.arrays import Array
from operators.boxes import iou
from operators.crops import squares
from operators.deidentify.cover import CoverFaces
from operators.detect.blazeface import BlazeFace
from operators.detect.cascade import Cascade
from operators.detect.centerface import CenterFace
from operators.detect.looks import square_around, upright_size
from operators.detect.yunet import YuNet
from operators.frame import Faces, Frame
from operators.landmarks.mediapipe import Landmarker
from operators.shown import Shown
from operators.stills import frame_of
from operators.upright import boxes_to_upright, crop_view, upright_bgr
from tests.clips import portrait
from tests.model_files import model_file

WIDTH, HEIGHT = 640, 480
WAYS = [
    pytest.param(Shown.turned(0, sample_aspect=4), id="samples four times as wide as high"),
    pytest.param(Shown.turned(0, sample_aspect=Fraction(1, 4)), id="four times as high as wide"),
    pytest.param(Shown.turned(0, sample_aspect=Fraction(16, 11)), id="a television's samples"),
    pytest.param(Shown.turned(90, sample_aspect=2), id="wide, and lying"),
    pytest.param(Shown.turned(0, mirrored=True), id="mirrored"),
    pytest.param(Shown.turned(270, mirrored=True, sample_aspect=2), id="all at once"),
]


def as_shown() -> Array:
    """A portrait in a plain room, `(480, 640, 3)`: what the viewer sees."""
    face = cv2.resize(portrait(), (300, 352), interpolation=cv2.INTER_AREA)
    picture = np.full((HEIGHT, WIDTH, 3), 140, np.uint8)
    picture[60:412, 60:360] = face
    return picture


def coded(shown: Shown) -> Frame:
    """The picture as it is stored, so that a player shows `as_shown`."""
    image = as_shown()
    if shown.mirrored:
        image = image[:, ::-1]
    image = np.rot90(image, -shown.turns)
    across, down = max(shown.sample_aspect, 1), min(shown.sample_aspect, 1)
    size = round(image.shape[1] / across), round(image.shape[0] * down)
    stored = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    return frame_of(stored, shown=shown)


def cascade() -> Operator:
    return Cascade(open_engine(model_file("centerface")), open_engine(model_file("yunet")))


DETECTORS: dict[str, Callable[[], Operator]] = {
    "centerface": lambda: CenterFace(open_engine(model_file("centerface"))),
    "yunet": lambda: YuNet(open_engine(model_file("yunet"))),
    "blazeface": lambda: BlazeFace(model_file("blazeface")),
    "cascade": cascade,
}


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> Iterator[Operator]:
    opened = DETECTORS[request.param]()
    yield opened
    getattr(opened, "close", lambda: None)()


@pytest.mark.parametrize("shown", WAYS)
def test_a_face_is_found_where_it_lies(detector: Operator, shown: Shown) -> None:
    (plain,), frame = detector([frame_of(as_shown(), stream=f"plain, {shown}")]), coded(shown)

    (done,) = detector([frame_of_stream(frame, str(shown))])

    assert len(plain.faces) == len(done.faces) == 1
    size = frame.picture.width, frame.picture.height
    found = boxes_to_upright(done.faces.boxes, shown, *size)
    assert iou(found, plain.faces.boxes)[0, 0] > 0.8
    inside = done.faces.boxes[0]
    assert (inside >= 0).all() and (inside <= [*size, *size]).all()


def frame_of_stream(frame: Frame, stream: str) -> Frame:
    return Frame(stream, 0, 0.0, frame.picture, shown=frame.shown)


@pytest.mark.parametrize("shown", WAYS)
def test_later_looks_in_small_crops_find_it_too(shown: Shown) -> None:
    """The second look of the cascade shows CenterFace a square around what was found, as it is shown."""
    frame = coded(shown)
    (first,) = DETECTORS["centerface"]()([frame])

    corner, part = square_around(frame, first.faces.boxes[0], sizes=2.0, least_px=32)

    width, height = upright_size(part)
    assert abs(width - height) <= 4
    (closer,) = DETECTORS["centerface"]()([part])
    assert len(closer.faces) == 1
    moved = closer.faces.boxes + np.tile(corner, 2)
    assert iou(moved, first.faces.boxes)[0, 0] > 0.7


@pytest.mark.parametrize(
    ("aspect", "box", "corner", "size"),
    [
        pytest.param(1, (40, 40, 60, 70), (20, 24), (60, 60), id="square samples"),
        pytest.param(4, (40, 40, 45, 60), (36, 30), (10, 40), id="wide ones: narrow in the picture that is coded"),
        pytest.param(1, (0, 0, 20, 20), (0, 0), (40, 40), id="in a corner"),
        pytest.param(1, (40, 40, 42, 42), (24, 24), (32, 32), id="never smaller than that"),
        pytest.param(4, (0, 0, 100, 100), (36, 0), (25, 100), id="never larger than the picture"),
    ],
)
def test_squares_by_hand(aspect: int, box: tuple[int, ...], corner: tuple[int, int], size: tuple[int, int]) -> None:
    """Of a picture 100 wide and 100 high, as it is coded."""
    frame = frame_of(np.zeros((100, 100, 3), np.uint8), shown=Shown.turned(0, sample_aspect=aspect))

    at, part = square_around(frame, np.array(box, np.float32), sizes=2.0, least_px=32)

    assert (tuple(at), (part.picture.width, part.picture.height)) == (corner, size)


@pytest.fixture(scope="module")
def landmarker() -> Iterator[Landmarker]:
    opened = Landmarker(model_file("face_landmarker"))
    yield opened
    opened.close()


@pytest.mark.parametrize("shown", WAYS)
def test_a_mesh_lies_on_the_face_and_its_crop_is_that_of_the_plain_picture(
    landmarker: Landmarker, shown: Shown
) -> None:
    find = DETECTORS["centerface"]()
    (plain,), (done,) = (landmarker(find([frame])) for frame in (frame_of(as_shown()), coded(shown)))

    image, mesh = crop_view(done, done.faces.data["mesh"])

    assert np.isfinite(mesh).all()
    expected = plain.faces.data["mesh"]
    if shown.sample_aspect == 1 and not shown.mirrored:
        assert image is done.bgr
    else:
        assert image.shape[:2] == upright_bgr(done).shape[:2]
        assert np.abs(mesh - expected)[..., :2].mean() < 5
        assert squares(mesh, 64)[0] == pytest.approx(squares(expected, 64)[0], abs=8)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_an_image_is_pasted_so_that_it_is_shown_as_it_is(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    path = tmp_path / "cover.png"
    cv2.imwrite(str(path), image)
    shown = Shown.turned(degrees, mirrored=mirrored)
    frame = frame_of(np.zeros((64, 64, 3), np.uint8), shown=shown)

    cover = CoverFaces(style="image", image=str(path))
    (done,) = cover([Frame("s", 0, 0.0, frame.picture, Faces.of([[8, 8, 24, 24]]), shown=shown)])

    pixels = done.covers[0].pixels
    assert pixels is not None
    seen = np.rot90(pixels, shown.turns)
    assert np.array_equal(seen[:, ::-1] if mirrored else seen, image)
