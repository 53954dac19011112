"""Faces that need no photo: a mesh of the right make, and pixels with detail in them."""

from __future__ import annotations

import numpy as np

from operators.forge import GenuineFace
from operators.forge.regions import LEFT_BROW, LEFT_EYE, LEFT_IRIS, LIPS, OVAL, RIGHT_BROW, RIGHT_EYE, RIGHT_IRIS

SIZE = 96


def made_face(seed: int, size: int = SIZE) -> GenuineFace:
    """Ellipses for what a face has, a little different for each seed."""
    rng = np.random.default_rng(seed)
    points = np.full((478, 2), 0.5) + rng.normal(0, 0.1, (478, 2)) * (0.5, 0.6)
    for part, x, y, across, down in (
        (OVAL, 0.5, 0.5, 0.38, 0.46), (LIPS, 0.5, 0.74, 0.14, 0.05), (RIGHT_EYE, 0.34, 0.42, 0.08, 0.035),
        (LEFT_EYE, 0.66, 0.42, 0.08, 0.035), (RIGHT_BROW, 0.34, 0.34, 0.09, 0.015),
        (LEFT_BROW, 0.66, 0.34, 0.09, 0.015),
        (RIGHT_IRIS[1:], 0.34, 0.42, 0.03, 0.03), (LEFT_IRIS[1:], 0.66, 0.42, 0.03, 0.03),
    ):  # fmt: skip
        angles = np.linspace(0, 2 * np.pi, len(part), endpoint=False)
        middle = np.array([x, y]) + rng.normal(0, 0.004, 2)
        points[list(part)] = middle + np.stack([across * np.sin(angles), -down * np.cos(angles)], 1)
    points[RIGHT_IRIS[0]] = points[list(RIGHT_IRIS[1:])].mean(axis=0)
    points[LEFT_IRIS[0]] = points[list(LEFT_IRIS[1:])].mean(axis=0)
    pixels = rng.normal((180, 140, 120), 25, (size, size, 3)).clip(0, 255).astype(np.uint8)
    y, x = np.mgrid[:size, :size]
    for iris in (RIGHT_IRIS[0], LEFT_IRIS[0]):
        at = points[iris] * size
        pixels[np.hypot(x - at[0], y - at[1]) < 0.03 * size] = 20
    return GenuineFace(pixels, (points * size).astype(np.float32))
