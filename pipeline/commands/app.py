"""The command line: all groups of commands under one name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from pipeline.commands.configs import check_config, list_operators
from pipeline.commands.console import console, plain_errors
from pipeline.commands.engines import engines_app
from pipeline.commands.keys import keys_app
from pipeline.commands.log import log_app
from pipeline.commands.models import models_app
from pipeline.commands.recover import recover
from pipeline.commands.run import run
from pipeline.commands.schema import schema
from pipeline.commands.screen import screen
from pipeline.commands.standard_streams import code_after_printing, hold_standard_streams
from pipeline.commands.stops import StopSignals
from pipeline.commands.training import jobs_app
from pipeline.commands.tune import tune
from pipeline.commands.verify import verify
from pipeline.jail import confinement


class NamedCommands(TyperGroup):
    """Commands whose arguments say something: an empty name, as of a variable that is not set, would be taken for the
    current folder, or for none."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if place := empty_name(args):
            ctx.fail(f"{place}: expected a name or a value, got an empty one; is a variable not set?")
        remaining: list[str] = super().parse_args(ctx, args)
        return remaining


def empty_name(arguments: Sequence[str]) -> str:
    """Where an argument is empty; empty if none is.

    >>> empty_name(["run", "a.mp4", "-o", ""]), empty_name(["run", ""]), empty_name(["run", "--output="])
    ('-o', 'argument 2', '--output')
    >>> empty_name(["run", "--encode", "tune=", "a.mp4"])
    ''
    """
    for number, (before, argument) in enumerate(pairwise(["", *arguments]), 1):
        option, given, value = argument.partition("=")
        if not argument:
            return before.partition("=")[0] if before.startswith("-") else f"argument {number}"
        if argument.startswith("--") and given and not value:
            return option
    return ""


app = typer.Typer(
    cls=NamedCommands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Hides people in video, and looks for forged faces.",
)


@app.callback(invoke_without_command=True)
def root(show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    confinement.guard()  # before anything is opened: most commands hold pictures, or start what does
    if show_version:
        console.print(version("facewarden"))
        raise typer.Exit


def main() -> NoReturn:
    """The program."""
    hold_standard_streams()
    code: int | str | None = 0
    try:
        with StopSignals():
            app()
    except SystemExit as ended:
        code = ended.code
    sys.exit(code_after_printing(code) if isinstance(code, int) else code)


app.command()(run)
app.command()(plain_errors()(screen))
app.command()(plain_errors()(verify))
app.command("check")(check_config)
app.command("operators")(list_operators)
app.command()(schema)
app.command()(plain_errors()(tune))
app.command()(plain_errors()(recover))
app.add_typer(models_app, name="models")
app.add_typer(engines_app, name="engines")
app.add_typer(keys_app, name="keys")
app.add_typer(log_app, name="log")
app.add_typer(jobs_app)
