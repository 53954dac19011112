"""When a run that reads files gives up on a disk that stays full, or a broker that stays away."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pipeline.live.events import Event, EventKind
from pipeline.live.outputs import UnfinishedRun
from pipeline.live.progress import StreamProgress

STALL_S = 120.0
"""So long nothing may move while something is wrong."""
FRESH_S = 40.0
"""What is wrong is said again within that time for as long as it is: a call to a broker that says nothing is given up
after half a minute."""


class StallWatch:
    """Looks on while a run is driven. A camera's run never gives up: it goes on when there is room again."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._trouble, self._heard_s = "", 0.0
        self._moved_s, self._reached = time.monotonic(), (-1, -1)

    def hear(self, event: Event) -> None:
        """Takes every event of the run."""
        if event.kind in (EventKind.FULL, EventKind.BROKER):
            self._trouble, self._heard_s = event.reason.removesuffix("; trying again"), time.monotonic()

    def look(self, progress: Sequence[StreamProgress], ended: int) -> None:
        """Called several times a second, with how far the streams are and how many have ended.

        Raises:
            UnfinishedRun: nothing has moved for too long, and there is a reason.
        """
        now, reached = time.monotonic(), (sum(item.shown + item.withheld for item in progress), ended)
        if reached != self._reached or now - self._heard_s > FRESH_S or not self._trouble:
            self._reached, self._moved_s = reached, now
        if not self._live and now - self._moved_s > STALL_S:
            raise UnfinishedRun(
                f"nothing has moved for {STALL_S:g} s: {self._trouble}; what is done is kept, the same command goes on"
            )
