"""Batches of genuine crops with forgeries made from them, both degraded alike."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines import ConfigError
from operators import crops, metrics
from operators.cropset import CropSet
from operators.deepfake import quality
from operators.deepfake.calibration import Curve, fit_curve
from operators.deepfake.scores import VerdictLimits, thresholds
from operators.forge.degrade import degrade

Batch = TypeVar("Batch")


@dataclass(frozen=True, eq=False)
class PairBatch:
    """The same number of genuine and forged crops.

    Attributes:
        faces: `(2n, 3, s, s)` float32 RGB 0..1; the genuine ones first.
        changed: `(2n, 1, m, m)` float32 0..1, which part of each cell was forged.
        known: `(2n,)` bool, whether `changed` is known of it.
        paired: `(n,)` bool, whether the forgery was made from the genuine crop of its row.
    """

    faces: NDArray[np.float32]
    changed: NDArray[np.float32]
    known: NDArray[np.bool_]
    paired: NDArray[np.bool_]


class Pairs:
    """Draws pairs from a set: every kind of forgery as often as any other, each with its own original if that is there.

    Raises:
        ConfigError: the set lacks forged or genuine crops.
    """

    def __init__(self, data: CropSet, size: int) -> None:
        self._data, self._size = data, size
        labels = np.asarray(data.labels)
        self._genuine = np.flatnonzero(labels == 0)
        forged = np.flatnonzero(labels == 1)
        if not len(self._genuine) or not len(forged):
            raise ConfigError(
                f"expected genuine and forged crops, got {len(self._genuine)} and {len(forged)}; "
                "use another set or one with more groups in val, or write forgeries: into the config"
            )
        kinds = np.asarray(data.kinds)[forged]
        self._kinds = [forged[kinds == kind] for kind in np.unique(kinds)]
        self.forged = forged

    def __len__(self) -> int:
        return len(self.forged)

    def batch(self, rng: np.random.Generator, n: int, strength: float) -> PairBatch:
        """n pairs, drawn anew."""
        which = rng.integers(0, len(self._kinds), n)
        fakes = np.array([self._kinds[kind][rng.integers(0, len(self._kinds[kind]))] for kind in which])
        return self.made(fakes, rng, strength)

    def made(self, fakes: NDArray[np.int64], rng: np.random.Generator, strength: float) -> PairBatch:
        """The pairs of the forgeries in these rows of the set, degraded as strongly as `forge.degrade` means it."""
        origins = np.asarray(self._data.origins)[fakes]
        paired = origins >= 0
        reals = np.where(paired, origins, rng.choice(self._genuine, len(fakes)))
        masks = np.asarray(self._data.masks)
        side = masks.shape[1] if len(masks) else 1
        images = np.empty((2, len(fakes), self._size, self._size, 3), np.uint8)
        changed = np.zeros((2, len(fakes), 1, side, side), np.float32)
        for pair, rows in enumerate(zip(reals, fakes, strict=True)):
            two = crops.resize(np.asarray(self._data.pixels[list(rows)]), self._size)
            mask = masks[rows[1]] if len(masks) else np.zeros((1, 1), np.uint8)
            if rng.random() < 0.5:
                two, mask = two[:, :, ::-1], mask[:, ::-1]
            images[:, pair] = degrade([np.ascontiguousarray(image) for image in two], rng, strength=strength)
            changed[1, pair, 0] = mask / np.float32(255)
        known = np.concatenate([np.ones(len(fakes), bool), np.full(len(fakes), len(masks) > 0)])
        size, n = self._size, 2 * len(fakes)
        return PairBatch(
            crops.to_input(images.reshape(n, size, size, 3)), changed.reshape(n, 1, side, side), known, paired
        )


class Ahead(Generic[Batch]):
    """Makes the batches of the next steps in threads while this one is worked on; the same batches as without."""

    def __init__(self, make: Callable[[int], Batch], total: int, *, threads: int = 2, depth: int = 4) -> None:
        self._make, self._total, self._depth = make, total, depth
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="batches")
        self._made: dict[int, Future[Batch]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __getitem__(self, step: int) -> Batch:
        for later in range(step, min(step + self._depth, self._total)):
            if later not in self._made:
                self._made[later] = self._pool.submit(self._make, later)
        return self._made.pop(step).result()


def halves(groups: NDArray[np.str_]) -> NDArray[np.bool_]:
    """True for about half of the rows, whole groups each: what is calibrated on one half is checked on the other.

    >>> half = halves(np.array(["anna", "ben", "anna", "ben"]))
    >>> bool(half[0] == half[2]), bool(half[1] == half[3])
    (True, True)
    """
    names, inverse = np.unique(groups, return_inverse=True)
    chosen = np.random.default_rng(0).permutation(len(names)) < len(names) // 2
    return np.asarray(chosen[inverse], np.bool_)


def calibrate(
    plain: NDArray[np.float64],
    labels: NDArray[np.int64],
    fit: NDArray[np.bool_],
    measured: NDArray[np.float64],
    hardest: NDArray[np.bool_],
) -> tuple[Curve, float, VerdictLimits]:
    """What makes scores into probabilities, how far off these are, and how far the detector can be trusted.

    Args:
        plain: scores `(n,)` in 0..1, before calibration.
        fit: `(n,)`, the half by which curve and thresholds are chosen; the error is that of the other.
        measured: `(n, 5)`, what `quality.measure` says of each.
        hardest: `(n,)`, those that are as degraded as any it is to judge: thresholds and usual ranges are theirs.

    Raises:
        ConfigError: the half has one class alone.
    """
    curve = fit_curve(plain[fit], labels[fit])
    probabilities = curve(plain)
    fake, real = thresholds(probabilities[fit & hardest], labels[fit & hardest])
    error = metrics.calibration_error(labels[~fit], probabilities[~fit])
    return curve, error, VerdictLimits(fake=fake, real=real, usual=quality.ranges(measured[hardest]))
