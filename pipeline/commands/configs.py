"""`facewarden check` and `facewarden operators`: what a config may say, and whether one can be run."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from engines import ConfigError
from engines.faults import Schema, expected
from operators import Operator, available, find
from operators.options import described, options_model
from pipeline.commands.console import console, plain, plain_errors
from pipeline.config import load
from pipeline.jail.machine import protections, tried
from pipeline.live.step_order import shortcomings
from pipeline.live.steps import check, try_detectors

WIDTHS = {"name": 14, "expected": 50, "default": 9}
"""Of the columns that shall stand below each other from table to table."""


INCOMPLETE = 1
"""Exit code: something of what would hold a hostile video back is not in force on this machine."""


def check_config(
    config: Annotated[
        str | None, typer.Argument(help="YAML file, or the name of a packaged one.", show_default=False)
    ] = None,
    machine: Annotated[bool, typer.Option(help="Tell what holds hostile videos back here, and try it.")] = False,
) -> None:
    """Looks at a config without running it: names, options, networks, and whether its detectors find a known face.

    With --machine, looks at this machine: each protection of the jail and whether it is in force.
    """
    with plain_errors():
        if config is None and not machine:
            raise ConfigError("nothing to look at; give a config, or --machine")
        whole = not machine or _machine_is_whole()
        if config is not None:
            _check(config)
    raise typer.Exit(0 if whole else INCOMPLETE)


def _check(config: str) -> None:
    loaded = load(config)
    check(loaded)
    try_detectors(loaded)
    found = shortcomings([step.use for step in loaded.steps])
    console.print(plain(f"{config}: fine" + "".join(f", but {words}" for words in found)), soft_wrap=True)


def _machine_is_whole() -> bool:
    """Prints what is in force, and what a child that was jailed just now could do; true if nothing is missing."""
    table = Table("protection", "in force", "by")
    found, outcomes = protections(), tried()
    for protection in found:
        table.add_row(protection.name, "yes" if protection.in_force else "[red]no[/red]", escape(protection.detail))
    console.print(table)
    done = [deed for deed, outcome in outcomes.items() if outcome != "refused"]
    console.print(f"tried in a jailed child: {len(outcomes) - len(done)} of {len(outcomes)} deeds refused")
    for deed in done:
        console.print(f"not refused: {deed}")
    return not done and all(protection.in_force for protection in found)


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
