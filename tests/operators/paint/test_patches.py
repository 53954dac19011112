"""What is painted: heads and cells of one hue, made from a seed, and what solid covers and images show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.arrays import Array
from operators.frame import PIXEL_FORMATS, Cover, Picture, Style
from operators.paint.geometry import region_of
from operators.paint.patches import patches_of, relief_of
from operators.paint.tones import Tone, skin_of
from tests.operators.pictures import flat

BOX = (64.0, 64.0, 192.0, 192.0)
GREY = (108, 128, 128)
TONED: list[Style] = ["blur", "mosaic"]


def patches(shown: Picture, cover: Cover, tone: Tone | None = None) -> list[Array]:
    region = region_of(shown, cover)
    assert region is not None
    return [patch.astype(int) for patch in patches_of(shown, cover, region, tone or skin_of(shown))]


def face(yuv: tuple[int, int, int] = GREY, name: str = "yuv420p") -> Picture:
    return flat(name, 256, 256, yuv)


def relief(cover: Cover, size: int = 256) -> Array:
    region = region_of(flat("yuv420p", size, size), cover)
    assert region is not None
    return relief_of(cover, region)


@pytest.mark.parametrize("style", TONED)
def test_relief_is_that_of_its_seed(style: Style) -> None:
    one, again, other = (relief(Cover(BOX, style, seed=seed)) for seed in (5, 5, 6))

    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("style", TONED)
@pytest.mark.parametrize("seed", range(20))
def test_nothing_stands_out_and_the_hue_stays(style: Style, seed: int) -> None:
    """No cell or part is twice as bright as another; U and V are stronger or weaker together."""
    made = relief(Cover(BOX, style, seed=seed, cells=6))

    assert np.array_equal(made[..., 1], made[..., 2])
    assert -0.45 < made.min() < made.max() < 0.45


def test_a_head_is_brightest_in_its_middle() -> None:
    heads = np.mean([relief(Cover(BOX, "blur", seed=seed))[..., 0] for seed in range(40)], axis=0)

    assert np.unravel_index(heads.argmax(), heads.shape) in {(row, column) for row in (7, 8) for column in (7, 8)}
    assert heads[8, 8] - heads[8, 0] == pytest.approx(0.22 * (15 / 16) ** 2, abs=0.03)


def test_cells_and_whole_covers_differ() -> None:
    mosaics = np.stack([relief(Cover(BOX, "mosaic", seed=seed)) for seed in range(400)])

    within = (mosaics - mosaics.mean(axis=(1, 2), keepdims=True)).std(axis=(0, 1, 2))
    assert within == pytest.approx(np.array([0.10, 0.06, 0.06]) * np.sqrt(15 / 16), rel=0.15)
    assert mosaics[..., 0].mean(axis=(1, 2)).std() == pytest.approx(np.hypot(0.03, 0.10 / 4), rel=0.2)


def test_of_a_head_that_reaches_out_of_the_picture_the_rest_is_painted() -> None:
    inside, outside = Cover((0, 0, 128, 128), seed=3), Cover((-64, -32, 64, 96), seed=3)

    whole, visible = (patches(face(), cover) for cover in (inside, outside))

    for part, all_of_it, step in zip(visible, whole, (1, 2, 2), strict=True):
        assert np.abs(part - all_of_it[32 // step :, 64 // step :]).max() <= 2


@pytest.mark.parametrize("cells", [1, 4, 7])
def test_mosaic_has_one_tone_a_cell(cells: int) -> None:
    luma, *chroma = patches(face(), Cover(BOX, "mosaic", "box", cells=cells, seed=1))

    edges = np.flatnonzero(np.abs(np.diff(luma, axis=1)).max(axis=0))
    assert luma.shape == (128, 128)
    assert len(edges) == cells - 1
    assert np.diff(np.concatenate([[-1], edges, [127]])) == pytest.approx(128 / cells, abs=1)
    assert [plane.shape for plane in chroma] == [(64, 64), (64, 64)]


def test_blur_is_smooth() -> None:
    mosaic, blur = (patches(face(), Cover(BOX, style, "box", seed=4))[0] for style in TONED[::-1])

    steps = [max(np.abs(np.diff(tones, axis=axis)).max() for axis in (0, 1)) for tones in (blur, mosaic)]
    assert 0 < steps[0] <= 2 < steps[1] / 2


@pytest.mark.parametrize("style", TONED)
def test_the_soft_edge_repeats_the_outermost_tones(style: Style) -> None:
    cover = Cover(BOX, style, "box", seed=4)

    hard, soft = (patches(face(), replace(cover, feather=feather))[0] for feather in (0.0, 0.125))

    assert soft.shape == (160, 160)
    assert np.array_equal(soft[16:-16, 16:-16], hard)
    assert (soft[:16, 16:-16] == hard[0]).all() and (soft[16:-16, -16:] == hard[:, -1:]).all()


@given(
    st.sampled_from(sorted(PIXEL_FORMATS)),
    st.sampled_from(TONED),
    st.tuples(*[st.floats(-300, 300)] * 3),
    st.integers(0, 9),
)
def test_tints_stay_within_the_range(name: str, style: Style, reach: tuple[float, float, float], seed: int) -> None:
    """What would leave the range is cut off: it must not come round on the other side."""
    shown = face(name=name)
    unit, bits = 1 << (shown.format.bits - 8), shown.format.bits
    a, b, c = (each * unit for each in reach)

    painted = patches(shown, Cover(BOX, style, "box", seed=seed), Tone((16 * unit, 128 * unit, 128 * unit), (a, b, c)))

    for plane, origin, far in zip(painted, (16, 128, 128), reach, strict=True):
        wanted = np.clip(origin + far, 0, 255) * unit
        assert np.abs(plane - wanted).max() <= abs(far) * unit * 0.45 + 1
        assert 0 <= plane.min() <= plane.max() < 1 << bits


def test_10_bits_have_the_same_tints_in_their_units() -> None:
    coarse, fine = (patches(face(name=name), Cover(BOX, "mosaic", seed=2)) for name in ("yuv420p", "yuv420p10le"))

    for one, other in zip(coarse, fine, strict=True):
        assert np.abs(other / 4 - one).max() <= 0.5


def test_solid_is_one_colour_and_an_image_fills_the_box() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 255
    shown = face(GREY)

    solid = patches(shown, Cover(BOX, "solid", color=(0, 0, 255), feather=0.125))
    luma, *chroma = patches(shown, Cover(BOX, "image", pixels=image, feather=0.125))

    assert [(p.shape, np.unique(p).tolist()) for p in solid] == [
        ((160, 160), [81]),
        ((80, 80), [90]),
        ((80, 80), [240]),
    ]
    assert (luma[:, :40] == 16).all() and (luma[:, -40:] == 235).all()
    assert int(luma[80, 79:81].sum()) == pytest.approx(16 + 235, abs=2)  # the middle of the image is that of the box
    assert all(np.abs(p - 128).max() <= 1 for p in chroma)


def test_an_image_is_averaged_when_it_is_made_smaller() -> None:
    stripes = np.zeros((256, 512, 3), np.uint8)
    stripes[:, ::4] = 255

    luma = patches(face(GREY), Cover(BOX, "image", "box", pixels=stripes))[0]

    assert np.abs(luma - (16 + 219 / 4)).max() <= 2
