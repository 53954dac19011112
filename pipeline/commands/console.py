"""What all commands print with, and how a user's mistake is reported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from engines import FacewardenError
from pipeline.jail.machine import missing
from pipeline.jail.protocol import readable
from pipeline.private.names import scrubbed
from pipeline.sealing import RecoveryRefused

WIDE = None if sys.stdout is not None and sys.stdout.isatty() else 140  # it is None where it was closed
console = Console(width=WIDE)
errors = Console(stderr=True, width=WIDE)


def plain(words: str) -> str:
    """Words of a stranger, such as a file's name, as text that neither a terminal nor markup takes for a command.

    >>> plain("[red]walk" + chr(27) + ".mp4")
    '\\\\[red]walk?.mp4'
    """
    return escape(readable(words))


WRONG = 2
"""Exit code: nothing was started, for something asked for cannot be."""
REFUSED = 1
"""Exit code: a key, a seal, a share or a log is not what is needed."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """A user's mistake is one sentence, not a traceback; so is a file or folder that cannot be used."""
    try:
        yield
    except (FacewardenError, OSError) as error:
        words = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            words = f"{error.filename}: {error.strerror}"
        errors.print(f"[red]error:[/red] {escape(readable(scrubbed(words)))}", highlight=False, soft_wrap=True)
        raise typer.Exit(REFUSED if isinstance(error, RecoveryRefused) else WRONG) from error


def say_what_is_missing() -> None:
    """One line, once, where this machine's kernel or libraries hold a hostile video back less than others do."""
    if lacking := missing():
        errors.print(f"note: {escape(lacking)}", highlight=False, soft_wrap=True)
