"""`facewarden log`: who recovered which faces, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipeline.commands.console import console, plain_errors
from pipeline.jail.protocol import readable

log_app = typer.Typer(no_args_is_help=True, help="The log of recoveries.")


@log_app.callback()
def group() -> None:
    """The log of recoveries."""


@log_app.command("verify")
@plain_errors()
def verify_log(
    log: Annotated[Path, typer.Argument(help="The log file.")],
    anchor: Annotated[
        Path | None, typer.Option("--anchor", help="Its anchor; the one it names, if none is given.")
    ] = None,
) -> None:
    """Finds out whether a log of recoveries is as it was written.

    \b
    Exit codes:
    0    it is whole, and ends as its anchor says
    1    it was edited, cut off, or has lines missing, moved or put in
    2    it or its anchor cannot be read
    """
    from pipeline.sealing import journal  # here: no other command shall wait for it

    state = journal.verify_log(log, anchor)
    said = f"{log}: whole, {state.count} lines, head {state.head}, anchored in {state.anchor}"
    console.print(escape(readable(said)), highlight=False, soft_wrap=True)
