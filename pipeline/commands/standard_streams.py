"""Stdin, stdout and stderr as a shell may leave them: closed, full, or with a reader that has gone.

What a command prints is not what it is for: videos that were masked are whole whether or not anybody reads the table.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TextIO

LOST = 1
"""Exit code of what went well, but for what was to be printed."""
_READER_GONE = (errno.EPIPE, errno.ECONNRESET)


class StandardStream(io.TextIOWrapper):
    """Text of which the rest is dropped where it cannot be written any more.

    Args:
        stream: is taken over, and of no use any more.

    Attributes:
        lost: why something of it is lost; empty if nothing is, or the reader just had enough.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self.lost = ""
        encoding, words, at_lines = stream.encoding, stream.errors, stream.line_buffering
        super().__init__(stream.detach(), encoding, words, line_buffering=at_lines)

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        """What is buffered still, and what comes, goes nowhere: Python flushes once more at its end."""
        if error.errno not in _READER_GONE:
            self.lost = self.lost or error.strerror or str(error)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def hold_standard_streams() -> None:
    """Opens those that are closed, for else the next file that is opened takes their place and gets what is printed;
    and lets the others be lost without ending the command."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = _held(sys.stdout, 1)
    sys.stderr = _held(sys.stderr, 2)


def _held(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:
        return open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    return StandardStream(stream) if isinstance(stream, io.TextIOWrapper) else stream


def code_after_printing(code: int) -> int:
    """The exit code, after all is printed that can be: another than 0 says more than that stdout was lost.

    Args:
        code: of the work.
    """
    sys.stdout.flush()
    if not isinstance(sys.stdout, StandardStream) or not sys.stdout.lost:
        return code
    sys.stderr.write(f"error: stdout: cannot be written to ({sys.stdout.lost}); what was printed is lost\n")
    return code or LOST
