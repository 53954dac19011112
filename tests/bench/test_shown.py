"""A face that is still to be seen, and one that is not, by pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from bench.numbered import portrait
from bench.shown import shows
from operators.arrays import Array
from operators.frame import Cover, Style
from operators.paint import cpu
from operators.stills import frame_of


@pytest.fixture(scope="module", params=[48, 96, 200])
def face(request: pytest.FixtureRequest) -> Array:
    """Luma of a face of that height."""
    image, (x1, y1, x2, y2) = portrait()
    grey = cv2.cvtColor(image[y1:y2, x1:x2], cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (request.param * 6 // 7, request.param), interpolation=cv2.INTER_AREA))


def noisy(face: Array) -> Array:
    noise = np.random.default_rng(0).normal(0, 3, face.shape)
    return np.asarray(np.clip(face + noise, 0, 255), np.uint8)


def jpeg(face: Array) -> Array:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 0))


def half(face: Array) -> Array:
    """Only its lower half is hidden."""
    hidden = face.copy()
    hidden[len(face) // 2 :] = 128
    return hidden


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda face: face, id="as it is"),
        pytest.param(noisy, id="noise"),
        pytest.param(jpeg, id="coded"),
        pytest.param(lambda face: face // 2 + 10, id="dimmed"),
        pytest.param(half, id="half of it"),
    ],
)
def test_a_face_is_shown(face: Array, change: Callable[[Array], Array]) -> None:
    assert shows(face, change(face))


@pytest.mark.parametrize("style", ["blur", "mosaic", "solid"])
def test_a_covered_face_is_not_shown(face: Array, style: Style) -> None:
    height, width = face.shape
    whole = cv2.copyMakeBorder(face, 64, 64, 64, 64, cv2.BORDER_REFLECT)
    frame = frame_of(cv2.cvtColor(whole, cv2.COLOR_GRAY2BGR))
    before = frame.picture.planes[0][64 : 64 + height, 64 : 64 + width].copy()
    out = height // 4
    box = (64 - out, 64 - out, 64 + width + out, 64 + height + out)

    cpu.paint(replace(frame, covers=(Cover(box, style=style),)))

    after = frame.picture.planes[0][64 : 64 + height, 64 : 64 + width]
    assert shows(before, before) and not shows(before, after)


@pytest.mark.parametrize("other", ["grey", "wall", "mirrored"])
def test_something_else_in_its_place_is_not_the_face(face: Array, other: str) -> None:
    there = {
        "grey": np.full_like(face, 120),
        "wall": noisy(np.full_like(face, 120)),
        "mirrored": np.ascontiguousarray(np.roll(face[:, ::-1], len(face) // 4, 0)),
    }[other]

    assert not shows(face, there)
