"""What a whole track gives away: frames of one face, laid over one another, against the face that they hide.

Noise that differs from frame to frame, and a grid that wanders over a face, average out; what stays is the face. So a
track is judged by its frames together as well: by what an attacker gets who does no more than add them up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.judging.pixels import (
    EXPOSURES,
    FACE_PX,
    LEAD,
    PATCH_PX,
    Exposure,
    FaceEvidence,
    Luma,
    bands,
    correlation,
    leak,
    mirrored,
)

DEPTHS = (1, 4, 16, 32)
"""Frames that are laid over one another."""
ALIGN_PX = 5
"""By so much, of FACE_PX, the boxes of one face jump from frame to frame at most."""
ALIGNED = 0.6
"""Frames of the original that correlate less with the first one show another side of the face, and are left out."""
AT_ONCE = 1.2
"""A single frame is in clear, or a trace, from this on; several frames in a row from 1 on, in the mean."""
WINDOW, LEAST_FRAMES, TOGETHER = 7, 3, 0.85
"""Frames in a row that are judged together, how many there must be, and what they must reach in the mean."""


@dataclass(slots=True)
class FaceStack:
    """The first frames of a track that look covered, as patches of FACE_PX, shifted onto one another."""

    original: list[NDArray[np.uint8]] = field(default_factory=list)
    masked: list[NDArray[np.uint8]] = field(default_factory=list)

    def add(self, original: Luma, masked: Luma) -> None:
        """Takes a frame, unless there are enough or the face has turned."""
        if len(self.original) >= DEPTHS[-1]:
            return
        if self.original:
            found = _shift(self.original[0].astype(np.float32), original)
            if found is None:
                return
            original, masked = (np.roll(each, found, (0, 1)) for each in (original, masked))
        self.original.append(np.clip(np.rint(original), 0, 255).astype(np.uint8))
        self.masked.append(np.clip(np.rint(masked), 0, 255).astype(np.uint8))

    def mean(self, depth: int) -> tuple[Luma, Luma]:
        """The means of the first frames, of the original and of what hides it: `(PATCH_PX, PATCH_PX)` float32 each."""
        return _mean(self.original[:depth]), _mean(self.masked[:depth])


@dataclass(frozen=True, slots=True)
class StackLeak:
    """What so many frames of a track give away.

    Attributes:
        depth: how many frames.
        correlation: of their mean with the hidden face, in the middle band.
        lead: by how much that is more than with any other face: mirrored, or of another track.
        trace: 1 and above where the face can be got back.
    """

    depth: int
    correlation: float
    lead: float
    trace: float


def stack_leaks(stack: FaceStack, others: Sequence[FaceStack] = ()) -> list[StackLeak]:
    """What the frames of a track give away, at each of DEPTHS that it has."""
    strangers = [bands(other.mean(DEPTHS[-1])[0])[1] for other in others if other.original]
    leaks = []
    for depth in (depth for depth in DEPTHS if depth <= len(stack.original)):
        face, cover = stack.mean(depth)
        (_, own), (_, hidden) = bands(face), bands(cover)
        likeness, gain = correlation(own, hidden)
        decoy = max([mirrored(own, hidden), *(abs(correlation(each, hidden)[0]) for each in strangers)])
        lead = abs(likeness) - decoy
        leaks.append(StackLeak(depth, likeness, lead, leak(likeness, gain) if lead >= LEAD else 0.0))
    return leaks


def exposures(evidence: Sequence[FaceEvidence]) -> list[Exposure]:
    """What each frame of a track is, in its order: strong evidence stands alone, weaker evidence by its neighbours.

    >>> nothing = FaceEvidence(0.0, 0.0, 0.0, (0, 0), 0.0, 0.0, 0.0, 0.0, 0.0)
    >>> weak = FaceEvidence(0.38, 0.0, 0.0, (0, 0), 0.0, 0.0, 0.0, 0.0, 0.0)
    >>> exposures([nothing, weak, nothing]), exposures([weak] * 3)
    (['covered', 'covered', 'covered'], ['clear', 'clear', 'clear'])
    """
    clear = np.array([each.clearness for each in evidence])
    likeness = np.array([each.likeness for each in evidence])
    lead = np.array([each.lead for each in evidence])
    alone = np.array([each.trace for each in evidence])
    found: list[Exposure] = []
    for at in range(len(evidence)):
        first = max(0, min(at - WINDOW // 2, len(evidence) - WINDOW))
        near = slice(first, first + WINDOW)
        several = len(clear[near]) >= LEAST_FRAMES
        if clear[at] >= AT_ONCE or (several and clear[at] >= TOGETHER / 2 and clear[near].mean() >= TOGETHER):
            found.append("clear")
        elif alone[at] >= AT_ONCE or (
            several and likeness[at] >= TOGETHER / 2 and likeness[near].mean() >= 1 and lead[near].mean() >= LEAD
        ):
            found.append("reversible")
        else:
            found.append("covered")
    return found


def worst(found: Sequence[Exposure]) -> Exposure:
    """The worst of some; covered if there is none.

    >>> worst(["covered", "clear", "reversible"]), worst([])
    ('clear', 'covered')
    """
    return max(found, key=EXPOSURES.index, default="covered")


def _shift(reference: Luma, original: Luma) -> tuple[int, int] | None:
    """By how many rows and columns a patch lies beside another one of the same face; None if it is unlike it."""
    margin = PATCH_PX // 2 - FACE_PX // 2 + 2
    middle = np.ascontiguousarray(reference[margin:-margin, margin:-margin])
    reach = np.ascontiguousarray(original[margin - ALIGN_PX : ALIGN_PX - margin, margin - ALIGN_PX : ALIGN_PX - margin])
    if middle.std() < 1 or reach.std() < 1:
        return None
    _, peak, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(reach, middle, cv2.TM_CCOEFF_NORMED))
    return (ALIGN_PX - y, ALIGN_PX - x) if peak >= ALIGNED else None


def _mean(patches: Sequence[NDArray[np.uint8]]) -> Luma:
    return np.asarray(np.mean(np.stack(patches), axis=0), np.float32)
