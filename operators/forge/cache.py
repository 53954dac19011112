"""A set of genuine crops with forgeries made of them, several of each: made once, learned from many times.

Donors are taken from the same split, from another group, in much the same pose. Who forges which face in what way is
drawn from (seed, clip, number), so a part of the set gets the same forgeries alone as among the others.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.cropset import CropSet
from operators.forge import NEEDS_DONOR, GenuineFace, forge
from operators.forge.warp import FEATURES

CANDIDATES = 24
"""Of so many faces drawn, the one in the likeliest pose and light becomes the donor."""
TONE_WEIGHT = 0.3
MASK_FRACTION = 4


def need_donors(kinds: Sequence[str]) -> bool:
    """Whether any of the kinds is made with another person's face.

    >>> need_donors(["iris", "swap"]), need_donors(["iris"])
    (True, False)
    """
    return not NEEDS_DONOR.isdisjoint(kinds)


def unforged(genuine: CropSet) -> CropSet:
    """The genuine crops of a set with their masks, which are empty: what forgeries are appended to."""
    genuine = genuine.where(np.flatnonzero(genuine.labels == 0))
    side = genuine.size // MASK_FRACTION
    return replace(genuine, masks=np.zeros((len(genuine), side, side), np.uint8))


def forgeries(
    genuine: CropSet,
    rows: Sequence[int],
    kinds: Sequence[str],
    per_real: int,
    seed: int,
    donors: Donors | None = None,
) -> CropSet:
    """Forgeries of some rows, `per_real` of each in different kinds; their origins are these rows.

    Args:
        genuine: the whole set, for donors.
        donors: of this set, where they are at hand; else they are made, if a kind needs them.
    """
    if donors is None and need_donors(kinds):
        donors = Donors(genuine)
    side = genuine.size // MASK_FRACTION
    made, drawn, masks = [], [], []
    for row in rows:
        face = GenuineFace(np.asarray(genuine.pixels[row]), np.asarray(genuine.points[row]))
        clip = zlib.crc32(str(genuine.clips[row]).encode()), int(genuine.frames[row])
        order = np.random.default_rng((seed, *clip)).permutation(len(kinds))
        for number in range(per_real):
            rng, kind = np.random.default_rng((seed, *clip, number)), kinds[order[number % len(kinds)]]
            donor = donors.draw(row, rng) if donors and kind in NEEDS_DONOR else None
            forged = forge(kind, face, rng, donor)
            made.append(forged.pixels)
            drawn.append(kind)
            masks.append(cv2.resize(forged.mask, (side, side), interpolation=cv2.INTER_AREA))
    origins = np.repeat(np.asarray(rows, np.int64), per_real)
    numbers = np.tile(np.arange(per_real), len(rows))
    return CropSet(
        pixels=np.asarray(made, np.uint8).reshape(-1, genuine.size, genuine.size, 3),
        points=genuine.points[origins],
        labels=np.ones(len(origins), np.int8),
        groups=genuine.groups[origins],
        clips=np.asarray([f"{genuine.clips[row]}#{n}" for row, n in zip(origins, numbers, strict=True)], np.str_),
        frames=genuine.frames[origins],
        splits=genuine.splits[origins],
        kinds=np.asarray(drawn, np.str_),
        masks=np.asarray(masks, np.uint8).reshape(-1, side, side),
        origins=origins,
    )


class Donors:
    """Finds another person's face for a face, in the same split and in much the same pose and light.

    Args:
        genuine: crops of one size.
    """

    def __init__(self, genuine: CropSet) -> None:
        self._set = genuine
        points = np.asarray(genuine.points[:, FEATURES], np.float64) @ (1, 1j)
        centred = points - points.mean(axis=1, keepdims=True)
        self._shapes: NDArray[Any] = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        self._tones = np.array([cv2.mean(picture)[:3] for picture in genuine.pixels]).reshape(-1, 3) / 255
        self._rows = {split: np.flatnonzero(genuine.splits == split) for split in np.unique(genuine.splits)}

    def draw(self, row: int, rng: np.random.Generator) -> GenuineFace:
        """The best of some candidates; the face itself where nobody else is there."""
        drawn = rng.choice(self._rows[self._set.splits[row]], CANDIDATES)
        others = drawn[self._set.groups[drawn] != self._set.groups[row]]
        if not len(others):
            others = np.array([row])
        fit = 1 - np.abs(self._shapes[others] @ self._shapes[row].conj())  # 0 for the same shape, however turned
        tone = np.abs(self._tones[others] - self._tones[row]).mean(axis=1)
        best = int(others[np.argmin(np.sqrt(np.maximum(fit, 0)) + TONE_WEIGHT * tone)])
        return GenuineFace(np.asarray(self._set.pixels[best]), np.asarray(self._set.points[best]))
