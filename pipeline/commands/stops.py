"""What ends a command from outside: Ctrl-C, SIGTERM as of `docker stop`, SIGHUP as of a lost terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

ENDING = (signal.SIGTERM, signal.SIGHUP)


class Stopped(SystemExit):
    """A signal has ended the command; its exit code is 128 and the signal's number.

    >>> Stopped(15).code
    143
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


def at_once() -> bool:
    """Nothing is left to end in an orderly way."""
    return False


class StopSignals:
    """Answers signals while it is entered. A signal that is ignored stays so, as with `nohup`.

    Args:
        ask: is called for each signal; true where the work then ends in an orderly way by itself, else it is left by
            a KeyboardInterrupt, for nothing else comes through Ray, which is made a `Stopped` where it is exited.
        ctrl_c: answer Ctrl-C too.
    """

    def __init__(self, ask: Callable[[], bool] = at_once, *, ctrl_c: bool = False) -> None:
        self._ask = ask
        self._numbers = [*ENDING, signal.SIGINT] if ctrl_c else [*ENDING]
        self._before: dict[int, Any] = {}
        self._left_by = 0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in self._numbers:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN or number == signal.SIGINT:
                    self._before[number] = before
            self.hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._left_by and isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise Stopped(self._left_by) from error

    def hold(self) -> None:
        """Takes the signals back, from libraries that install handlers of their own."""
        for number in self._before:
            signal.signal(number, self._answer)

    def _answer(self, number: int, _: FrameType | None) -> None:
        if not self._ask():
            self._left_by = number
            raise KeyboardInterrupt
