"""`facewarden check` and `facewarden operators`: what a config may say, and whether one can be run."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer
from rich.table import Table

from operators import available, find
from pipeline.commands.console import console, plain_errors
from pipeline.config import load
from pipeline.live.steps import check


def check_config(config: Annotated[str, typer.Argument(help="YAML file, or the name of a packaged one.")]) -> None:
    """Looks at a config without running it."""
    with plain_errors():
        check(load(config))
        console.print(f"{config}: fine")


def _option(parameter: inspect.Parameter) -> str:
    required = parameter.default is parameter.empty
    return f"{parameter.name} (required)" if required else f"{parameter.name}={parameter.default!r}"


def list_operators() -> None:
    """Lists the operators with their engines and options."""
    table = Table("operator", "engines", "options", "what it does")
    for name in available():
        with plain_errors():
            cls = find(name)
        parameters = list(inspect.signature(cls).parameters.values())
        table.add_row(
            name,
            ", ".join(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD),
            ", ".join(map(_option, (p for p in parameters if p.kind is p.KEYWORD_ONLY))),
            (inspect.getdoc(cls) or "").split("\n")[0],
        )
    console.print(table)
