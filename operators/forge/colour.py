"""Colours of a face: matched to another's, or moved away from its own."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Rng
from operators.forge.face import Pixels
from operators.forge.regions import Mask, blurred


def matched(pixels: Pixels, to: Pixels, mask: Mask, amount: float = 1.0) -> NDArray[np.float32]:
    """A picture in whose mask mean and spread of L, a and b are those of the other (Reinhard 2001).

    Args:
        pixels, to: `(s, s, 3)` uint8, R first.
        amount: 0 leaves the colours, 1 matches them.

    >>> dark, light = np.full((2, 2, 3), 100, np.uint8), np.full((2, 2, 3), 200, np.uint8)
    >>> matched(dark, light, np.ones((2, 2), np.float32))[0, 0].round().tolist()
    [200.0, 200.0, 200.0]
    """
    ours, theirs = _lab(pixels), _lab(to)
    weight = mask[:, :, None] / max(float(mask.sum()), 1.0)
    (mean, spread), (goal, goal_spread) = (_moments(lab, weight) for lab in (ours, theirs))
    moved = (ours - mean) * (goal_spread / np.maximum(spread, 1e-3)) + goal
    return _rgb(ours + amount * (moved - ours))


def jittered(pixels: Pixels, rng: Rng, amount: float = 1.0) -> NDArray[np.float32]:
    """A picture in another colour balance, brightness and contrast: L, a and b each stretched and shifted.

    >>> jittered(np.full((2, 2, 3), 100, np.uint8), np.random.default_rng(0), amount=0)[0, 0].round().tolist()
    [100.0, 100.0, 100.0]
    """
    lab = _lab(pixels)
    middle = lab.mean(axis=(0, 1))
    stretch = np.exp(rng.normal(0, 0.08, 3) * amount)
    shift = rng.normal(0, (5, 3, 3)) * amount
    return _rgb((lab - middle) * stretch + middle + shift)


def resampled(pixels: NDArray[Any], factor: float) -> NDArray[np.float32]:
    """A picture reduced to a fraction of its size, and enlarged again; above 1 it is sharpened as much.

    >>> checks = np.indices((16, 16)).sum(axis=0) % 2 * 200
    >>> half = resampled(checks, 0.5)
    >>> round(half.min().item(), 3), round(half.max().item(), 3)
    (100.0, 100.0)
    """
    pixels = np.asarray(pixels, np.float32)
    if factor > 1:
        return np.clip(
            pixels + (factor - 1) * (pixels - np.stack([blurred(c, 1.0) for c in cv2.split(pixels)], -1)), 0, 255
        )
    size = len(pixels)
    small = cv2.resize(pixels, (max(8, round(size * factor)),) * 2, interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC), 0, 255), np.float32)


def _lab(pixels: Pixels) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)


def _rgb(lab: NDArray[Any]) -> NDArray[np.float32]:
    rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_Lab2RGB)
    return np.asarray(np.clip(rgb, 0, 1) * 255, np.float32)


def _moments(lab: NDArray[np.float32], weight: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    mean = (lab * weight).sum(axis=(0, 1))
    return mean, np.sqrt(((lab - mean) ** 2 * weight).sum(axis=(0, 1)))
