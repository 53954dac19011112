"""Covers over faces: which faces get one, how far it reaches, and what options are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import ConfigError
from operators import Remembers, find
from operators.deidentify.cover import CoverFaces
from operators.frame import PIXEL_FORMATS, Faces, Frame, Picture
from operators.shown import Shown

FACE = [100, 50, 140, 100]


def frame(faces: Faces | None = None, *, index: int = 0, stream: str = "s", rotation: int = 0) -> Frame:
    fmt = PIXEL_FORMATS["yuv420p"]
    y, u, v = (np.zeros(shape, np.uint8) for shape in fmt.plane_shapes(320, 240))
    return Frame(stream, index, 0.0, Picture((y, u, v), fmt), faces or Faces.of(), shown=Shown.turned(rotation))


def test_it_is_found_by_its_name() -> None:
    assert find("deidentify.cover") is CoverFaces


def test_every_frame_gets_its_own_covers_and_stays_in_order() -> None:
    frames = [frame(), frame(Faces.of([FACE]), index=1), frame(Faces.of([FACE, [0, 0, 9, 9]]), index=2)]

    covered = CoverFaces()(frames)

    assert [f.index for f in covered] == [0, 1, 2]
    assert [len(f.covers) for f in covered] == [0, 1, 2]
    assert [f.covers for f in frames] == [(), (), ()]


def test_each_side_moves_out_by_the_scale_to_whole_chroma_samples() -> None:
    (covered,) = CoverFaces(scale=1.5)([frame(Faces.of([FACE]))])

    assert covered.covers[0].box == (80, 24, 160, 128)


@pytest.mark.parametrize(
    ("face", "box"),
    [
        pytest.param([10, 10, 20, 20], (10, 10, 20, 20), id="small: to multiples of 2"),
        pytest.param([10.5, 10, 20.5, 20], (10, 10, 22, 20), id="fractions: outwards"),
        pytest.param([11, 13, 20, 21], (10, 12, 20, 22), id="odd sides: outwards"),
        pytest.param([10, 10, 10, 10], (10, 10, 12, 12), id="a point: one chroma sample"),
        pytest.param([10, 10, 44, 76], (10, 8, 46, 80), id="34 to 36, by 4; 66 to 72, by 8"),
        pytest.param([0, 0, 200, 130], (0, -2, 200, 134), id="200 is one already; 130 to 136, by 8"),
    ],
)
def test_sizes_by_hand(face: list[float], box: tuple[int, ...]) -> None:
    (covered,) = CoverFaces(scale=1)([frame(Faces.of([face]))])

    assert covered.covers[0].box == box


def test_options_reach_the_cover() -> None:
    mosaic = CoverFaces(style="mosaic", shape="box", feather=0.3, cells=7)
    solid = CoverFaces(style="solid", color=(1, 2, 3))

    (one,), (other,) = (cover([frame(Faces.of([FACE]))])[0].covers for cover in (mosaic, solid))

    assert (one.style, one.shape, one.feather, one.cells, one.pixels) == ("mosaic", "box", 0.3, 7, None)
    assert (other.style, other.color) == ("solid", (1, 2, 3))


@given(st.tuples(*[st.floats(-50, 300)] * 2), st.tuples(*[st.floats(0.5, 600)] * 2))
def test_covers_grow_to_few_sizes(corner: tuple[float, float], sides: tuple[float, float]) -> None:
    (x, y), (w, h) = corner, sides
    faces = Faces.of([[x, y, x + w, y + h]])

    (covered,) = CoverFaces(scale=1)([frame(faces)])

    box = np.array(covered.covers[0].box)
    face = faces.boxes[0].astype(float)
    assert (box % 2 == 0).all()
    assert (box[:2] <= face[:2]).all()
    assert (box[2:] >= face[2:]).all()
    size, least = box[2:] - box[:2], face[2:] - face[:2]
    assert (size[size > 64] % 8 == 0).all()
    assert (size < least * (1 + 1 / 7) + 6).all()


def test_the_default_ellipse_holds_the_whole_face_box() -> None:
    (covered,) = CoverFaces()([frame(Faces.of([FACE]))])

    x1, y1, x2, y2 = covered.covers[0].box
    corner = (FACE[0] - (x1 + x2) / 2) / (x2 - x1) * 2, (FACE[1] - (y1 + y2) / 2) / (y2 - y1) * 2
    assert corner[0] ** 2 + corner[1] ** 2 < 1


def test_kept_faces_stay_visible_and_earlier_covers_stay() -> None:
    faces = Faces.of([FACE, [0, 0, 9, 9]], kept=[True, False])

    (once,) = CoverFaces(scale=1.0)([frame(faces)])
    (twice,) = CoverFaces(scale=1.0, style="solid")([once])

    assert [cover.box for cover in once.covers] == [(0, 0, 10, 10)]
    assert [cover.style for cover in twice.covers] == ["blur", "solid"]


def test_a_seed_is_constant_for_a_track_and_differs_between_tracks_and_streams() -> None:
    cover = CoverFaces()
    faces = Faces.of([FACE, FACE], tracks=[1, 2])

    first, later, other = cover([frame(faces), frame(faces, index=9), frame(faces, stream="t")])

    seeds = [[c.seed for c in f.covers] for f in (first, later, other)]
    assert seeds[0] == seeds[1]
    assert len({*seeds[0], *seeds[2]}) == 4


def test_whoever_takes_a_stream_over_goes_on_with_its_seeds() -> None:
    former, heir, stranger = CoverFaces(), CoverFaces(), CoverFaces()
    faces = Faces.of([FACE], tracks=[1])
    (before,) = former([frame(faces)])

    heir.restore("s", former.snapshot("s"))
    former.forget("s")
    after = [cover([frame(faces)])[0].covers[0].seed for cover in (heir, former, stranger)]

    assert isinstance(heir, Remembers)
    assert after[0] == before.covers[0].seed
    assert len(set(after)) == 3


def test_a_stream_that_was_forgotten_gets_another_secret() -> None:
    cover, faces = CoverFaces(), Faces.of([FACE], tracks=[1])

    (before,) = cover([frame(faces)])
    cover.forget("s")
    cover.forget("never seen")
    (after,) = cover([frame(faces)])

    assert before.covers[0].seed != after.covers[0].seed


def test_a_secret_is_long_and_drawn_anew_for_every_stream() -> None:
    cover = CoverFaces()

    secrets = {cover.snapshot(str(number)) for number in range(20)}

    assert len(secrets) == 20
    assert all(len(secret) >= 16 for secret in secrets)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_an_image_is_upright_when_the_picture_is(tmp_path: Path, rotation: int) -> None:
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    cv2.imwrite(str(tmp_path / "cover.png"), image)

    (done,) = CoverFaces(style="image", image=str(tmp_path / "cover.png"))([frame(Faces.of([FACE]), rotation=rotation)])

    pixels = done.covers[0].pixels
    assert pixels is not None
    assert np.array_equal(np.rot90(pixels, rotation // 90), image)


def test_an_image_hides_where_it_is_transparent_and_turns_with_the_picture(tmp_path: Path) -> None:
    image = np.zeros((2, 1, 4), np.uint8)
    image[0, 0] = (10, 20, 30, 255)
    image[1, 0] = (99, 99, 99, 0)
    cv2.imwrite(str(tmp_path / "cover.png"), image)
    cover = CoverFaces(style="image", image=str(tmp_path / "cover.png"), color=(1, 2, 3))

    upright, on_its_side = cover([frame(Faces.of([FACE])), frame(Faces.of([FACE]), rotation=90)])

    pixels, turned = upright.covers[0].pixels, on_its_side.covers[0].pixels
    assert pixels is not None
    assert turned is not None
    assert pixels.tolist() == [[[10, 20, 30]], [[1, 2, 3]]]
    assert np.rot90(turned, 1).tolist() == pixels.tolist()


@pytest.mark.parametrize("name", ["grey8.png", "grey16.png", "colour.jpg"])
def test_images_of_any_kind_are_read(tmp_path: Path, name: str) -> None:
    shape = (8, 8, 3) if "colour" in name else (8, 8)
    grey = np.full(shape, 128 * 257, np.uint16) if "16" in name else np.full(shape, 128, np.uint8)
    cv2.imwrite(str(tmp_path / name), grey)

    (covered,) = CoverFaces(style="image", image=str(tmp_path / name))([frame(Faces.of([FACE]))])

    pixels = covered.covers[0].pixels
    assert pixels is not None
    assert pixels.dtype == np.uint8
    assert np.all(pixels == 128)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "image"}, "expected a picture file for style image, got none"),
        ({"image": "cover.png"}, "expected none with style blur, got 'cover.png'"),
        ({"style": "image", "image": "no-such-file.png"}, "expected a picture file, cannot read 'no-such-file.png'"),
        ({"style": "image", "image": __file__}, "expected a picture file, cannot read"),
    ],
)
def test_a_picture_belongs_to_style_image(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"deidentify.cover: image: {message}"):
        CoverFaces(**options)
