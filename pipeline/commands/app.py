"""The command line: all groups of commands under one name."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from pipeline.commands.configs import check_config, list_operators
from pipeline.commands.console import console, plain_errors
from pipeline.commands.engines import engines_app
from pipeline.commands.models import models_app
from pipeline.commands.run import run
from pipeline.commands.schema import schema
from pipeline.commands.screen import screen
from pipeline.commands.stops import StopSignals
from pipeline.commands.training import jobs_app
from pipeline.commands.tune import tune
from pipeline.commands.verify import verify
from pipeline.jail import confinement

app = typer.Typer(
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


def main() -> None:
    """The program."""
    with StopSignals():
        app()


app.command()(run)
app.command()(plain_errors()(screen))
app.command()(plain_errors()(verify))
app.command("check")(check_config)
app.command("operators")(list_operators)
app.command()(schema)
app.command()(plain_errors()(tune))
app.add_typer(models_app, name="models")
app.add_typer(engines_app, name="engines")
app.add_typer(jobs_app)
