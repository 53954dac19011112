"""What all commands print with, and how a user's mistake is reported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from engines import FacewardenError
from pipeline.jail.protocol import readable
from pipeline.private.names import scrubbed

WIDE = None if sys.stdout.isatty() else 140
console = Console(width=WIDE)
errors = Console(stderr=True, width=WIDE)

WRONG = 2
"""Exit code: nothing was started, for something asked for cannot be."""


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
        raise typer.Exit(WRONG) from error
