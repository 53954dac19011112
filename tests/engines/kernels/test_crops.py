"""Crops out of planes: the numpy twin against other definitions, then the kernel against the twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines import EngineError
from engines.kernels.crops import LUMA_WEIGHTS, Scaling, Surface, cut, cut_on, sample_counts
from operators.paint import colours
from tests.engines.kernels.host import HostDevice

Planes = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
SHIFTED, TENTH = Scaling((104, 117, 123), (1, 1, 1)), Scaling((127.5,) * 3, (1 / 128,) * 3)


def noise(rows: int, columns: int, *, step: int = 1, top: int = 256, seed: int = 0) -> Planes:
    """Random planes; chroma in steps of so many luma samples."""
    random, dtype = np.random.default_rng(seed), np.uint8 if top <= 256 else np.uint16
    chroma = -(-rows // step), -(-columns // step)
    y, u, v = (random.integers(0, top, shape, dtype) for shape in ((rows, columns), chroma, chroma))
    return y, u, v


def surface(planes: Sequence[NDArray[Any]], **kind: Any) -> Surface:
    y, u, v = planes
    return Surface((y, u, v), **kind)


def converted(picture: Surface) -> NDArray[np.float32]:
    """The whole picture as `(h, w, 3)` R, G, B, not clipped: chroma between its samples, by cv2."""
    y, *chroma = (plane.astype(np.float32) for plane in picture.planes)
    u, v = (cv2.resize(plane, y.shape[::-1], interpolation=cv2.INTER_LINEAR) for plane in chroma)
    matrix = picture.to_rgb
    return np.asarray(np.dot(np.stack([y, u, v], axis=-1), matrix[:, :3].T) + matrix[:, 3], np.float32)


def affine(*numbers: float) -> NDArray[np.float64]:
    return np.array(numbers, np.float64).reshape(1, 2, 3)


def channels_last(crop: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(crop[0].transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("yuv", "kind", "rgb"),
    [
        pytest.param((16, 128, 128), {}, (0, 0, 0), id="black"),
        pytest.param((235, 128, 128), {}, (255, 255, 255), id="white"),
        pytest.param((255, 128, 128), {"full_range": True}, (255, 255, 255), id="white, full"),
        pytest.param((81, 90, 240), {"matrix": 6}, (255, 0, 0), id="red, BT.601"),
        pytest.param((63, 102, 240), {"matrix": 1}, (255, 0, 0), id="red, BT.709"),
        pytest.param((116, 960, 471), {"matrix": 9, "bits": 10}, (0, 0, 255), id="blue, BT.2020, 10 bits"),
        pytest.param((116 << 6, 960 << 6, 471 << 6), {"matrix": 9, "bits": 10, "shift": 6}, (0, 0, 255), id="P010"),
        pytest.param((1023, 512, 512), {"bits": 10, "full_range": True}, (255, 255, 255), id="white, full, 10 bits"),
    ],
)
def test_colours_known_from_the_standards(yuv: tuple[int, ...], kind: dict[str, Any], rgb: tuple[int, ...]) -> None:
    picture = surface([np.full((2, 2), value, np.uint16) for value in yuv], **kind)

    crop = cut([picture], [0], affine(1, 0, 0, 0, 1, 0), (2, 2))

    assert crop.shape == (1, 3, 2, 2)
    assert crop[0, :, 0, 0] == pytest.approx(rgb, abs=1.5)


def test_matrices_are_those_of_the_painter() -> None:
    assert LUMA_WEIGHTS.items() <= colours.LUMA_WEIGHTS.items()


@pytest.mark.parametrize("step", [1, 2], ids=["4:4:4", "4:2:0"])
@pytest.mark.parametrize("reduced", [1, 2, 5])
def test_reducing_by_a_whole_number_is_the_mean_of_an_area(step: int, reduced: int) -> None:
    picture = surface(noise(40, 60, step=step), full_range=True)
    middle = (reduced - 1) / 2

    crop = cut([picture], [0], affine(reduced, 0, 10 + middle, 0, reduced, 20 + middle), (50 // reduced, 20 // reduced))

    window = converted(picture)[20:40, 10:60]
    means = cv2.resize(window, None, fx=1 / reduced, fy=1 / reduced, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(channels_last(crop), np.clip(means, 0, 255), atol=0.01)


@pytest.mark.parametrize("degrees", [0, 30, 200])
def test_enlarging_is_bilinear_whatever_the_rotation(degrees: int) -> None:
    picture = surface([cv2.GaussianBlur(plane, (0, 0), 3) for plane in noise(60, 80)])
    turned = cv2.getRotationMatrix2D((40, 30), degrees, 0.5)

    crop = cut([picture], [0], turned[None].astype(np.float64), (70, 60))

    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    wanted = cv2.warpAffine(converted(picture), turned, (70, 60), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(channels_last(crop), np.clip(wanted, 0, 255), atol=0.5)


def test_semi_planar_chroma_and_high_bits_are_read_in_place() -> None:
    y, u, v = noise(20, 30, step=2, top=1024)
    planar = surface((y, u, v), bits=10)
    pairs = np.stack([u, v], axis=-1) << 6
    p010 = Surface((y << 6, pairs[..., 0], pairs[..., 1]), bits=10, shift=6)

    crops = cut([planar, p010], [0, 1], np.repeat(affine(1.3, 0.2, 1, -0.1, 1.7, 2), 2, axis=0), (15, 10))

    np.testing.assert_allclose(crops[0], crops[1], atol=1e-3)


NUMBERS = st.lists(st.floats(-3, 3), min_size=6, max_size=6)


@given(numbers=NUMBERS, luma=st.integers(16, 235))
def test_an_even_picture_gives_an_even_crop(numbers: list[float], luma: int) -> None:
    picture = surface([np.full((9, 7), luma, np.uint8), *[np.full((5, 4), 128, np.uint8)] * 2])

    crop = cut([picture], [0], affine(*numbers), (4, 3), TENTH)

    assert np.ptp(crop) < 1e-5
    assert crop[0, 0, 0, 0] == pytest.approx(((luma - 16) * 255 / 219 - 127.5) / 128, abs=1e-4)


@pytest.mark.parametrize(
    ("numbers", "counts"),
    [
        pytest.param((1, 0, 0, 0, 1, 0), (1, 1), id="as it is"),
        pytest.param((0.3, 0, 0, 0, 0.3, 0), (1, 1), id="enlarged"),
        pytest.param((2, 0, 0, 0, 3.5, 0), (2, 4), id="reduced"),
        pytest.param((0, -3, 0, 4, 0, 0), (4, 3), id="turned"),
    ],
)
def test_as_many_samples_as_a_pixel_covers(numbers: tuple[float, ...], counts: tuple[int, int]) -> None:
    assert sample_counts(affine(*numbers)[0]) == counts


BATCHES = {
    "8 bits": [surface(noise(48, 64, step=2)), surface(noise(33, 21, step=2, seed=1), matrix=1, full_range=True)],
    "10 bits": [surface(noise(48, 64, step=2, top=1024), bits=10), surface(noise(30, 20, top=1024), bits=10, matrix=9)],
    "NV12": [Surface((noise(48, 64)[0], noise(24, 64)[0][:, ::2], noise(24, 64)[0][:, 1::2]))],
}


@pytest.mark.parametrize("batch", BATCHES)
@settings(max_examples=30)
@given(data=st.data())
def test_the_kernel_computes_the_same(batch: str, data: st.DataObject) -> None:
    pictures = BATCHES[batch]
    of = data.draw(st.lists(st.integers(0, len(pictures) - 1), min_size=1, max_size=3))
    places = st.lists(st.floats(-40, 80), min_size=2, max_size=2)
    affines = np.array([data.draw(NUMBERS) for _ in of]).reshape(-1, 2, 3)
    affines[:, :, 2] = [data.draw(places) for _ in of]
    size = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))

    device = HostDevice()
    crops = cut_on(device, pictures, of, affines, size, SHIFTED)

    np.testing.assert_allclose(crops, cut(pictures, of, affines, size, SHIFTED), atol=0.05)
    assert len(device.launched) == 1


@pytest.mark.parametrize(
    ("pictures", "of"),
    [
        pytest.param([surface(noise(4, 4)), surface(noise(4, 4, top=1024))], [0, 1], id="dtypes"),
        pytest.param([surface(noise(4, 4))], [1], id="no such picture"),
    ],
)
def test_what_a_kernel_would_read_wrongly_is_refused(pictures: list[Surface], of: list[int]) -> None:
    with pytest.raises(EngineError, match="pictures of one dtype"):
        cut_on(HostDevice(), pictures, of, np.repeat(affine(1, 0, 0, 0, 1, 0), len(of), axis=0), (2, 2))
