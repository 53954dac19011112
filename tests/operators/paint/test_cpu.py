"""The painter changes what is under a cover, all of it and nothing else, and lets no uncovered face pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import FrameError
from operators.arrays import Array
from operators.deidentify.cover import CoverFaces
from operators.frame import PIXEL_FORMATS, Cover, Faces, Frame, Picture, Shape, Style, to_bgr
from operators.paint.cpu import cover_whole, paint, plain
from operators.paint.gate import check_covered

FORMATS = st.sampled_from(sorted(PIXEL_FORMATS))
COLOURS = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def picture(name: str, width: int, height: int, *, seed: int = 0, full_range: bool = False) -> Picture:
    """Noise, in planes that are views into wider buffers, as decoders give them."""
    fmt = PIXEL_FORMATS[name]
    rng = np.random.default_rng(seed)
    y, u, v = (
        rng.integers(0, 1 << fmt.bits, (rows, columns + 13), dtype=fmt.dtype)[:, :columns]
        for rows, columns in fmt.plane_shapes(width, height)
    )
    return Picture((y, u, v), fmt, full_range)


def frame(shown: Picture, *covers: Cover, faces: Faces | None = None) -> Frame:
    return Frame("s", 0, 0.0, shown, faces or Faces.of(), covers)


def copy(shown: Picture) -> Picture:
    y, u, v = (plane.copy() for plane in shown.planes)
    return replace(shown, planes=(y, u, v))


@st.composite
def covers(draw: st.DrawFn) -> Cover:
    x, y = draw(st.floats(-40, 60)), draw(st.floats(-40, 60))
    w, h = draw(st.floats(0, 1) | st.floats(1, 80) | st.just(1e7)), draw(st.floats(0, 80) | st.just(1e7))
    return Cover(
        (x, y, x + w, y + h),
        draw(st.sampled_from(get_args(Style))),
        draw(st.sampled_from(get_args(Shape))),
        feather=draw(st.sampled_from([0.0, 0.1, 1.0])),
        cells=draw(st.integers(1, 16)),
        seed=draw(st.integers(0, 3)),
        pixels=COLOURS,
    )


def touched(cover: Cover, column: int, row: int, step_x: int, step_y: int, *, feather: float) -> bool:
    """Whether a sample's area meets the shape, grown by the feather: worked out anew, a sample at a time."""
    x1, y1, x2, y2 = cover.box
    away = []
    for low, high, at, step in ((x1, x2, column, step_x), (y1, y2, row, step_y)):
        gap = max(abs((at + 0.5) * step - (low + high) / 2) - step / 2, 0)
        away.append(gap / (max((high - low) / 2, 0.5) * (1 + 2 * feather)))
    return max(away) < 1 if cover.shape == "box" else away[0] ** 2 + away[1] ** 2 < 1


@settings(max_examples=150, deadline=None)
@given(FORMATS, st.integers(1, 50), st.integers(1, 50), st.lists(covers(), min_size=1, max_size=3), st.booleans())
def test_whatever_is_covered_nothing_else_changes(
    name: str, width: int, height: int, wanted: list[Cover], full_range: bool
) -> None:
    shown = picture(name, width, height, full_range=full_range)
    before = copy(shown)

    paint(frame(shown, *wanted))

    steps = ((1, 1), *[(shown.format.subsample_x, shown.format.subsample_y)] * 2)
    for plane, old, (sx, sy) in zip(shown.planes, before.planes, steps, strict=True):
        assert plane.max(initial=0) < 1 << shown.format.bits
        for row, column in np.argwhere(plane != old).tolist():
            # A whisker more than the feather, for the rounding of float32.
            assert any(touched(c, column, row, sx, sy, feather=c.feather + 1e-4) for c in wanted)


@settings(max_examples=100, deadline=None)
@given(FORMATS, st.integers(1, 50), st.integers(1, 50), covers(), st.booleans())
def test_solid_and_image_leave_nothing_of_what_they_cover(
    name: str, width: int, height: int, cover: Cover, full_range: bool
) -> None:
    cover = replace(cover, style="solid" if cover.cells % 2 else "image")

    assert_hides(cover, cover, name, width, height, full_range=full_range)


@settings(max_examples=100, deadline=None)
@given(FORMATS, st.integers(1, 50), st.integers(1, 50), covers(), st.booleans())
def test_a_plain_cover_leaves_nothing_of_what_the_other_covers(
    name: str, width: int, height: int, cover: Cover, full_range: bool
) -> None:
    assert_hides(cover, plain(cover), name, width, height, full_range=full_range)


def assert_hides(cover: Cover, painted: Cover, name: str, width: int, height: int, *, full_range: bool) -> None:
    """Nothing is left of what one cover touches where the other is painted."""
    one, other = (picture(name, width, height, seed=seed, full_range=full_range) for seed in (1, 2))

    paint(frame(one, painted))
    paint(frame(other, painted))

    x1, y1, x2, y2 = cover.box
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        return  # beside the picture; only the last chroma sample of an odd one reaches out so far
    steps = ((1, 1), *[(one.format.subsample_x, one.format.subsample_y)] * 2)
    for a, b, (sx, sy) in zip(one.planes, other.planes, steps, strict=True):
        for row, column in np.argwhere(a != b).tolist():
            assert not touched(cover, column, row, sx, sy, feather=-1e-6)


@settings(max_examples=150, deadline=None)
@given(FORMATS, st.integers(1, 70), st.integers(1, 70), st.lists(covers(), min_size=1, max_size=4), st.booleans())
def test_no_sample_under_a_cover_has_a_part_in_what_is_painted(
    name: str, width: int, height: int, wanted: list[Cover], full_range: bool
) -> None:
    """Whatever the style, however covers overlap: two pictures that differ under them alone become the same."""
    one, other = (picture(name, width, height, full_range=full_range, seed=seed) for seed in (1, 2))
    steps = ((1, 1), *[(one.format.subsample_x, one.format.subsample_y)] * 2)
    for a, b, (sx, sy) in zip(one.planes, other.planes, steps, strict=True):
        for row, column in np.ndindex(a.shape):
            if not any(touched(cover, column, row, sx, sy, feather=-1e-6) for cover in wanted if seen(cover, one)):
                b[row, column] = a[row, column]

    paint(frame(one, *wanted))
    paint(frame(other, *wanted))

    assert all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


def seen(cover: Cover, shown: Picture) -> bool:
    """It lies in the picture: beside it, only the last chroma sample of an odd one reaches out so far."""
    x1, y1, x2, y2 = cover.box
    return x1 < shown.width and y1 < shown.height and x2 > 0 and y2 > 0


HEADS = Cover((20, 20, 80, 100), feather=0.2, seed=1), Cover((60, 30, 120, 110), feather=0.2, seed=2)


def grey(*wanted: Cover) -> Array:
    """The luma of a picture of one grey under covers."""
    shown = picture("yuv420p", 160, 120)
    for plane, value in zip(shown.planes, (60, 128, 128), strict=True):
        plane[...] = value
    paint(frame(shown, *wanted))
    return shown.planes[0].astype(int)


def test_blurred_heads_that_overlap_run_into_each_other() -> None:
    """Under the shape of one, nothing is seen of the other's edge, hard or soft; the brighter tone shows."""
    both, *alone = grey(*HEADS), grey(HEADS[0]), grey(HEADS[1])

    for cover, single in zip(HEADS, alone, strict=True):
        core = np.array([[touched(cover, x, y, 1, 1, feather=0) for x in range(160)] for y in range(120)])
        assert (both[core] >= single[core]).all()
    inside = both[65, 30:110]
    assert np.abs(np.diff(inside)).max() <= 3


def test_of_other_styles_that_overlap_the_later_one_shows() -> None:
    low, high = (replace(cover, style="solid", color=(n, n, n)) for n, cover in zip((0, 255), HEADS, strict=True))

    painted = grey(low, high)

    core = np.array([[touched(high, x, y, 1, 1, feather=0) for x in range(160)] for y in range(120)])
    edge = np.array([[touched(high, x, y, 1, 1, feather=0.01) for x in range(160)] for y in range(120)])
    below = np.array([[touched(low, x, y, 1, 1, feather=0) for x in range(160)] for y in range(120)])
    assert (painted[core] == 235).all()
    assert (painted[below & ~edge] == 16).all()


def test_blur_is_that_of_its_seed() -> None:
    once, again, other = (picture("yuv420p", 64, 64) for _ in range(3))
    box = (8.0, 8.0, 56.0, 56.0)

    for shown, seed in ((once, 1), (again, 1), (other, 2)):
        paint(frame(shown, Cover(box, "blur", seed=seed)))

    assert np.array_equal(once.planes[0], again.planes[0])
    assert not np.array_equal(once.planes[0], other.planes[0])


@pytest.mark.parametrize(
    ("name", "full_range", "matrix", "expected"),
    [
        ("yuv420p", False, 6, (81, 90, 240)),  # red in BT.601: 0.299 * 219 + 16
        ("yuv420p", False, 2, (81, 90, 240)),  # unspecified and small: BT.601
        ("yuv444p", False, 1, (63, 102, 240)),  # red in BT.709: 0.2126 * 219 + 16
        ("yuv422p", True, 5, (76, 85, 255)),  # JPEG
        ("yuv420p10le", False, 1, (250, 409, 960)),
        ("yuv444p10le", True, 9, (269, 369, 1023)),
    ],
)
def test_solid_is_exact(name: str, full_range: bool, matrix: int, expected: tuple[int, int, int]) -> None:
    shown = replace(picture(name, 40, 40), full_range=full_range, matrix=matrix)

    paint(frame(shown, Cover((10, 10, 30, 30), "solid", "box", color=(0, 0, 255))))

    assert tuple(int(plane[plane.shape[0] // 2, plane.shape[1] // 2]) for plane in shown.planes) == expected


def test_an_image_is_shown_in_its_colours_stretched_over_the_box() -> None:
    shown = picture("yuv420p", 64, 64)
    image = np.zeros((2, 2, 3), np.uint8)
    image[0], image[1] = (200, 30, 30), (30, 30, 200)

    paint(frame(shown, Cover((16, 16, 48, 48), "image", "box", pixels=image)))

    seen = to_bgr(shown)
    assert np.abs(seen[17, 32].astype(int) - (200, 30, 30)).max() < 8
    assert np.abs(seen[46, 32].astype(int) - (30, 30, 200)).max() < 8


def test_a_chroma_sample_that_straddles_the_border_is_covered() -> None:
    shown = picture("yuv420p", 16, 16)
    for plane in shown.planes:
        plane[...] = 77

    paint(frame(shown, Cover((5, 5, 7, 7), "solid", "box")))

    assert np.argwhere(shown.planes[0] != 77).tolist() == [[5, 5], [5, 6], [6, 5], [6, 6]]
    assert np.argwhere(shown.planes[1] != 77).tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]


@pytest.mark.parametrize(
    ("face", "cover", "passes"),
    [
        ([20, 20, 40, 40], None, False),
        ([20, 20, 40, 40], (20, 20, 40, 40), True),
        ([20, 20, 40, 40], (10, 10, 39.6, 50), True),  # within the tolerance
        ([20, 20, 40, 40], (10, 10, 39, 50), False),
        ([20, 20, 40, 40], (41, 41, 60, 60), False),
        ([-20, 20, 40, 40], (0, 20, 40, 40), True),  # only what is in the picture counts
        ([50, 50, 90, 90], (50, 50, 64, 64), True),
        ([70, 70, 90, 90], None, True),  # wholly outside
        ([np.nan, 20, 40, 40], (0, 0, 64, 64), False),
        ([20, 20, 40, np.inf], (0, 0, 64, 64), False),
        ([40, 40, 20, 20], (0, 0, 64, 64), False),  # inside out
        ([20, 20, 40, 40], (0, 0, np.nan, 64), False),
        ([20, 20, 40, 40], (64, 64, 0, 0), False),
    ],
    ids=str,
)
def test_the_gate_lets_only_covered_faces_pass(face: Any, cover: Any, passes: bool) -> None:
    shown = picture("yuv420p", 64, 64)
    before = copy(shown)
    wanted = () if cover is None else (Cover(cover, "solid"),)

    if passes:
        check_covered(frame(shown, *wanted, faces=Faces.of([face])))
        return
    with pytest.raises(FrameError):
        paint(frame(shown, *wanted, faces=Faces.of([face])))

    assert all(np.array_equal(a, b) for a, b in zip(shown.planes, before.planes, strict=True))


def test_two_halves_are_no_cover_and_a_kept_face_needs_none() -> None:
    shown = picture("yuv420p", 64, 64)
    halves = Cover((20, 20, 30, 40)), Cover((30, 20, 40, 40))
    face = [[20, 20, 40, 40]]

    with pytest.raises(FrameError, match=r"expected a cover over the face at 20\.0 20\.0 40\.0 40\.0"):
        check_covered(frame(shown, *halves, faces=Faces.of(face)))
    check_covered(frame(shown, faces=Faces.of(face, kept=[True])))


@pytest.mark.parametrize(
    "cover",
    [
        Cover((0, 0, 9, 9), "image"),
        Cover((0, 0, 9, 9), "image", pixels=np.zeros((4, 4), np.uint8)),
        Cover((0, 0, 9, 9), cells=0),
        Cover((0, 0, 9, 9), feather=float("nan")),
        Cover((0, 0, 9, 9), "sepia"),  # type: ignore[arg-type]
    ],
    ids=["no pixels", "grey pixels", "no cells", "feather", "style"],
)
def test_covers_that_cannot_be_painted_are_refused(cover: Cover) -> None:
    with pytest.raises(FrameError):
        paint(frame(picture("yuv420p", 16, 16), cover))


def test_read_only_planes_are_refused() -> None:
    shown = picture("yuv420p", 16, 16)
    for plane in shown.planes:
        plane.flags.writeable = False

    with pytest.raises(FrameError, match="read-only"):
        paint(frame(shown, Cover((0, 0, 9, 9))))
    with pytest.raises(FrameError, match="read-only"):
        cover_whole(shown)


@pytest.mark.parametrize("name", sorted(PIXEL_FORMATS))
def test_covering_whole_leaves_one_colour(name: str) -> None:
    shown = picture(name, 33, 21)
    mean = float(shown.planes[0].mean())

    cover_whole(shown)

    assert all(np.ptp(plane) == 0 for plane in shown.planes)
    assert abs(int(shown.planes[0][0, 0]) - mean) <= 1


@pytest.mark.parametrize("style", ["blur", "mosaic", "solid"])
def test_defaults_leave_no_edges_of_a_face(style: Style) -> None:
    shown = picture("yuv420p", 320, 240)
    (done,) = CoverFaces(style=style)([frame(shown, faces=Faces.of([[120, 70, 200, 170]]))])

    paint(done)

    def edges(plane: Array) -> float:
        face = plane[70:170, 120:200]
        return float(np.median(np.abs(cv2.Laplacian(face, cv2.CV_32F))))

    assert edges(shown.planes[0]) <= 1
