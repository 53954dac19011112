"""`facewarden screen`: uploaded videos in, a report on each out, and a list of them all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from engines import ConfigError
from pipeline.commands.console import console, errors, plain, say_what_is_missing
from pipeline.commands.progress import Bars
from pipeline.config import load
from pipeline.jail.protocol import readable

if TYPE_CHECKING:
    from pipeline.screening.batch import ScreeningBatch
    from pipeline.screening.networks import TrainedNetworks


LONGEST_NAME = 60
ONE_VIDEO = "the video that is screened"


def screen(
    videos: Annotated[list[str], typer.Argument(help="Files, folders or globs.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the reports.")] = Path("screening"),
    config: Annotated[str, typer.Option(help="YAML file, or the name of a packaged one.")] = "screen",
    model: Annotated[
        list[Path] | None, typer.Option(help="Folder of a training run, instead of the networks that come along.")
    ] = None,
) -> None:
    """Looks for forged faces in videos, and writes a report on each.

    A report is one HTML file for people and a JSON for programs; index.html and screen.json list them all.
    Both lists grow: they keep what earlier runs wrote into the folder.
    Reports that are there already, of the same bytes and with the same networks, are not made again.

    \b
    Exit codes:
    3    at least one video has an indication of a forgery
    4    so has one, and at least one could not be read or looked at to its end
    1    none has, but one could not be read or looked at to its end
    0    neither; screen.json distinguishes "no_indication" and "nothing_said"
    2    what was asked for cannot be done, and nothing was started
    130  interrupted; the same command goes on from there
    """
    # Here: they import video and networks, which no other command shall wait for.
    from pipeline.live.sources import LIVE, find_files
    from pipeline.screening.batch import ScreeningBatch
    from pipeline.screening.networks import models_in, with_files
    from pipeline.screening.screener import Screener

    found = find_files(videos)
    for line in (*found.left_alone, *(f"{photo}: is a photo, which is not screened" for photo in found.photos)):
        errors.print(plain(line), highlight=False, soft_wrap=True)
    sources = found.videos
    if not sources:
        raise ConfigError(f"{found.photos[0]}: expected a video, got a photo")
    live = [source for source in sources if LIVE.match(source)]
    if live:
        raise ConfigError(f"{live[0]}: is not screened; expected files")
    chosen = with_files(load(config), [trained(run) for run in model or []])
    models = models_in(chosen)
    _make(output)
    say_what_is_missing()
    with Screener(chosen) as screener:
        batch = ScreeningBatch(output, screener, chosen, models, name=Path(config).stem)
        finished = _drive(batch, [Path(source) for source in sources])
    _print_outcomes(batch)
    if not finished:
        errors.print("stopped; the same command goes on from here")
        sys.exit(130)
    raise typer.Exit(batch.code)


def trained(run: Path) -> TrainedNetworks:
    """The networks of a training run, for `with_files`.

    Raises:
        ConfigError: the folder holds no run, or no networks.
    """
    from pipeline.screening.networks import TrainedNetworks
    from pipeline.training.export import networks, recipe_of

    recipe = recipe_of(run)
    files = {name: str(file.absolute()) for name, file in networks(run / recipe.variant).items()}
    return TrainedNetworks(recipe.use, files, recipe.data.margin)


def _drive(batch: ScreeningBatch, paths: Sequence[Path]) -> bool:
    """Screens one video after the other, with progress; false if Ctrl-C came. The list is written in either case."""
    try:
        with Bars() as bars:
            for number, path in enumerate(paths):
                bars.show("videos", number, len(paths))
                batch.add(path, partial(_show, bars, readable(path.name)[:LONGEST_NAME]))
                bars.remove(ONE_VIDEO)
    except KeyboardInterrupt:
        return False
    finally:
        batch.write_list()
    return True


def _show(bars: Bars, name: str, done: int, expected: int) -> None:
    bars.show(name, done, max(done, expected) or None, key=ONE_VIDEO)


def _print_outcomes(batch: ScreeningBatch) -> None:
    table = Table()
    for name in ("video", "verdict", "score", "confidence", "report"):
        table.add_column(name, overflow="fold")
    for row in batch.rows:
        note = "" if row.complete else f"\nnot all was looked at: {row.reason}"
        score = "-" if row.probability is None else f"{row.probability:.2f}"
        cells = (row.source.name, row.words + note, score, row.confidence, row.html or "-")
        table.add_row(*map(plain, cells))
    console.print(table)
    if batch.again:
        console.print(f"{batch.again} of {len(batch.rows)} reports were there already")
    console.print(plain(str(batch.index)), highlight=False, soft_wrap=True)


def _make(folder: Path) -> None:
    """The folder of the reports, which only its owner reads if it is new.

    Raises:
        ConfigError: there can be none.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"{folder}: expected a folder to write to ({error.strerror}); choose another") from error
