"""A clock for tests, in place of the module `time`."""

from __future__ import annotations


class Clock:
    """Time that passes by sleeping only.

    Attributes:
        naps: how long was slept each time, in seconds.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(round(seconds, 6))
        self.now += seconds
