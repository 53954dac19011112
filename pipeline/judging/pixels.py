"""What is left of a face: the pixels of an original and of what was made of it, compared inside a box.

Differences say nothing here: a face that is dimmed, tinted, negative or moved is still shown. So structure is compared,
by normalised correlation in bands of detail. Brightness and contrast fall out of it, smooth skin weighs nothing, and
what another quality of coding does to it is small. Works on arrays; who has boxes of his own can use it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array

Luma = NDArray[np.float32]
Exposure = Literal["covered", "reversible", "clear"]
EXPOSURES: tuple[Exposure, ...] = ("covered", "reversible", "clear")
"""From good to bad."""

FACE_PX = 48
"""Faces are compared at this height, whatever their size."""
REACH = 0.3
"""How far beside its place a face is looked for, in heights of it."""
PATCH_PX = 2 * round(FACE_PX * (0.5 + REACH))
CORE = 0.86
"""Of the box is compared, an ellipse: the boxes of detectors differ by a little."""
FINE, MIDDLE, COARSE = (0.8, 1.7), (1.7, 3.5), (3.5, 7.0)
"""Bands: what lies between two blurs, in pixels of a face that is FACE_PX high; about 7, 3.5 and 1.8 cycles a face."""
WINDOW_PX = 3.5
"""Spread of the window in which likeness is told from place to place."""
NOISE, TEXTURE = 1.0, 5.0
"""Structure below so many grey levels is noise, and from so many on a place counts in full."""
LEAST_TEXTURE = 0.1
"""A face has structure in so much of its area at least; what shows the little that a flat one has shows little."""
ALIKE = 0.8
"""From this local correlation on the original is shown in a place."""
SHOWN = 0.36
"""A face is in clear from this part of its structure on."""
SAME, MOVED_SHOWN = 0.72, 0.26
"""A face that correlates so well somewhere near its place, and of which so much is alike there, is in clear."""
OPEN = 0.38
"""A face is in clear from this part of its area on that no cover reaches."""
OPEN_CORE = 0.95
"""What of the box counts for that."""
UNTOUCHED, UNTOUCHED_NOISE = 8.0, 3.0
"""A cover is where pixels differ by more than so many grey levels and so many times what coding changes."""
CLOSE_PX = 7
"""Holes of a cover in which it happens to be like the face are not wider than this."""
TRACES = (0.6, 0.1), (0.75, 0.03)
"""Correlation and gain from which on what is left of a band is a trace of it."""
DETAIL, DETAIL_PX = 0.75, 4.0
"""The detail of what no cover reaches, finer than this, correlates so well at least."""
DETAIL_GAIN = 0.65
"""And keeps so much of its contrast: a blur that is like smooth skin keeps less."""
MOST_NOISE = 6.0
MIRROR_PX = 4
LEAD = 0.12
"""A trace is of this very face if it is so much more like it than like the face mirrored, which is a face as well."""


@dataclass(frozen=True, slots=True)
class FaceEvidence:
    """What is left of one face in one frame.

    Attributes:
        shown: part of the face's structure that is there as it was, 0 to 1.
        uncovered: part of its area that no cover reaches, 0 to 1; 0 where nothing there could tell.
        moved: the highest correlation of both bands anywhere near the place, 0 to 1.
        shift: by how much x and y it is moved there, in heights of the face.
        middle, middle_gain: correlation of the middle band with what is in its place, -1 to 1, and how much of its
            contrast is left.
        fine, fine_gain: the same of the fine band.
        lead: by how much the middle band is more like the face than like the face mirrored.
    """

    shown: float
    uncovered: float
    moved: float
    shift: tuple[float, float]
    middle: float
    middle_gain: float
    fine: float
    fine_gain: float
    lead: float

    @property
    def clearness(self) -> float:
        """1 and above: the face is in clear."""
        return max(self.shown / SHOWN, self.uncovered / OPEN, min(self.moved / SAME, self.shown / MOVED_SHOWN))

    @property
    def trace(self) -> float:
        """1 and above: what is left is this face, so that it can be got back or recognised."""
        return self.likeness if self.lead >= LEAD else 0.0

    @property
    def likeness(self) -> float:
        """1 and above: what is left is like this face; perhaps like others as well."""
        return max(leak(self.middle, self.middle_gain), leak(self.fine, self.fine_gain))

    @property
    def badness(self) -> float:
        """How far the face is from being hidden; 1 and above: it is not."""
        return max(self.clearness, self.trace)

    @property
    def exposure(self) -> Exposure:
        """In one word."""
        if self.clearness >= 1:
            return "clear"
        return "reversible" if self.trace >= 1 else "covered"


def leak(correlation: float, gain: float) -> float:
    """How far what is left of a band is a trace of the original, and more than noise: 1 and above is a leak.

    A faint trace has to be a faithful one: noise and coding leave none that is.

    >>> leak(0.9, 0.3) > 1, leak(0.9, 0.01) > 1, leak(0.2, 0.3) > 1
    (True, False, False)
    """
    likeness, contrast = abs(correlation), abs(gain)
    return max(min(likeness / plain, contrast / least) for plain, least in TRACES)


def compare(original: Array, masked: Array, boxes: Array, *, noise: float | None = None) -> list[FaceEvidence]:
    """What is left of faces.

    Args:
        original: the picture, `(h, w)` luma or `(h, w, 3)` BGR, uint8.
        masked: what a tool made of it, of the same shape.
        boxes: `(n, 4)` x1 y1 x2 y2 of the faces in pixels.
        noise: by how many grey levels coding alone changes pixels; told from the pictures if None.

    Raises:
        ValueError: the pictures are not of one shape.

    >>> picture = np.random.default_rng(1).integers(0, 255, (96, 96), np.uint8)
    >>> box = np.array([[24.0, 24.0, 72.0, 72.0]])
    >>> [each.exposure for each in compare(picture, picture // 3 + 9, box) + compare(picture, picture * 0, box)]
    ['clear', 'covered']
    """
    if original.shape != masked.shape:
        raise ValueError(f"masked: expected a picture of {original.shape}, as the original is, got {masked.shape}")
    one, other = luma_of(original), luma_of(masked)
    changed = noise_between(one, other) if noise is None else noise
    return [evidence(patch(one, box), patch(other, box), changed) for box in np.asarray(boxes, float).reshape(-1, 4)]


def noise_between(original: NDArray[np.uint8], masked: NDArray[np.uint8]) -> float:
    """By how many grey levels most pixels of two pictures `(h, w)` differ, which is what coding changes.

    >>> noise_between(np.zeros((64, 64), np.uint8), np.full((64, 64), 2, np.uint8))
    2.0
    """
    step = max(1, min(original.shape) // 64)
    few = original[::step, ::step].astype(np.int16) - masked[::step, ::step]
    return min(float(np.median(np.abs(few))), MOST_NOISE)


def luma_of(picture: Array) -> NDArray[np.uint8]:
    """The luma `(h, w)` of a picture that is BGR `(h, w, 3)` or luma itself.

    >>> luma_of(np.full((1, 1, 3), 200, np.uint8)).tolist()
    [[200]]
    """
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture, np.uint8)


def patch(luma: Array, box: Array) -> Luma:
    """A face and its surroundings, `(PATCH_PX, PATCH_PX)` float32: the box x1 y1 x2 y2, stretched to FACE_PX.

    >>> patch(np.full((30, 30), 7, np.uint8), np.array([5, 5, 25, 25])).max().item()
    7.0
    """
    x1, y1, x2, y2 = (float(side) for side in box)
    width, height = max(x2 - x1, 2.0) / FACE_PX, max(y2 - y1, 2.0) / FACE_PX
    left, top = (x1 + x2) / 2 - width * PATCH_PX / 2, (y1 + y2) / 2 - height * PATCH_PX / 2
    # Only what is needed of a large picture is averaged before samples are taken, so that none falls between them.
    parts = max(1, int(min(width, height) + 0.5))
    if parts > 1:
        low = max(int(left) // parts, 0), max(int(top) // parts, 0)
        high = int(left + width * PATCH_PX) // parts + 2, int(top + height * PATCH_PX) // parts + 2
        piece = luma[low[1] * parts : high[1] * parts, low[0] * parts : high[0] * parts]
        rows, columns = piece.shape[0] // parts, piece.shape[1] // parts
        if min(rows, columns) < 1:
            return np.zeros((PATCH_PX, PATCH_PX), np.float32)
        luma = cv2.resize(piece[: rows * parts, : columns * parts], (columns, rows), interpolation=cv2.INTER_AREA)
        left, top = left / parts - low[0], top / parts - low[1]
        width, height = width / parts, height / parts
    to_picture = np.array([[width, 0, left + width / 2 - 0.5], [0, height, top + height / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (PATCH_PX, PATCH_PX)
    sampled = cv2.warpAffine(luma, to_picture, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)


def evidence(original: Luma, masked: Luma, noise: float = 0.0) -> FaceEvidence:
    """What is left of the face of one patch in another; noise as `compare` takes it.

    >>> same = np.random.default_rng(1).normal(128, 30, (PATCH_PX, PATCH_PX)).astype(np.float32)
    >>> negative = evidence(same, 255 - same)
    >>> round(negative.middle, 2), negative.exposure
    (-1.0, 'clear')
    """
    ones, others = bands(original), bands(masked)
    moved, (x, y) = _search(sum_of(ones), sum_of(others))
    shown = shown_part(sum_of(ones), sum_of(others))
    if (x, y) != (0, 0) and moved >= SAME / 2:
        back = np.roll(masked, (-y, -x), (0, 1))
        shown = max(shown, shown_part(sum_of(ones), sum_of(bands(back))))
    (fine, fine_gain), (middle, middle_gain) = (correlation(*pair) for pair in zip(ones, others, strict=True))
    lead = abs(middle) - mirrored(ones[1], others[1]) if abs(middle) >= LEAD else 0.0
    uncovered = uncovered_part(original, masked, noise)
    shift = x / FACE_PX, y / FACE_PX
    return FaceEvidence(shown, uncovered, moved, shift, middle, middle_gain, fine, fine_gain, lead)


def uncovered_part(original: Luma, masked: Luma, noise: float = 0.0) -> float:
    """The part of a face's area, 0 to 1, that lies outside of what was changed, and shows its finest detail.

    >>> face = np.random.default_rng(1).normal(128, 30, (PATCH_PX, PATCH_PX)).astype(np.float32)
    >>> half = np.where(np.arange(PATCH_PX) < PATCH_PX // 2, 0, face)
    >>> round(uncovered_part(face, half.astype(np.float32)), 1), uncovered_part(face, face * 0)
    (0.4, 0.0)
    """
    one, other = (np.asarray(cv2.GaussianBlur(each, (0, 0), FINE[0]), np.float32) for each in (original, masked))
    touched = (np.abs(one - other) > UNTOUCHED + UNTOUCHED_NOISE * noise).astype(np.uint8)
    side = np.ones((CLOSE_PX, CLOSE_PX), np.uint8)
    specks = cv2.morphologyEx(touched, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    closed = cv2.morphologyEx(np.pad(specks, CLOSE_PX), cv2.MORPH_CLOSE, side)[CLOSE_PX:-CLOSE_PX, CLOSE_PX:-CLOSE_PX]
    outside = np.asarray(ellipse(OPEN_CORE) * (closed == 0), np.float32)
    part = float(outside.sum() / ellipse(OPEN_CORE).sum())
    return part if part and _alike(one, other, outside) else 0.0


def _alike(one: Luma, other: Luma, where: Luma) -> bool:
    """The detail of two patches is the same there, and there is some. What lies elsewhere has no part in it."""
    room = cv2.GaussianBlur(where, (0, 0), DETAIL_PX) + np.float32(1e-6)
    own, theirs = (where * (each - cv2.GaussianBlur(where * each, (0, 0), DETAIL_PX) / room) for each in (one, other))
    energy = float((own * own).sum())
    if where.sum() < FACE_PX or energy < NOISE**2 * float(where.sum()):
        return False
    shared = float((own * theirs).sum())
    return shared >= max(DETAIL * float(np.sqrt(energy * float((theirs * theirs).sum()))), DETAIL_GAIN * energy)


def mirrored(one: Luma, other: Luma) -> float:
    """The highest correlation of one band, mirrored about the middle of its face or near it, with another."""
    turned = np.ascontiguousarray(one[:, ::-1])
    return max(abs(correlation(np.roll(turned, x, 1), other)[0]) for x in range(-MIRROR_PX, MIRROR_PX + 1, 2))


def bands(picture: Luma) -> tuple[Luma, Luma]:
    """The fine and the middle band of a patch."""
    sharp, soft, softer = (cv2.GaussianBlur(picture, (0, 0), spread) for spread in (FINE[0], MIDDLE[0], MIDDLE[1]))
    return np.asarray(sharp - soft), np.asarray(soft - softer)


def sum_of(both: Sequence[Luma]) -> Luma:
    fine, middle = both
    return np.asarray(fine + middle)


def correlation(one: Luma, other: Luma) -> tuple[float, float]:
    """Of two bands within the face, -1 to 1, and the gain from the one to the other."""
    weights = ellipse()
    own, cross = float((weights * one * one).sum()), float((weights * one * other).sum())
    theirs = float((weights * other * other).sum())
    quiet = NOISE**2 / 16 * float(weights.sum())
    return cross / float(np.sqrt((own + quiet) * (theirs + quiet))), cross / (own + quiet)


def shown_part(one: Luma, other: Luma) -> float:
    """The part of the structure of a face, 0 to 1, that is alike from place to place."""

    def around(picture: Luma) -> Luma:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), WINDOW_PX))

    own, theirs, cross = around(one * one), around(other * other), around(one * other)
    floor = (NOISE / 2) ** 2
    alike = np.abs(cross) >= ALIKE * np.sqrt((own + floor) * (theirs + floor))
    weights = ellipse() * np.clip((np.sqrt(own) - NOISE / 2) / TEXTURE, 0, 1)
    return float((weights * alike).sum() / max(float(weights.sum()), LEAST_TEXTURE * float(ellipse().sum())))


def _search(one: Luma, other: Luma) -> tuple[float, tuple[int, int]]:
    """The highest correlation of the middle of one patch anywhere in the other, and where, x and y."""
    inset = round(FACE_PX * (0.5 + REACH - CORE * 0.45))
    template = one[inset:-inset, inset:-inset]
    if template.std() < NOISE / 2:
        return 0.0, (0, 0)
    found = np.abs(cv2.matchTemplate(other, np.ascontiguousarray(template), cv2.TM_CCOEFF_NORMED))
    found[~np.isfinite(found)] = 0
    y, x = np.unravel_index(int(found.argmax()), found.shape)
    faint = _faint(other, int(x), int(y), template.shape[0], float(template.std()))
    return (0.0 if faint else float(found[y, x])), (int(x) - inset, int(y) - inset)


def _faint(other: Luma, x: int, y: int, side: int, contrast: float) -> bool:
    """What was found is no more than the grain of a plain cover."""
    left = float(other[y : y + side, x : x + side].std())
    return left < max(NOISE / 2, contrast / 20)


@cache
def ellipse(core: float = CORE) -> Luma:
    """Weights of a face within a patch, 0 or 1: that much of its box."""
    middle, half = (PATCH_PX - 1) / 2, FACE_PX * core / 2
    y, x = np.mgrid[0:PATCH_PX, 0:PATCH_PX]
    return np.asarray((((x - middle) / half) ** 2 + ((y - middle) / half) ** 2) <= 1, np.float32)
