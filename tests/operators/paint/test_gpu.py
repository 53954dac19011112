"""The kernels paint what the painter paints: shapes to the sample, tints but for rounding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import FrameError
from operators.frame import PIXEL_FORMATS, Cover, Faces, Frame, Picture
from operators.paint.cpu import paint
from operators.paint.gpu import paint_on
from tests.engines.kernels.host import HostDevice, cuda_kernels, downloaded

STYLES, SHAPES = ("solid", "image", "mosaic", "blur"), ("ellipse", "box")
PASTED = np.random.default_rng(5).integers(0, 256, (7, 9, 3), np.uint8)


def frame(*covers: Cover, format: str = "yuv420p", size: tuple[int, int] = (120, 90), seed: int = 0) -> Frame:  # noqa: A002
    """Noise under covers."""
    random, kind = np.random.default_rng(seed), PIXEL_FORMATS[format]
    y, u, v = (random.integers(0, 1 << kind.bits, shape).astype(kind.dtype) for shape in kind.plane_shapes(*size))
    return Frame("s", 0, 0.0, Picture((y, u, v), kind), covers=covers)


def copied(one: Frame) -> Frame:
    y, u, v = (plane.copy() for plane in one.picture.planes)
    return replace(one, picture=replace(one.picture, planes=(y, u, v)))


def both(*frames: Frame) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Plane by plane: as it was, by the painter, by the kernels."""
    painted, launched = [copied(one) for one in frames], [copied(one) for one in frames]
    for one in painted:
        paint(one)
    paint_on(HostDevice(), launched)
    for before, wanted, got in zip(frames, painted, launched, strict=True):
        for planes in zip(before.picture.planes, wanted.picture.planes, got.picture.planes, strict=True):
            yield tuple(plane.astype(int) for plane in planes)  # type: ignore[misc]


COVERS = st.builds(
    lambda x, y, w, h, **more: Cover((x, y, x + w, y + h), pixels=PASTED, **more),
    *[st.floats(-30, 120), st.floats(-30, 90), st.floats(0, 100), st.floats(0, 100)],
    style=st.sampled_from(STYLES),
    shape=st.sampled_from(SHAPES),
    feather=st.sampled_from([0.0, 0.1, 0.6]),
    cells=st.integers(1, 6),
    seed=st.integers(0, 3),
    color=st.just((40, 90, 200)),
)


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p", "yuv444p10le"])
@settings(max_examples=50)
@given(cover=COVERS, odd=st.integers(0, 1))
def test_as_the_painter(format: str, cover: Cover, odd: int) -> None:  # noqa: A002
    for _, wanted, got in both(frame(cover, format=format, size=(120 + odd, 90 + odd))):
        np.testing.assert_allclose(got, wanted, atol=0 if cover.style == "solid" else 2)


def test_several_frames_at_once_and_covers_over_covers() -> None:
    low = Cover((10, 10, 70, 70), style="solid", color=(0, 0, 255))
    high = Cover((40, 30, 100, 80), style="mosaic", shape="box", feather=0.1)
    apart = Cover((105, 0, 119, 20), style="blur", feather=0.2)
    heads = [Cover((x, 10, x + 40, 60), feather=0.2, seed=x) for x in (5, 30, 55)]

    for number, (before, wanted, got) in enumerate(both(frame(low, high, apart), frame(*heads, seed=1), frame())):
        np.testing.assert_allclose(got, wanted, atol=2)
        assert (got != before).any() == (number < 6)


def test_frames_of_8_and_10_bits_together() -> None:
    cover = Cover((10, 10, 70, 70))

    for _, wanted, got in both(frame(cover), frame(cover, format="yuv420p10le")):
        np.testing.assert_allclose(got, wanted, atol=2)


def test_covers_that_do_not_overlap_are_painted_at_once() -> None:
    apart = [Cover((x, y, x + 20, y + 20), style="solid") for x in (0, 40, 80) for y in (0, 40)]
    device = HostDevice()

    paint_on(device, [copied(frame(*apart)), copied(frame(*apart))])
    alone = [*device.launched]
    paint_on(device, [copied(frame(*apart, Cover((10, 10, 60, 60))))])

    assert alone == ["paint_8"]
    assert device.launched[1:] == ["sum_beside_8", "tint_covers", *["paint_8"] * 2, *["paint_core_8"] * 2]


def test_the_gate_holds_here_too() -> None:
    good = frame(Cover((0, 0, 50, 50), style="solid"))
    bare = replace(frame(), faces=Faces.of([[10, 10, 30, 30]]))

    with pytest.raises(FrameError, match="expected a cover over the face"):
        paint_on(HostDevice(), [good, bare])

    assert (good.picture.planes[0] == frame().picture.planes[0]).all()


@pytest.mark.gpu
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("format", ["yuv420p", "yuv444p10le"])
def test_as_the_painter_on_a_gpu(style: Any, format: str) -> None:  # noqa: A002
    cover = Cover((20, 15, 90, 70), style=style, feather=0.2, color=(40, 90, 200), pixels=PASTED)
    wanted = copied(frame(cover, format=format))
    paint(wanted)
    kernels = cuda_kernels()
    y, u, v = (kernels.upload(plane) for plane in frame(format=format).picture.planes)

    paint_on(kernels, [replace(wanted, picture=replace(wanted.picture, planes=(y, u, v)))])

    for got, expected in zip((y, u, v), wanted.picture.planes, strict=True):
        np.testing.assert_allclose(downloaded(kernels, got).astype(int), expected.astype(int), atol=2)
