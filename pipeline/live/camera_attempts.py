"""When a camera is tried again, and what is said meanwhile. Life is measured on pictures: nothing else counts."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipeline.live.events import Emit, Event, EventKind

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
DENIED_PAUSES_S = (60.0, 300.0, 900.0, 1800.0)
"""After each login that a camera refused; cameras lock accounts after five, so that was all."""
GRACE_S = 5.0
"""Without pictures for longer than that, something is missing."""


class CameraAttempts:
    """The attempts to read one camera.

    Args:
        stream: its name within the run.
        emit: gets an event whenever the camera falls silent, is lost, refuses, or is back.
        worked: pictures came in a former life.
        clock: seconds.

    Attributes:
        trouble: why nothing comes right now.
    """

    def __init__(
        self, stream: str, emit: Emit, *, worked: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.trouble = ""
        self._stream, self._emit, self._worked, self._clock = stream, emit, worked, clock
        self._pause_s, self._denials = FIRST_PAUSE_S, 0
        self._began_s = self._seen_s = clock()
        self._pictures = self._silent = False

    def begin(self) -> None:
        """It is tried now."""
        self._began_s, self._pictures = self._clock(), False

    def picture(self) -> None:
        """A picture came."""
        away_s = self._clock() - self._seen_s
        if self.trouble or self._silent:
            self._say(EventKind.BACK, f"pictures come again after {away_s:.1f} s")
            if self._worked and away_s > GRACE_S:
                self._say(EventKind.GAP, f"{away_s:.1f} s without pictures")
        self._seen_s, self._pictures, self._worked = self._clock(), True, True
        self.trouble, self._silent, self._denials = "", False, 0

    def silent(self) -> None:
        """It is connected, and no picture comes."""
        self._silent = True
        self._say(EventKind.SILENT, f"no picture for {self._clock() - max(self._seen_s, self._began_s):.1f} s")

    def fail(self, detail: str, *, denied: bool) -> float | None:
        """The pause until the next attempt in seconds; None where there is none.

        Args:
            denied: it refused the login, or has nothing there.
        """
        self.trouble = detail
        if denied:
            self._denials += 1
            if not self._worked or self._denials > len(DENIED_PAUSES_S):
                self._say(EventKind.REFUSED, f"{detail}; not tried again")
                return None
            pause_s = DENIED_PAUSES_S[self._denials - 1]
            self._say(EventKind.REFUSED, f"{detail}; trying again in {pause_s:g} s")
            return pause_s
        if self._pictures and self._clock() - self._began_s > self._pause_s:
            self._pause_s = FIRST_PAUSE_S
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, LONGEST_PAUSE_S)
        self._say(EventKind.LOST, f"{detail}; trying again in {pause_s:.1f} s")
        return pause_s

    @property
    def reason(self) -> str:
        """Why its stream is not whole, if it ends now: what it still suffers from, though that may have just begun."""
        silent = f"no picture for {self._clock() - self._seen_s:.1f} s" if self._silent else ""
        return self.trouble or silent

    def _say(self, kind: EventKind, reason: str) -> None:
        self._emit(Event(kind, reason, self._stream))
