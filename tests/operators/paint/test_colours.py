"""Colours in the planes of a picture against values of the standards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.frame import Cover, to_bgr
from operators.paint.colours import HD_LINES, LUMA_WEIGHTS, colour_of, to_planes
from tests.operators.pictures import flat

Colour = tuple[int, int, int]
BLACK, WHITE, RED, GREEN, BLUE = (0, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 0), (255, 0, 0)


@pytest.mark.parametrize(
    ("matrix", "bgr", "yuv"),
    [
        (6, BLACK, (16, 128, 128)),
        (6, WHITE, (235, 128, 128)),
        (6, RED, (81, 90, 240)),
        (6, GREEN, (145, 54, 34)),
        (6, BLUE, (41, 240, 110)),
        (5, BLUE, (41, 240, 110)),
        (4, RED, (82, 90, 240)),  # 0.30 * 219 + 16
        (1, RED, (63, 102, 240)),
        (1, GREEN, (173, 42, 26)),
        (1, BLUE, (32, 240, 118)),
        (7, RED, (62, 102, 240)),  # 0.212 * 219 + 16
        (9, RED, (74, 97, 240)),  # 0.2627 * 219 + 16
        (10, BLUE, (29, 240, 119)),
        (0, RED, (81, 90, 240)),  # RGB, which is no YUV: as BT.601
        (99, GREEN, (145, 54, 34)),
    ],
)
def test_primaries_by_matrix(matrix: int, bgr: Colour, yuv: Colour) -> None:
    shown = flat("yuv420p", 8, 8, matrix=matrix)

    assert colour_of(shown, Cover((0, 0, 1, 1), "solid", color=bgr)).tolist() == list(yuv)


@pytest.mark.parametrize(
    ("name", "full_range", "bgr", "yuv"),
    [
        ("yuv420p10le", False, BLACK, (64, 512, 512)),
        ("yuv420p10le", False, WHITE, (940, 512, 512)),
        ("yuv444p10le", False, RED, (326, 361, 960)),
        ("yuv420p", True, WHITE, (255, 128, 128)),
        ("yuv420p", True, RED, (76, 85, 255)),  # 127.5 + 128 is cut off at 255
        ("yuv420p", True, BLUE, (29, 255, 107)),
        ("yuv422p10le", True, WHITE, (1023, 512, 512)),
        ("yuv422p10le", True, RED, (306, 339, 1023)),
    ],
)
def test_range_and_depth(name: str, full_range: bool, bgr: Colour, yuv: Colour) -> None:
    shown = flat(name, 8, 8, matrix=6, full_range=full_range)

    assert colour_of(shown, Cover((0, 0, 1, 1), "solid", color=bgr)).tolist() == list(yuv)


@pytest.mark.parametrize(("height", "matrix"), [(HD_LINES - 2, 6), (HD_LINES, 1)])
def test_an_unspecified_matrix_is_that_of_the_size(height: int, matrix: int) -> None:
    cover = Cover((0, 0, 1, 1), "solid", color=(40, 90, 200))

    unspecified, named = (colour_of(flat("yuv420p", 8, height, matrix=m), cover) for m in (2, matrix))

    assert unspecified.tolist() == named.tolist()


@pytest.mark.parametrize("matrix", sorted(LUMA_WEIGHTS))
@pytest.mark.parametrize("grey", [0, 1, 127, 254, 255])
def test_grey_has_no_colour(matrix: int, grey: int) -> None:
    y, u, v = to_planes(np.full((1, 1, 3), grey, np.float32), flat("yuv444p", 8, 8, matrix=matrix))

    assert float(y[0, 0]) == pytest.approx(16 + 219 * grey / 255, abs=1e-3)
    assert (float(u[0, 0]), float(v[0, 0])) == pytest.approx((128, 128), abs=1e-3)


CHANNEL = st.integers(0, 255)


@given(CHANNEL, CHANNEL, CHANNEL, st.sampled_from(["yuv420p", "yuv422p", "yuv444p10le"]))
def test_colours_come_back_from_their_planes(blue: int, green: int, red: int, name: str) -> None:
    shown = flat(name, 4, 2, matrix=6)
    values = colour_of(shown, Cover((0, 0, 1, 1), "solid", color=(blue, green, red)))

    for plane, value in zip(shown.planes, values, strict=True):
        plane[...] = value

    assert np.abs(to_bgr(shown).astype(int) - (blue, green, red)).max() <= 4


@settings(max_examples=50)
@given(CHANNEL, CHANNEL, CHANNEL, st.sampled_from(sorted(LUMA_WEIGHTS)), st.booleans())
def test_the_planes_hold_the_colour_exactly(blue: int, green: int, red: int, matrix: int, full_range: bool) -> None:
    """Solved for the colour again; at full range, what is cut off at the ends is at most half a step."""
    shown = flat("yuv444p", 8, 8, matrix=matrix, full_range=full_range)

    y, u, v = (float(p[0, 0]) for p in to_planes(np.array([[[blue, green, red]]], np.float32), shown))

    of_red, of_blue = LUMA_WEIGHTS[matrix]
    luma, low, wide = (255, 0, 255) if full_range else (219, 16, 224)
    luma_of, blue_of, red_of = (y - low) / luma, (u - 128) / wide, (v - 128) / wide
    b, r = luma_of + 2 * (1 - of_blue) * blue_of, luma_of + 2 * (1 - of_red) * red_of
    g = (luma_of - of_red * r - of_blue * b) / (1 - of_red - of_blue)
    assert np.array([b, g, r]) * 255 == pytest.approx([blue, green, red], abs=1)
