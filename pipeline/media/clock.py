"""When the pictures of an epoch are shown, by the clock of their source."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from pipeline.wire import Head, Packet, fraction

JUMP_S, BACK_S = 10.0, 1.0
"""A clock that may jump has jumped when it steps further forward, or any clock when it steps further back."""
USUAL_RATE = Fraction(25)
USUAL_BASE = Fraction(1, 90_000)
"""Of a source that states no rate, or no time base."""


@dataclass(frozen=True, slots=True)
class FrameStamp:
    """When a picture is shown.

    Attributes:
        pts, duration: in ticks of the source.
        jumped: the clock jumped before it.
    """

    pts: int
    duration: int
    jumped: bool = False


class FrameClock:
    """Stamps the pictures of one epoch, in the order of showing: each later than the one before, unless it jumped.

    Args:
        head: of the epoch.
        last_pts: of the last picture that was stamped in an earlier life; None if there was none.
        index: how many were stamped in an earlier life.

    >>> clock = FrameClock(Head(timed=False))
    >>> [clock.stamp(Packet()).pts for _ in range(3)]
    [0, 3600, 7200]
    """

    def __init__(self, head: Head, *, last_pts: int | None = None, index: int = 0) -> None:
        self.base = fraction(head.time_base) or USUAL_BASE
        self.index = index
        self._timed, self._may_jump = head.timed, head.clock_may_jump
        self._tick = 1 / (fraction(head.rate) or USUAL_RATE) / self.base
        self._last_pts = last_pts

    def stamp(self, packet: Packet) -> FrameStamp:
        """The stamp of the next picture, whose packet this is."""
        tick, before = max(1, round(self._tick)), self._last_pts
        index, self.index = self.index, self.index + 1
        if not self._timed:
            self._last_pts = round(index * self._tick)
            return FrameStamp(self._last_pts, tick)
        pts = packet.pts if packet.HasField("pts") else (before + tick if before is not None else 0)
        jumped = False
        if before is not None:
            step_s = float((pts - before) * self.base)
            jumped = step_s < -BACK_S or (self._may_jump and step_s > JUMP_S)
            if step_s <= 0 and not jumped:
                pts = before + 1  # two pictures at one instant: the later one shows a tick later
        self._last_pts = pts
        return FrameStamp(pts, packet.duration or tick, jumped)

    def seconds(self, pts: int) -> float:
        """A time of this clock in seconds."""
        return float(pts * self.base)
