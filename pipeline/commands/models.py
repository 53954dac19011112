"""`facewarden models`: the networks that operators need."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from pipeline.commands.console import console, plain_errors
from pipeline.config import load
from pipeline.models import catalog, fetch

models_app = typer.Typer(no_args_is_help=True, help="The networks that operators need.")


@models_app.command("list")
def list_models() -> None:
    """Lists the models with their licences and whether they are in the cache."""
    with plain_errors():
        table = Table("model", "task", "licence", "MB", "here")
        for model in catalog.list_models():
            here = "yes" if (catalog.cache_folder() / model.file).exists() else "-"
            table.add_row(model.name, model.task, model.licence, f"{model.bytes / 1e6:.1f}", here)
    console.print(table)


@models_app.command("pull")
def pull_models(
    names: Annotated[list[str] | None, typer.Argument(help="Those of the default config, if none is named.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are listed.")] = False,
) -> None:
    """Fetches models that are missing, and checks their hashes."""
    with plain_errors(), console.status("") as status:
        wanted = names or (
            [model.name for model in catalog.list_models()] if everything else catalog.models_of(load().steps)
        )
        if not wanted:  # to `pull`, no names are all of them
            return
        for path in fetch.pull(wanted, lambda name, what: status.update(f"{name}: {what}")):
            console.print(path, highlight=False, soft_wrap=True)


@models_app.command("verify")
def verify_models(names: Annotated[list[str] | None, typer.Argument(help="All, if none is named.")] = None) -> None:
    """Compares the cached models with their hashes."""
    with plain_errors():
        faults = fetch.verify(names or ())
    for name, fault in faults.items():
        console.print(f"{name}: {fault or 'fine'}", highlight=False, soft_wrap=True)
    raise typer.Exit(1 if any(faults.values()) else 0)
