"""Covers the faces in a photo by the steps of a config; a photo that could not be looked at is not given out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines import FrameError
from operators import Operator
from operators.arrays import Array
from operators.frame import Cover, to_bgr
from operators.paint.cpu import paint
from operators.stills import frame_of
from pipeline.config import Config
from pipeline.live.lookahead import LookAhead, PendingFrame
from pipeline.live.release import attempt
from pipeline.live.steps import open_steps
from pipeline.media.clock import FrameStamp

STREAM = "photo"
ALIGNED_PX = 2
"""Planes of colour are so much coarser."""
_ROWS = 256


@dataclass(frozen=True, eq=False, slots=True)
class MaskedPhoto:
    """What is given out.

    Attributes:
        image: `(h, w, 3)` uint8 BGR.
        faces, kept: how many are covered, and how many a keep-list leaves visible.
    """

    image: NDArray[np.uint8]
    faces: int
    kept: int


class PhotoMasker:
    """The opened steps of a config, for one photo after the other. A context manager.

    Args:
        steps: operators by name; `config`'s own, opened, if None.

    Raises:
        ConfigError, EngineError: as `open_steps`.
    """

    def __init__(self, config: Config, steps: Mapping[str, Operator] | None = None) -> None:
        self._operators = dict(steps) if steps is not None else open_steps(config)

    def __enter__(self) -> PhotoMasker:
        return self

    def __exit__(self, *_: object) -> None:
        """Some libraries want to be closed, and raise at the interpreter's exit otherwise."""
        for operator in self._operators.values():
            close = getattr(operator, "close", None)
            if close is not None:
                close()

    def mask(self, image: NDArray[np.uint8]) -> MaskedPhoto:
        """The photo `(h, w, 3)` BGR with its faces covered; where nothing was painted its pixels stay as they are.

        Raises:
            FrameError: a step failed on it, or no detector looked at it.
        """
        lookahead = LookAhead(STREAM, self._operators, lambda _: nullcontext())
        lookahead.begin({})
        pending = PendingFrame(frame_of(image, stream=STREAM), FrameStamp(0, 1), 0, 0, 0)
        before = tuple(plane.copy() for plane in pending.frame.picture.planes)
        attempt(pending, lambda frame: lookahead.look(frame, lag_s=0.0))
        if not pending.failed:
            attempt(pending, lambda frame: _settle_and_paint(frame, lookahead))
        lookahead.forget()
        if pending.failed:
            raise FrameError(pending.failed)
        frame = pending.frame
        height, width = image.shape[:2]
        painted = to_bgr(frame.picture)[:height, :width]
        masked = image.copy()
        _take_over(masked, painted, before, frame.picture.planes)
        for cover in frame.covers:
            x1, y1, x2, y2 = _reach(cover, width, height)
            masked[y1:y2, x1:x2] = painted[y1:y2, x1:x2]
        kept = int(frame.faces.kept.sum())
        return MaskedPhoto(masked, len(frame.faces) - kept, kept)


def _settle_and_paint(pending: PendingFrame, lookahead: LookAhead) -> None:
    pending.frame = lookahead.settle(pending.frame)
    if not pending.frame.examined:
        raise FrameError("no detector has looked at this photo")
    paint(pending.frame)


def _take_over(
    masked: NDArray[np.uint8], painted: NDArray[np.uint8], before: Sequence[Array], after: Sequence[Array]
) -> None:
    """Each pixel of which a sample was painted, some rows at a time: a photo may be very large."""
    for top in range(0, len(masked), _ROWS):
        rows = slice(top, top + _ROWS)
        halves = slice(top // ALIGNED_PX, (top + _ROWS) // ALIGNED_PX)
        luma = before[0][rows] != after[0][rows]
        chroma = np.logical_or(*(old[halves] != new[halves] for old, new in zip(before[1:], after[1:], strict=True)))
        changed = luma | chroma.repeat(ALIGNED_PX, axis=0).repeat(ALIGNED_PX, axis=1)
        height, width = masked[rows].shape[:2]
        np.copyto(masked[rows], painted[rows], where=changed[:height, :width, None])


def _reach(cover: Cover, width: int, height: int) -> tuple[int, int, int, int]:
    """All pixels that a cover changes, its soft edge included, as x1 y1 x2 y2 within the picture.

    >>> _reach(Cover((10, 10, 20, 30), feather=0.1), 100, 25)
    (6, 6, 24, 25)
    """
    x1, y1, x2, y2 = cover.box
    across, down = (x2 - x1) * cover.feather, (y2 - y1) * cover.feather
    low = (int(np.floor(side / ALIGNED_PX)) - 1 for side in (x1 - across, y1 - down))
    high = (int(np.ceil(side / ALIGNED_PX)) + 1 for side in (x2 + across, y2 + down))
    (left, top), (right, bottom) = (tuple(side * ALIGNED_PX for side in sides) for sides in (low, high))
    return max(0, left), max(0, top), min(width, right), min(height, bottom)
