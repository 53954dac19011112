"""A photo is given out when its faces are covered, and not at all when nobody looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engines import FrameError
from operators.deidentify.cover import CoverFaces
from operators.frame import Faces, Frame
from pipeline.config import Config
from pipeline.photos.masking import PhotoMasker

BOX = (20, 10, 40, 34)


def detector(*boxes: Sequence[float], examined: bool = True) -> Any:
    return lambda frames: [replace(frame, faces=Faces.of(list(boxes)), examined=examined) for frame in frames]


def photo(width: int = 81, height: int = 61) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)


def test_faces_are_covered_and_all_else_stays_bit_for_bit() -> None:
    image = photo()
    with PhotoMasker(
        Config(steps=[]), {"detect.here": detector(BOX), "deidentify.cover": CoverFaces(scale=1.0)}
    ) as masker:
        masked = masker.mask(image)

    x1, y1, x2, y2 = BOX
    assert (masked.faces, masked.kept) == (1, 0)
    assert masked.image.shape == image.shape
    inside = masked.image[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4].astype(int)
    assert np.abs(np.diff(inside, axis=0)).mean() < 10 < np.abs(np.diff(image.astype(int), axis=0)).mean()
    far = np.ones(image.shape[:2], np.bool_)
    far[y1 - 9 : y2 + 9, x1 - 9 : x2 + 9] = False
    np.testing.assert_array_equal(masked.image[far], image[far])


def test_a_photo_without_faces_stays_as_it_is() -> None:
    image = photo()

    masked = PhotoMasker(Config(steps=[]), {"detect.here": detector(), "deidentify.cover": CoverFaces()}).mask(image)

    np.testing.assert_array_equal(masked.image, image)
    assert masked.faces == 0


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 5), (16, 16)])
def test_small_photos_are_taken(size: tuple[int, int]) -> None:
    steps: dict[str, Any] = {
        "detect.here": detector((0, 0, *size)),
        "deidentify.cover": CoverFaces(style="solid", shape="box"),
    }

    masked = PhotoMasker(Config(steps=[]), steps).mask(np.full((size[1], size[0], 3), 255, np.uint8))

    assert masked.image.shape == (size[1], size[0], 3)
    assert masked.image.max() < 10


def raising(error: Exception) -> Any:
    def step(_: Sequence[Frame]) -> list[Frame]:
        raise error

    return step


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ({"detect.here": detector(BOX, examined=False), "deidentify.cover": CoverFaces()}, "no detector has looked"),
        ({"detect.here": detector(BOX)}, "face"),
        ({"detect.here": raising(FrameError("no light")), "deidentify.cover": CoverFaces()}, "no light"),
        ({"detect.here": detector(BOX), "deidentify.cover": raising(KeyError("x"))}, "KeyError"),
    ],
    ids=["not looked at", "not covered", "a detector that fails", "a step that breaks"],
)
def test_what_was_not_looked_at_and_covered_is_not_given_out(steps: dict[str, Any], said: str) -> None:
    with pytest.raises(FrameError, match=said):
        PhotoMasker(Config(steps=[]), steps).mask(photo())


def test_nothing_of_a_photo_is_remembered() -> None:
    masker = PhotoMasker(Config(steps=[]), {"detect.here": detector(BOX), "deidentify.cover": CoverFaces()})
    image = photo()

    first, second = masker.mask(image).image, masker.mask(image).image

    assert (first != second).any()  # each has a secret of its own
