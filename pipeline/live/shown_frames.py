"""Which frames a file of masked video shows, so that exactly their seals are put beside it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from pipeline.wire import Packet

FrameRun = tuple[int, int, int]
"""Epoch, index of the first frame, and how many there are."""


class ShownFrames:
    """Grows as the packets of a file are written. The same frame may be in `masked` twice, in two epochs: a file shows
    one of them, whose seals are those of that epoch.

    Args:
        runs: as `runs` gives them.
        seals: of these frames.

    Attributes:
        seals: how many all of the frames have.
    """

    def __init__(self, runs: Sequence[Sequence[int]] = (), seals: int = 0) -> None:
        self._runs = [list(run) for run in runs]
        self.seals = seals

    def __len__(self) -> int:
        return sum(count for *_, count in self._runs)

    def __contains__(self, frame: tuple[int, int]) -> bool:
        """Whether the frame of that epoch and index is shown; not while packets are still added."""
        epoch, index = frame
        at = bisect_right(self._runs, [epoch, index], key=lambda run: run[:2]) - 1
        return at >= 0 and self._runs[at][0] == epoch and index < sum(self._runs[at][1:])

    def add(self, packet: Packet) -> None:
        """A packet of the video, in decoding order."""
        self.seals += packet.seals
        if packet.key:
            self._join()
        last = self._runs[-1] if self._runs else None
        if last is not None and last[0] == packet.epoch and sum(last[1:]) == packet.number:
            last[2] += 1
        else:
            self._runs.append([packet.epoch, packet.number, 1])

    def runs(self) -> list[FrameRun]:
        """All frames, in the order of showing.

        >>> shown = ShownFrames()
        >>> for number in (7, 10, 8, 9):
        ...     shown.add(Packet(epoch=2, number=number, seals=1))
        >>> shown.runs(), shown.seals, (2, 9) in shown, (1, 9) in shown
        ([(2, 7, 4)], 4, True, False)
        """
        self._join()
        return [(epoch, first, count) for epoch, first, count in self._runs]

    def _join(self) -> None:
        """Frames come in decoding order: what lay apart for the sake of B-frames becomes one run again."""
        joined: list[list[int]] = []
        for epoch, first, count in sorted(self._runs):
            if joined and joined[-1][0] == epoch and sum(joined[-1][1:]) == first:
                joined[-1][2] += count
            else:
                joined.append([epoch, first, count])
        self._runs = joined
