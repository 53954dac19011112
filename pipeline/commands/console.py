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
from pipeline.sealing import RecoveryRefused

WIDE = None if sys.stdout.isatty() else 140
console = Console(width=WIDE)
errors = Console(stderr=True, width=WIDE)

WRONG = 2
"""Exit code: nothing was started, for something asked for cannot be."""
REFUSED = 1
"""Exit code: a key, a seal, a share or a log is not what is needed."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """A user's mistake is one sentence, not a traceback."""
    try:
        yield
    except FacewardenError as error:
        errors.print(f"[red]error:[/red] {escape(readable(str(error)))}", highlight=False, soft_wrap=True)
        raise typer.Exit(REFUSED if isinstance(error, RecoveryRefused) else WRONG) from error
