"""`facewarden screen`: uploaded videos in, a report on each out, and a list of them all."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from engines import ConfigError, StreamError
from engines.files import write_whole
from pipeline.config import Config, load
from pipeline.console import console, errors, readable

if TYPE_CHECKING:
    from pipeline.screening.models import Model
    from pipeline.screening.video import Screener, Upload

INDICATION, INCOMPLETE = 3, 1
INDEX, LIST = "index.html", "screen.json"
LONGEST_STEM = 60

Row = dict[str, Any]


def screen(
    videos: Annotated[list[str], typer.Argument(help="Files, folders or globs.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the reports.")] = Path("screening"),
    config: Annotated[str, typer.Option(help="YAML file, or the name of a packaged one.")] = "screen",
    model: Annotated[
        list[Path] | None, typer.Option(help="Folder of a training run, in place of the networks that come along.")
    ] = None,
) -> None:
    """Looks for forged faces in videos, and writes a report on each.

    A report is one HTML file for people, beside a JSON for programs; index.html and screen.json list them all.
    Reports that are there already, of the same bytes and with the same networks, are not made again.

    \b
    Exit codes:
    3    at least one video has an indication of a forgery
    1    none has, but one could not be read to its end
    0    neither; screen.json tells "no_indication" from "nothing_said"
    2    what was asked for cannot be done, and nothing was started
    130  interrupted; the same command goes on from there
    """
    # Here, for they bring video and networks along, which no other command shall wait for.
    from pipeline.live.sources import LIVE, find_sources
    from pipeline.screening.models import models_in, with_files
    from pipeline.screening.video import Screener

    sources = find_sources(videos)
    live = [source for source in sources if LIVE.match(source)]
    if live:
        raise ConfigError(f"{live[0]}: is not screened; expected files")
    chosen = with_files(load(config), model or [])
    models = models_in(chosen)
    _make(output)
    with Screener(chosen) as screener:
        batch = Batch(output, screener, chosen, models, name=Path(config).stem)
        finished = _drive(batch, [Path(source) for source in sources])
    _tell(batch)
    if not finished:
        errors.print("stopped; the same command goes on from here")
        sys.exit(130)
    raise typer.Exit(batch.code)


class Batch:
    """Videos that are screened into one folder, and what came of them.

    Args:
        config: what `screener` was opened from.
        name: of the config, for people.

    Attributes:
        rows: a summary of each video, in the order they were given.
        again: how many reports were there already.
    """

    def __init__(self, folder: Path, screener: Screener, config: Config, models: Sequence[Model], *, name: str) -> None:
        from pipeline.screening.report import Edition

        self.folder = folder
        self.rows: list[Row] = []
        self.again = 0
        self._screener = screener
        self._edition = Edition(version("facewarden"), name, models)
        self._made_of = _made_of(config, models, self._edition.version)

    @property
    def counts(self) -> Counter[str]:
        """Videos by outcome, and those that are not `complete`."""
        incomplete = sum(not row["complete"] for row in self.rows)
        return Counter(row["outcome"] for row in self.rows) + Counter(incomplete=incomplete)

    @property
    def code(self) -> int:
        """The exit code."""
        if self.counts["indication"]:
            return INDICATION
        return INCOMPLETE if self.counts["incomplete"] else 0

    def add(self, path: Path, moved: Callable[[int, int], None]) -> None:
        """Screens a video, unless there is a finished report on it."""
        from pipeline.screening.report import summary
        from pipeline.screening.video import Upload

        try:
            upload = Upload.of(path)
        except StreamError as error:
            self.rows.append(_unread(path, str(error)))
            return
        stem = f"{_safe(path.stem)}-{upload.sha256[:12]}"
        files = {"html": f"{stem}.html", "json": f"{stem}.json"}
        key = hashlib.sha256(f"{upload.sha256} {self._made_of}".encode()).hexdigest()
        told = _finished(self.folder / files["json"], key)
        if told is None:
            told = self._screen(upload, files, key, moved)
        else:
            self.again += 1
        self.rows.append({**summary(told, files), "source": {**told["source"], **_named(path)}})

    def _screen(self, upload: Upload, files: Mapping[str, str], key: str, moved: Callable[[int, int], None]) -> Row:
        from pipeline.screening.page import report_page
        from pipeline.screening.report import document

        screening = self._screener.screen(upload, moved)
        told = document(upload, screening, self._edition, key)
        # The document comes last: where it is, the page is too.
        write_whole(self.folder / files["html"], report_page(told, screening, self._edition).encode())
        write_whole(self.folder / files["json"], f"{json.dumps(told)}\n".encode())
        return told

    def write_list(self) -> None:
        """Writes the list of all videos so far, for people and for programs."""
        from pipeline.screening.page import index_page
        from pipeline.screening.report import FORMAT, OUTCOMES

        counts = {name: self.counts[name] for name in (*OUTCOMES, "incomplete")}
        listed = {
            "format": FORMAT,
            "facewarden": self._edition.version,
            "config": self._edition.config,
            "models": {model.identity: model.sha256 for model in self._edition.models},
            "counts": counts,
            "videos": self.rows,
        }
        page = index_page(self.rows, counts, self._edition.version)
        write_whole(self.folder / INDEX, page.encode())
        write_whole(self.folder / LIST, f"{json.dumps(listed, indent=1)}\n".encode())


def _drive(batch: Batch, paths: Sequence[Path]) -> bool:
    """Screens one video after the other, with progress; false if Ctrl-C came. The list is written in either case."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True, refresh_per_second=2) as bars:
            whole = bars.add_task("videos", total=len(paths))
            for path in paths:
                one = bars.add_task(readable(path.name)[:LONGEST_STEM], total=None)
                batch.add(path, partial(_move, bars, one))
                bars.remove_task(one)
                bars.advance(whole)
    except KeyboardInterrupt:
        return False
    finally:
        batch.write_list()
    return True


def _move(bars: Progress, one: TaskID, done: int, expected: int) -> None:
    bars.update(one, completed=done, total=max(done, expected) or None)


def _tell(batch: Batch) -> None:
    table = Table()
    for name in ("video", "verdict", "score", "confidence", "report"):
        table.add_column(name, overflow="fold")
    for row in batch.rows:
        note = "" if row["complete"] else f"\nnot all was looked at: {row['reason']}"
        score = "-" if row["probability"] is None else f"{row['probability']:.2f}"
        cells = (row["source"]["name"], row["words"] + note, score, row["confidence"], row["html"] or "-")
        table.add_row(*map(_plain, cells))
    console.print(table)
    if batch.again:
        console.print(f"{batch.again} of {len(batch.rows)} reports were there already")
    console.print(_plain(str(batch.folder / INDEX)), highlight=False, soft_wrap=True)


def _plain(words: str) -> str:
    return escape(readable(words))


def _make(folder: Path) -> None:
    """The folder of the reports, which only its owner reads if it is new.

    Raises:
        ConfigError: there can be none.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"{folder}: expected a folder to write to ({error.strerror}); choose another") from error


def _made_of(config: Config, models: Sequence[Model], facewarden: str) -> str:
    """All that makes a report what it is, but for the video."""
    from pipeline.screening.report import FORMAT

    steps = [{"use": step.use, "options": step.options} for step in config.steps]
    networks = [(model.use, model.engine, model.sha256, model.card.model_dump(mode="json")) for model in models]
    return json.dumps([FORMAT, facewarden, steps, networks, config.jail.model_dump()], sort_keys=True)


def _finished(file: Path, key: str) -> Row | None:
    """A report that was made to its end, of the same things."""
    try:
        told = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    same = isinstance(told, dict) and told.get("key") == key and told.get("complete") is True
    return told if same and file.with_suffix(".html").is_file() else None


def _unread(path: Path, reason: str) -> Row:
    return {
        "source": {**_named(path), "sha256": None, "bytes": None},
        "outcome": "nothing_said", "words": "nothing can be said", "probability": None, "confidence": "none",
        "complete": False, "reason": readable(reason), "seconds": 0.0, "tracks": 0, "html": None, "json": None,
    }  # fmt: skip


def _named(path: Path) -> Row:
    return {"name": readable(path.name), "path": readable(str(path))}


def _safe(stem: str) -> str:
    """What of a file's name may stand in another's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem)[:LONGEST_STEM].strip("._") or "video"
