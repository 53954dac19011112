"""The tone of skin, from what a picture shows beside its covers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.frame import PIXEL_FORMATS, Picture
from operators.paint.geometry import Rect
from operators.paint.tones import BRIGHTEST, DARKEST, Sums, Tone, skin_of, sums_of, tone_of
from tests.operators.pictures import flat, halves, noise

USUAL = Sums(samples=100, luma=100 * (16 + 61), chroma=(0, 0), squares=100 * 20 * 20)
"""219 * 0.28 above black, chroma 20 from grey on all sides: skin is as it is."""


def skin(sums: Sums, shown: Picture | None = None) -> list[float]:
    origin, reach = tone_of(shown or flat(), sums)
    return [a + b for a, b in zip(origin, reach, strict=True)]


def test_skin_in_usual_light_and_where_nothing_is_seen() -> None:
    expected = [sum(pair) for pair in zip(*skin_of(flat()), strict=True)]

    assert skin(USUAL) == pytest.approx(expected, abs=0.5)
    assert skin(Sums()) == expected


@pytest.mark.parametrize(
    ("luma", "factor"),
    [(16, DARKEST), (77, 1.0), (16 + 219 * 0.28 / 4, 4**-0.4), (16 + 219 * 0.28 * 2, 2**0.4), (235, BRIGHTEST)],
)
def test_skin_follows_the_light_in_part(luma: float, factor: float) -> None:
    usual, lit = skin(USUAL), skin(USUAL._replace(luma=round(100 * luma)))

    assert (lit[0] - 16) / (usual[0] - 16) == pytest.approx(factor, abs=0.02)
    assert (lit[2] - 128) / (usual[2] - 128) == pytest.approx(min(factor, 1), abs=0.02)


def test_in_a_grey_picture_skin_is_grey() -> None:
    shown = flat(yuv=(96, 128, 128))

    assert skin(sums_of(shown, []))[1:] == [128, 128]


def test_one_colour_all_over_is_a_cast_and_no_colourful_picture() -> None:
    """Chroma (6, -4) everywhere: 0.8 / 1.15 of it is taken on."""
    u, v = skin(sums_of(flat(yuv=(96, 134, 124)), []))[1:]

    assert (u - 128, v - 128) == pytest.approx((6 * 0.8 / 1.15, -4 * 0.8 / 1.15), abs=0.05)


def test_strong_colours_are_no_cast() -> None:
    assert sums_of(flat(yuv=(96, 150, 100)), []).neutral == 0
    assert sums_of(flat(yuv=(30, 128, 128)), []).neutral == 0


@pytest.mark.parametrize("name", sorted(PIXEL_FORMATS))
@pytest.mark.parametrize("size", [(64, 48), (65, 47), (1, 1), (16, 16), (17, 33)])
def test_every_16th_of_lines_and_columns_counts_in_every_format(name: str, size: tuple[int, int]) -> None:
    unit = 1 << (PIXEL_FORMATS[name].bits - 8)

    sums = sums_of(flat(name, *size, (100, 120, 140)), [])

    count = -(-size[0] // 16) * -(-size[1] // 16)
    assert sums == Sums(
        count, 100 * unit * count, (-8 * unit * count, 12 * unit * count), (64 + 144) * unit**2 * count, count,
        (-8 * unit * count, 12 * unit * count),
    )  # fmt: skip


def test_what_is_hidden_does_not_count() -> None:
    shown = halves("yuv420p", 64, 64, (50, 128, 128), (200, 90, 160))

    assert sums_of(shown, [Rect(32, 0, 64, 64)]) == sums_of(flat(width=32, height=64, yuv=(50, 128, 128)), [])
    assert sums_of(shown, [Rect(0, 0, 64, 64)]) == Sums()


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(PIXEL_FORMATS)),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 70),
    st.integers(1, 70),
    st.booleans(),
)
def test_nothing_hidden_has_a_part_in_a_tone(name: str, x: int, y: int, wide: int, high: int, full_range: bool) -> None:
    shown = replace(noise(name, 80, 64), full_range=full_range)
    sx, sy = shown.format.subsample_x, shown.format.subsample_y
    rect = Rect(x // sx * sx, y // sy * sy, min(x + wide, 80), min(y + high, 64))
    before = tone_of(shown, sums_of(shown, [rect]))

    for plane, (across, down) in zip(shown.planes, ((1, 1), (sx, sy), (sx, sy)), strict=True):
        plane[rect.y1 // down : -(-rect.y2 // down), rect.x1 // across : -(-rect.x2 // across)] = 0

    assert tone_of(shown, sums_of(shown, [rect])) == before


@pytest.mark.parametrize("matrix", [1, 5, 9])
def test_10_bits_and_full_range_have_the_same_skin(matrix: int) -> None:
    """A grey of 40 % in each, so that all are equally bright."""
    tones = []
    for name, full_range, luma in (("yuv420p", False, 104), ("yuv420p10le", False, 104), ("yuv420p", True, 102)):
        shown = flat(name, yuv=(luma, 128, 128), matrix=matrix, full_range=full_range)
        unit = 1 << (shown.format.bits - 8)
        sums = sums_of(shown, [])
        tones.append(np.array(tone_of(shown, sums._replace(squares=sums.samples * (20 * unit) ** 2))) / unit)

    assert tones[1] == pytest.approx(tones[0], abs=0.5)
    assert tones[2][1, 0] / 255 == pytest.approx(tones[0][1, 0] / 219, rel=0.02)


def test_skin_is_brown_under_any_light() -> None:
    """Red above green above blue, and never violet: unless the picture has a cast."""
    for luma in range(16, 236, 20):
        for far in range(0, 40, 5):
            _, u, v = skin(Sums(samples=10, luma=10 * luma, squares=10 * far**2))
            assert u <= 128 <= v
            assert 0.5 * (v - 128) <= 128 - u <= v - 128


def test_a_tone_is_of_its_planes() -> None:
    assert skin_of(flat("yuv420p10le")) == Tone(
        (64.0, 512.0, 512.0),
        tuple(4 * each for each in skin_of(flat()).reach),  # type: ignore[arg-type]
    )
