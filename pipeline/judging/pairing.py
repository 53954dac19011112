"""Which frame of the original a frame of a masked video shows: tools drop frames, double them, and keep no clocks."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array

BAND, WIDEST_BAND = 12, 240
"""So many frames to either side of where its time puts it a frame is looked for."""
STEP, AWAY, FAR = 0.02, 0.01, 12
"""What it costs not to go on by one frame, and to lie a frame away from where the time says, up to so many; in units of
`glance`."""
AWAY_IN_STEP = 0.03
"""The same where both videos have the same clock: then nothing was dropped, and what coding does to a frame shall not
make it its neighbour's."""
LARGE = 1.0
"""What differs by more counts no more: a cover weighs as much beside each frame that might lie under it."""
LIKE, LIKE_PART = 0.8, 0.12
"""Two frames show one scene if their samples correlate so well within 3 x 3 of them, in so much of what has structure:
covers may be large, and light may change, but two scenes agree hardly anywhere."""
STRUCTURE = 0.05
ALIKE_SHARE = 0.5
FLAT = 0.02
IN_STEP_S = 0.005


def pair(original: Sequence[Array], masked: Sequence[Array], times: Array, masked_times: Array) -> NDArray[np.int64]:
    """For each masked frame `(m,)` the number of the original frame that it shows, never falling.

    Args:
        original, masked: what `glance` makes of each frame.
        times, masked_times: when they are shown, in seconds, `(n,)` and `(m,)`.

    >>> one = [np.full((2, 2), float(value)) for value in (0, 5, 9)]
    >>> pair(one, [one[0], one[2], one[2]], np.arange(3.0), np.arange(3.0)).tolist()
    [0, 2, 2]
    """
    count, frames = len(masked), len(original)
    if not count or not frames:
        return np.zeros(0, np.int64)
    expected = _expected(times, masked_times)
    same = frames == count and bool(np.abs(times - masked_times).max() < IN_STEP_S)
    away = AWAY_IN_STEP if same else AWAY
    band = min(max(BAND, abs(frames - count) + 2), WIDEST_BAND)
    offsets = np.arange(-band, band + 1)
    before = np.full(frames, 0.0)
    origins: list[tuple[int, NDArray[np.int64]]] = []
    for number in range(count):
        places = np.unique(np.clip(expected[number] + offsets, 0, frames - 1))
        costs = np.array([difference(original[place], masked[number]) for place in places])
        costs += away * np.minimum(np.abs(places - expected[number]), FAR)
        total = np.full(frames, np.inf)
        if number:
            total[places], came = _reach(before, places)
        else:
            total[places], came = 0.0, places
        total[places] += costs
        origins.append((int(places[0]), came))
        before = total
    return _walked_back(before, origins)


def difference(one: Array, other: Array) -> float:
    """By how much two glances differ in the mean, no sample by more than LARGE.

    >>> difference(np.zeros((2, 2)), np.array([[0, 0], [0.5, 9.0]]))
    0.375
    """
    return float(np.minimum(np.abs(one - other), LARGE).mean(dtype=np.float64))


def alike_share(original: Sequence[Array], masked: Sequence[Array], pairs: Array) -> float:
    """The part of masked frames, 0 to 1, that show what their partner shows; those covered whole are left out.

    >>> flat, ramp = np.zeros((4, 4)), np.arange(16.0).reshape(4, 4)
    >>> alike_share([ramp, ramp], [3 * ramp, flat], np.array([0, 1]))
    1.0
    """
    compared = [
        alike(original[place], each)
        for each, place in zip(masked, pairs, strict=True)
        if float(np.abs(each).max()) > FLAT
    ]
    return float(np.mean(compared)) if compared else 1.0


def alike(one: Array, other: Array) -> bool:
    """Two glances show one scene.

    >>> ramp = np.arange(16.0).reshape(4, 4)
    >>> alike(ramp, 5 + 2 * ramp), alike(ramp, ramp.T)
    (True, False)
    """

    def around(picture: Array) -> Array:
        return np.asarray(cv2.blur(picture, (3, 3), borderType=cv2.BORDER_REPLICATE))

    one, other = one.astype(np.float32), other.astype(np.float32)
    low, high = around(one), around(other)
    own, theirs = np.maximum(around(one * one) - low**2, 0), np.maximum(around(other * other) - high**2, 0)
    shared = around(one * other) - low * high
    structured = own > STRUCTURE**2
    same = structured & (shared > LIKE * np.sqrt(own * theirs)) & (theirs > STRUCTURE**2 / 100)
    return bool(same.sum() >= LIKE_PART * structured.sum())


def _expected(times: Array, masked_times: Array) -> NDArray[np.int64]:
    """Where times put each masked frame; where both have as many frames, their numbers."""
    if len(times) == len(masked_times):
        return np.arange(len(times))
    later = np.clip(np.searchsorted(times, masked_times), 0, len(times) - 1)
    earlier = np.maximum(later - 1, 0)
    nearer = np.abs(times[earlier] - masked_times) <= np.abs(times[later] - masked_times)
    return np.asarray(np.where(nearer, earlier, later), np.int64)


def _reach(before: Array, places: Array) -> tuple[Array, NDArray[np.int64]]:
    """The cheapest way to each place from a place that does not lie after it: its cost, and where it comes from."""
    lowest = np.minimum.accumulate(before)
    isnew = np.concatenate([[True], before[1:] < lowest[:-1]])
    where = np.maximum.accumulate(np.where(isnew, np.arange(len(before)), 0))
    costs, came = lowest[places] + STEP, where[places]
    ahead = np.where(places > 0, before[np.maximum(places - 1, 0)], np.inf)
    straight = ahead <= costs
    return np.where(straight, ahead, costs), np.where(straight, places - 1, came)


def _walked_back(last: Array, origins: Sequence[tuple[int, NDArray[np.int64]]]) -> NDArray[np.int64]:
    place = int(np.argmin(last))
    pairs = np.zeros(len(origins), np.int64)
    for number in range(len(origins) - 1, -1, -1):
        pairs[number] = place
        first, came = origins[number]
        place = int(came[place - first]) if number else place
    return pairs
