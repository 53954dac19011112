"""`facewarden check` and `facewarden operators`: what a config may say, and whether one can be run."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from engines.faults import Schema, expected
from operators import Operator, available, find
from operators.options import described, options_model
from pipeline.commands.console import console, plain_errors
from pipeline.config import load
from pipeline.live.step_order import shortcomings
from pipeline.live.steps import check, try_detectors

WIDTHS = {"name": 14, "expected": 50, "default": 9}
"""Of the columns that shall stand below each other from table to table."""


def check_config(config: Annotated[str, typer.Argument(help="YAML file, or the name of a packaged one.")]) -> None:
    """Looks at a config without running it: names, options, networks, and whether its detectors find a known face."""
    with plain_errors():
        loaded = load(config)
        check(loaded)
        try_detectors(loaded)
        found = shortcomings([step.use for step in loaded.steps])
        console.print(f"{config}: fine" + "".join(f", but {words}" for words in found), soft_wrap=True)


def list_operators() -> None:
    """Lists the operators with their engines and options: what each expects, and its default."""
    for name in available():
        with plain_errors():
            console.print(_table(name, find(name)))


def _table(name: str, operator: type[Operator]) -> Table:
    title = f"[bold]{name}[/bold]: {escape(_first_sentence(inspect.getdoc(operator) or ''))}"
    table = Table(title=title, title_style="", title_justify="left", box=SIMPLE_HEAD, expand=True)
    for column, width in WIDTHS.items():
        table.add_column(column, width=width)
    table.add_column("meaning", ratio=1)
    for row in (*_engines(operator), *_options(operator)):
        table.add_row(*map(escape, row))
    return table


def _engines(operator: type[Operator]) -> list[tuple[str, str, str, str]]:
    meaning = described(operator)
    return [
        (name, "a model's name or file", "required", _first_sentence(meaning.get(name, "")))
        for name, parameter in inspect.signature(operator).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]


def _options(operator: type[Operator]) -> list[tuple[str, str, str, str]]:
    schema = options_model(operator).model_json_schema()
    return [
        (name, expected(option, schema), _default(option), _first_sentence(option.get("description", "")))
        for name, option in schema.get("properties", {}).items()
    ]


def _default(option: Schema) -> str:
    if "default" not in option:
        return "required"
    return "null" if option["default"] is None else str(option["default"])  # as YAML has it


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).partition(". ")[0].rstrip(".")
