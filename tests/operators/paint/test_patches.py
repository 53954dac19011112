"""What is painted: how little blur and mosaic keep of a face, how much noise they add, and what else covers show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators.arrays import Array
from operators.frame import Cover, Picture, Style
from operators.paint.geometry import region_of
from operators.paint.patches import noise_of, patches_of
from tests.operators.pictures import flat

BOX = (64.0, 64.0, 192.0, 192.0)
GREY = (108, 128, 128)
NOISY: list[Style] = ["blur", "mosaic"]

MAX_KEPT_LUMA, MAX_KEPT_CHROMA = 0.2, 0.1
"""The largest part of a difference between two faces that may be left; `bench/bench_leak.py` measures what it hides."""
MIN_SHARED_LUMA, MIN_SHARED_CHROMA = 16.0, 2.0
"""The smallest standard deviation of the noise that all cells share, in units of 8 bits."""


def patches(shown: Picture, cover: Cover, *, light: float = 108) -> list[Array]:
    region = region_of(shown, cover)
    assert region is not None
    return [patch.astype(int) for patch in patches_of(shown, cover, region, light)]


def face(yuv: tuple[int, int, int], name: str = "yuv420p") -> Picture:
    """A grey picture with a square of one colour where the cover lies."""
    shown = flat(name, 256, 256, GREY)
    for plane, value in zip(shown.planes, yuv, strict=True):
        quarter = len(plane) // 4
        plane[quarter:-quarter, quarter:-quarter] = value << (shown.format.bits - 8)
    return shown


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("style", NOISY)
@pytest.mark.parametrize("plane", range(3), ids="YUV")
def test_little_of_a_difference_is_left(name: str, style: Style, plane: int) -> None:
    """Two faces of one seed that differ by 100 in one plane, with noise that reaches no end of the range."""
    one, other = list(GREY), list(GREY)
    one[plane], other[plane] = GREY[plane] - 50, GREY[plane] + 50
    cover = Cover(BOX, style, "box", seed=3)

    dark, bright = (patches(face((a, b, c), name), cover) for a, b, c in (one, other))

    shift = 4 if "10" in name else 1
    kept = [float(np.abs(b - a).max()) / (100 * shift) for a, b in zip(dark, bright, strict=True)]
    assert 0 < kept[plane] <= (MAX_KEPT_CHROMA if plane else MAX_KEPT_LUMA)
    assert [k for number, k in enumerate(kept) if number != plane] == [0, 0]


@pytest.mark.parametrize("style", NOISY)
def test_the_noise_of_a_whole_face_spreads_far(style: Style) -> None:
    shown = face(GREY)

    means = [[p.mean() for p in patches(shown, Cover(BOX, style, "box", seed=seed))] for seed in range(120)]

    luma, *chroma = np.std(means, axis=0)
    assert luma > MIN_SHARED_LUMA
    assert min(chroma) > MIN_SHARED_CHROMA


def test_cells_have_noise_of_their_own() -> None:
    drawn = np.stack([noise_of(seed, 4) for seed in range(400)])

    own = (drawn - drawn.mean(axis=(1, 2), keepdims=True)).std(axis=(0, 1, 2))
    apart = drawn[:, 0, 0] - drawn[:, 3, 2]

    assert own == pytest.approx(np.array([15, 1.5, 1.5]) * np.sqrt(15 / 16), rel=0.05)
    assert apart.std(axis=0) == pytest.approx(np.array([15, 1.5, 1.5]) * np.sqrt(2), rel=0.1)
    assert abs(drawn.mean()) < 1


def test_noise_is_that_of_its_seed() -> None:
    assert noise_of(5, 3).shape == (3, 3, 3)
    assert np.array_equal(noise_of(5, 3), noise_of.__wrapped__(5, 3))
    assert not np.array_equal(noise_of(5, 3), noise_of(6, 3))


def test_planes_have_noise_of_their_own() -> None:
    drawn = np.stack([noise_of(seed, 4).mean(axis=(0, 1)) for seed in range(400)])

    assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.15


@pytest.mark.parametrize("cells", [1, 4, 7])
def test_mosaic_has_one_tone_a_cell(cells: int) -> None:
    luma, *chroma = patches(face(GREY), Cover(BOX, "mosaic", "box", cells=cells, seed=1))

    edges = np.flatnonzero(np.abs(np.diff(luma, axis=1)).max(axis=0))
    assert luma.shape == (128, 128)
    assert len(edges) == cells - 1
    assert np.diff(np.concatenate([[-1], edges, [127]])) == pytest.approx(128 / cells, abs=1)
    assert [plane.shape for plane in chroma] == [(64, 64), (64, 64)]


def test_blur_is_smooth_and_stays_within_the_tones_of_its_cells() -> None:
    mosaic, blur = (patches(face(GREY), Cover(BOX, style, "box", seed=4))[0] for style in NOISY[::-1])

    assert mosaic.min() <= blur.min() < blur.max() <= mosaic.max()
    steps = [max(np.abs(np.diff(tones, axis=axis)).max() for axis in (0, 1)) for tones in (blur, mosaic)]
    assert steps[0] < steps[1] / 5


@pytest.mark.parametrize("style", NOISY)
def test_the_soft_edge_repeats_the_outermost_tones(style: Style) -> None:
    cover = Cover(BOX, style, "box", seed=4)

    hard, soft = (patches(face(GREY), replace(cover, feather=feather))[0] for feather in (0.0, 0.125))

    assert soft.shape == (160, 160)
    assert np.array_equal(soft[16:-16, 16:-16], hard)
    assert (soft[:16, 16:-16] == hard[0]).all() and (soft[16:-16, -16:] == hard[:, -1:]).all()


@pytest.mark.parametrize(("light", "tone"), [(40, 50.9), (108, 108), (200, 185.3)])
def test_tones_pale_towards_the_light_of_the_picture(light: float, tone: float) -> None:
    """Of a face at 108: 0.16 of the way from the light to it is left, but for noise."""
    seeds = range(60)

    tones = [patches(face(GREY), Cover(BOX, "blur", seed=s), light=light)[0].mean() for s in seeds]
    noise = [noise_of(s, 4)[..., 0].mean() for s in seeds]

    assert np.median(np.array(tones) - noise) == pytest.approx(tone, abs=1.5)


@pytest.mark.parametrize(("name", "top"), [("yuv420p", 255), ("yuv420p10le", 1023)])
@pytest.mark.parametrize("style", NOISY)
@pytest.mark.parametrize("luma", [0, 255])
def test_tones_stay_within_the_range(name: str, top: int, style: Style, luma: int) -> None:
    """Noise that would leave the range is cut off: it must not come round on the other side."""
    light = luma * (4 if top > 255 else 1)

    painted = [
        patches(face((luma, 128, 128), name), Cover(BOX, style, "box", seed=s), light=light)[0] for s in range(30)
    ]

    middle = (top + 1) / 2
    assert all(p.min() >= 0 and p.max() <= top for p in painted)
    assert all((p > middle).all() if luma else (p < middle).all() for p in painted)
    assert any(((p == top) if luma else (p == 0)).any() for p in painted)


def test_10_bits_have_the_same_noise_in_their_units() -> None:
    coarse, fine = (
        patches(face(GREY, name), Cover(BOX, "mosaic", seed=2), light=light)
        for name, light in (("yuv420p", 108), ("yuv420p10le", 432))
    )

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
