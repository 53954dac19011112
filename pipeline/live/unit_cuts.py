"""Where a unit, what is worked on and committed at once, may end."""

from __future__ import annotations

from fractions import Fraction

from pipeline.live.masked_output import LIVE_UNIT

UNIT_FRAMES = 32
"""A unit ends at the first keyframe after this many frames (or a second), so that short GOPs share an encoder."""
LONGEST_UNIT = 96
"""And here at the latest: it bounds what a crash repeats, and memory."""
UNIT_S = 1
LONGEST_UNIT_PACKETS = 1024
"""And where so many packets of all tracks have come: sound waits for the pictures, and what waits is stored."""


class UnitCuts:
    """Counts the frames of the unit that arrives.

    >>> cuts = UnitCuts()
    >>> times = [Fraction(number, 100) for number in range(100)]
    >>> [cuts.before(key=time_s * 100 % 40 == 0, time_s=time_s, low_latency=False) for time_s in times].index(True)
    40
    """

    def __init__(self) -> None:
        self._frames = 0
        self._began_s: Fraction | None = None
        self._first = 0

    def before(self, *, key: bool, time_s: Fraction, low_latency: bool, number: int = 0, forced: bool = False) -> bool:
        """Whether a unit ends before the frame that now comes.

        Args:
            key: its picture is that of a keyframe.
            time_s: when it is shown.
            number: of its packet, all tracks counted.
            low_latency: units are cut by frames and time alone, since the encoder makes keyframes of its own.
            forced: it begins a new epoch.
        """
        full = self._frames > 0 and number - self._first >= LONGEST_UNIT_PACKETS
        cut = forced or full or self._may_cut(key, time_s, low_latency)
        if cut or self._began_s is None:
            self._frames, self._began_s, self._first = 0, time_s, number
        self._frames += 1
        return cut

    def _may_cut(self, key: bool, time_s: Fraction, low_latency: bool) -> bool:
        if self._frames == 0:
            return False
        long = self._began_s is not None and time_s - self._began_s >= UNIT_S
        if low_latency:
            return self._frames >= LIVE_UNIT or long
        return self._frames >= LONGEST_UNIT or (key and (self._frames >= UNIT_FRAMES or long))
