"""What forging takes and gives, and the one place where a changed picture is laid over the genuine one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.arrays import Rng

Pixels = NDArray[np.uint8]
Points = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class GenuineFace:
    """A genuine crop.

    Attributes:
        pixels: `(s, s, 3)` uint8, R first.
        points: `(478, 2)`, MediaPipe's mesh in pixels of the crop.
    """

    pixels: Pixels
    points: Points


@dataclass(frozen=True, slots=True, eq=False)
class Forgery:
    """A forged crop.

    Attributes:
        pixels: `(s, s, 3)` uint8.
        mask: `(s, s)` uint8: 0 where nothing was changed, 255 where all is forged.
    """

    pixels: Pixels
    mask: Pixels


Kind = Callable[[GenuineFace, GenuineFace, Rng], Forgery]
"""From a face, a donor (the face itself for kinds that need none) and chance."""


def lay_over(face: GenuineFace, changed: NDArray[Any], mask: NDArray[np.floating[Any]]) -> Forgery:
    """The changed picture `(s, s, 3)` 0..255 over the genuine one, in the weights `(s, s)` 0..1 of the mask.

    Weights are rounded to 1/255 before they are used, so that the mask shows all that was done.

    >>> face = GenuineFace(np.zeros((1, 2, 3), np.uint8), np.zeros((478, 2)))
    >>> forged = lay_over(face, np.full((1, 2, 3), 100), np.array([[0.0, 1.0]]))
    >>> forged.pixels[0, :, 0].tolist(), forged.mask.tolist()
    ([0, 100], [[0, 255]])
    """
    levels = np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8)
    weight = levels[:, :, None].astype(np.float32) / 255
    mixed = weight * np.clip(changed, 0, 255) + (1 - weight) * face.pixels
    return Forgery(np.rint(mixed).astype(np.uint8), levels)
