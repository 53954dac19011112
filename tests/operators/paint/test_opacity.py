"""How much of a cover a sample gets: all of it wherever the shape touches, nothing beyond the soft edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.arrays import Array
from operators.frame import Cover, Shape
from operators.paint.geometry import CoverRegion, region_of, window
from operators.paint.opacity import OPAQUE, REPEATED_PX, weights_of
from tests.operators.pictures import flat

STEPS = [(1, 1), (2, 1), (2, 2)]
FORMATS = {(1, 1): "yuv444p", (2, 1): "yuv422p", (2, 2): "yuv420p"}


def weights(cover: Cover, step: tuple[int, int] = (1, 1), size: int = 64) -> tuple[Array, Array, CoverRegion]:
    """Of a plane with such samples; opacity, its rest, and where they lie."""
    shown = flat(FORMATS[step], size, size)
    region = region_of(shown, cover)
    assert region is not None
    return *weights_of(shown, region.box, cover, region.outer, step), region


def nearest(region: CoverRegion, step: tuple[int, int]) -> tuple[Array, Array]:
    """How far the nearest point of each row and column of samples lies from the middle, half the cover being 1:
    worked out from the edges of samples."""
    rows, columns = window(region.outer, step)
    away = []
    for span, axis in ((rows, 1), (columns, 0)):
        middle, half = (region.box[axis] + region.box[axis + 2]) / 2, (region.box[axis + 2] - region.box[axis]) / 2
        low = np.arange(span.start, span.stop) * step[axis]
        away.append(np.abs(np.clip(middle, low, low + step[axis]) - middle) / half)
    return away[0][:, None], away[1][None]


COVERS = st.builds(
    lambda x, y, w, h, shape, feather: Cover((x, y, x + w, y + h), "solid", shape, feather),
    *[st.integers(-64, 240).map(lambda quarters: quarters / 4)] * 2,
    *[st.integers(4, 200).map(lambda quarters: quarters / 4)] * 2,
    shape=st.sampled_from(["box", "ellipse"]),
    feather=st.sampled_from([0.0, 0.125, 0.5, 1.0]),
)


@pytest.mark.parametrize("step", STEPS)
@settings(max_examples=60)
@given(cover=COVERS)
def test_every_sample_that_the_shape_touches_is_opaque(step: tuple[int, int], cover: Cover) -> None:
    if region_of(flat(FORMATS[step], 64, 64), cover) is None:
        return
    opaque, rest, region = weights(cover, step)
    y, x = nearest(region, step)

    inside = np.maximum(x, y) < 1 if cover.shape == "box" else x * x + y * y < 1 - 1e-6
    beyond = 1 + 2 * cover.feather
    outside = np.maximum(x, y) >= beyond if cover.shape == "box" else x * x + y * y >= beyond * beyond + 1e-6

    assert (opaque[inside] == OPAQUE).all()
    assert (opaque[outside] == 0).all()
    assert (opaque.astype(int) + rest == OPAQUE).all()


@pytest.mark.parametrize(
    ("shape", "expected"), [("box", [255, 255, 255, 128, 64]), ("ellipse", [255, 255, 255, 140, 73])]
)
@pytest.mark.parametrize("scale", [1, 12], ids=["small, remembered", "large"])
def test_the_soft_edge_by_hand(shape: Shape, expected: list[int], scale: int) -> None:
    """At scale 1, the cover reaches 8 pixels from its middle, its soft edge 4 more, to 1.5 times that. Column 42 begins
    10 pixels away: at 1.25, which is half-way. With an ellipse the squares count: (1.5² - 1.25²) / (1.5² - 1) = 0.55.
    """
    low, high = 24 * scale, 40 * scale

    opaque, _, region = weights(Cover((low, low, high, high), "solid", shape, feather=0.25), size=64 * scale)

    assert (opaque.size > REPEATED_PX) == (scale > 1)
    row = opaque[32 * scale - region.outer.y1]
    assert [int(row[column * scale - region.outer.x1]) for column in (32, 39, 40, 42, 43)] == expected
    assert region.outer.x2 == 44 * scale


@pytest.mark.parametrize("shape", ["box", "ellipse"])
@pytest.mark.parametrize("feather", [0.0, 0.25])
def test_opacity_falls_from_the_middle_outwards_and_is_symmetric(shape: Shape, feather: float) -> None:
    opaque, _, _ = weights(Cover((20, 24, 44, 40), "solid", shape, feather))

    middle = opaque[len(opaque) // 2].astype(int)
    assert (np.diff(middle[len(middle) // 2 :]) <= 0).all()
    assert np.array_equal(opaque, opaque[::-1])
    assert np.array_equal(opaque, opaque[:, ::-1])


def test_a_hard_ellipse_leaves_the_corners_and_a_hard_box_does_not() -> None:
    ellipse, _, _ = weights(Cover((8, 8, 40, 40), "solid", "ellipse"))
    box, _, _ = weights(Cover((8, 8, 40, 40), "solid", "box"))

    assert (box == OPAQUE).all()
    assert set(np.unique(ellipse)) == {0, OPAQUE}
    assert (ellipse[0, 0], ellipse[0, 16], ellipse[16, 0]) == (0, OPAQUE, OPAQUE)
    assert (ellipse == OPAQUE).mean() == pytest.approx(np.pi / 4, abs=0.08)


def test_a_cover_at_another_place_fades_out_alike() -> None:
    here, there = (weights(Cover((x, 8, x + 20, 28), "solid", feather=0.2)) for x in (8, 24))

    assert np.array_equal(here[0], there[0])


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le"])
def test_weights_have_the_type_of_the_planes(name: str) -> None:
    shown = flat(name, 64, 64)
    cover = Cover((8, 8, 40, 40))
    region = region_of(shown, cover)
    assert region is not None

    opaque, rest = weights_of(shown, region.box, cover, region.outer, (2, 2))

    assert opaque.dtype == rest.dtype == shown.planes[0].dtype
    assert (opaque.shape, int(opaque.max()), int(rest.min())) == ((16, 16), OPAQUE, 0)
