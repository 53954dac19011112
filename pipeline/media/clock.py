"""When the pictures of an epoch are shown, by the clock of their source; and by a clock that decisions may rest on.

A source's clock may stand, crawl or be a label that somebody put on it. It says when pictures are shown, and goes into
the result as it is. What is looked at when is decided by a `SceneClock`, which takes the source's word only as far as
it can be true.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heappop, heappush

from pipeline.wire import Head, Packet, fraction

JUMP_S, PAUSE_S, BACK_S, LOST_S = 10.0, 300.0, 1.0, 86_400.0
"""The clock of a camera has jumped when it steps further forward than the first. In a file whose clock may jump, a step
up to the second is a pause: a time-lapse, or a recorder that was off. Any clock has jumped when it steps further back
than the third, or forward by a day: no recording rests for so long, but broken files say so."""
USUAL_RATE = Fraction(25)
USUAL_BASE = Fraction(1, 90_000)
"""Of a source that states no rate, or no time base."""

SHORTEST_STEP_S = 0.016
"""No two pictures are closer by the scene clock: 60 a second are believed, rounded to milliseconds."""
CRAWL_STEP_S = 0.015
"""A source whose last steps are shorter on average, which is more than 66 pictures a second, has no clock: it looks
like one that crawls, and hardly anything happens in such a time."""
NOMINAL_STEP_S = 1 / 30
"""How far apart the pictures of such a source are taken to be."""
STEPS = 8
"""So many steps are judged together."""
SLACK_S = 0.25
"""So far the scene clock may run ahead of a source that delivers in bursts, and be caught up with again."""


@dataclass(frozen=True, slots=True)
class FrameStamp:
    """When a picture is shown.

    Attributes:
        pts, duration: in ticks of the source.
        jumped: the clock jumped before it.
        scene_s: the same in seconds of a clock that never stands or crawls.
    """

    pts: int
    duration: int
    jumped: bool = False
    scene_s: float = field(default=0.0, compare=False)


class SceneClock:
    """Seconds that decisions may rest on: those of the source where they can be true, else a plausible step a picture.

    Between two pictures lie at least SHORTEST_STEP_S, so a period of it is bounded in pictures as well: 200 ms are
    never more than 13 of them, whatever the source says. A source that truly has more than 66 pictures a second is
    looked at more often than its clock asks for.

    Args:
        rate: pictures a second that the source states; 0 where it does not.
        before: of the picture before, in an earlier life: its time by the source, and by this clock.

    >>> clock = SceneClock(Fraction(25))
    >>> [clock.at(time_s) for time_s in (5.0, 5.04, 5.0401)]
    [5.0, 5.04, 5.056]
    """

    def __init__(self, rate: Fraction, before: tuple[float, float] | None = None) -> None:
        self._crawls = float(rate) * CRAWL_STEP_S > 1
        self._steps = deque[float](maxlen=STEPS)
        self._before = before
        self._offset_s = 0.0 if before is None else before[1] - before[0]

    def at(self, source_s: float, *, jumped: bool = False) -> float:
        """When the next picture is shown.

        Args:
            source_s: the same by the source.
            jumped: the source's clock jumped before it: this one follows.
        """
        if self._before is None or jumped:
            self._steps.clear()
            self._offset_s, scene_s = 0.0, source_s
        else:
            before_s, scene_before_s = self._before
            self._steps.append(source_s - before_s)
            if len(self._steps) == STEPS:
                self._crawls = sum(self._steps) < STEPS * CRAWL_STEP_S
            least_s = NOMINAL_STEP_S if self._crawls else SHORTEST_STEP_S
            scene_s = max(scene_before_s + least_s, source_s + self._offset_s)
            self._offset_s = max(self._offset_s, scene_s - source_s - SLACK_S)
        self._before = source_s, scene_s
        return scene_s


class FrameClock:
    """Stamps the pictures of one epoch, in the order of showing: each later than the one before, unless it jumped.

    Args:
        head: of the epoch.
        last_pts: of the last picture that was stamped in an earlier life; None if there was none.
        scene_s: of the same picture by the scene clock; None if that was not stored.
        index: how many were stamped in an earlier life.

    >>> clock = FrameClock(Head(timed=False))
    >>> [clock.stamp(Packet()).pts for _ in range(3)]
    [0, 3600, 7200]
    """

    def __init__(
        self, head: Head, *, last_pts: int | None = None, scene_s: float | None = None, index: int = 0
    ) -> None:
        self.base = fraction(head.time_base) or USUAL_BASE
        self.index = index
        self._timed = head.timed
        self._longest_s = (JUMP_S if head.live else PAUSE_S) if head.clock_may_jump else LOST_S
        self._tick = 1 / (fraction(head.rate) or USUAL_RATE) / self.base
        self._last_pts = last_pts
        self._slots: list[int] = []
        before_s = None if last_pts is None else self.seconds(last_pts)
        before = None if before_s is None else (before_s, before_s if scene_s is None else scene_s)
        self._scene = SceneClock(fraction(head.rate), before)

    def stamp(self, packet: Packet) -> FrameStamp:
        """The stamp of the next picture, whose packet this is."""
        tick, before = max(1, round(self._tick)), self._last_pts
        index, self.index = self.index, self.index + 1
        if not self._timed:
            self._last_pts = self._slot(before, round(index * self._tick))
            return FrameStamp(self._last_pts, tick, False, self._scene.at(self.seconds(self._last_pts)))
        pts = packet.pts if packet.HasField("pts") else (before + tick if before is not None else 0)
        jumped = False
        if before is not None:
            step_s = float((pts - before) * self.base)
            jumped = step_s < -BACK_S or step_s > self._longest_s
            if step_s <= 0 and not jumped:
                pts = before + 1  # two pictures at one instant: the later one shows a tick later
        self._last_pts = pts
        return FrameStamp(pts, packet.duration or tick, jumped, self._scene.at(self.seconds(pts), jumped=jumped))

    def expect(self, packet: Packet) -> None:
        """A packet is decoded: of a source that states only when, its pictures are shown at these times, in order.

        >>> clock = FrameClock(Head(timed=False))
        >>> for dts in (0, 7200, 10800):
        ...     clock.expect(Packet(dts=dts))
        >>> [clock.stamp(Packet()).pts for _ in range(3)]
        [0, 7200, 10800]
        """
        if not self._timed and packet.HasField("dts"):
            heappush(self._slots, packet.dts)

    def _slot(self, before: int | None, counted: int) -> int:
        """When a picture is shown that has no time of its own: the earliest that is free, else as it is counted."""
        while self._slots and before is not None and self._slots[0] <= before:
            heappop(self._slots)
        return heappop(self._slots) if self._slots else counted if before is None else max(counted, before + 1)

    def seconds(self, pts: int) -> float:
        """A time of this clock in seconds."""
        return float(pts * self.base)
