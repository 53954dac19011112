"""`facewarden models`: the networks that operators need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipeline.commands.console import console, errors, plain, plain_errors
from pipeline.models import catalog, fetch

models_app = typer.Typer(no_args_is_help=True, help="The networks that operators need.")


@models_app.command("list")
def list_models() -> None:
    """Lists the models with their licences and whether they are in the cache, and whole."""
    with plain_errors():
        faults = fetch.verify()
        table = Table("model", "task", "licence", "MB", "here")
        for model in catalog.list_models():
            here = "-" if not model.path.exists() else "damaged" if faults[model.name] else "yes"
            table.add_row(model.name, model.task, model.licence, f"{model.bytes / 1e6:.1f}", here)
    console.print(table)


@models_app.command("pull")
def pull_models(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="All that commands need but those of trainings, if none is named.", show_default=False),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are listed.")] = False,
    given: Annotated[
        Path | None,
        typer.Option(
            "--from", help="A folder with the files, or the archives that they lie in, instead of the network."
        ),
    ] = None,
) -> None:
    """Fetches models that are missing or damaged, and checks their hashes."""
    with plain_errors(), console.status("") as status:
        wanted = names or [model.name for model in catalog.list_models() if everything or not model.training]

        def tell(name: str, what: str) -> None:
            status.update(plain(f"{name}: {what}"))
            if not console.is_terminal:  # where nobody sees the line above
                errors.print(f"{name}: {what}", highlight=False, soft_wrap=True, markup=False)

        for path in fetch.pull(wanted, tell, given=given):
            console.print(plain(str(path)), highlight=False, soft_wrap=True)


@models_app.command("verify")
def verify_models(names: Annotated[list[str] | None, typer.Argument(help="All, if none is named.")] = None) -> None:
    """Compares the cached models with their hashes."""
    with plain_errors():
        faults = fetch.verify(names or ())
    for name, fault in faults.items():
        console.print(plain(f"{name}: {fault or 'fine'}"), highlight=False, soft_wrap=True)
    raise typer.Exit(1 if any(faults.values()) else 0)
