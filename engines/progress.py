"""How far long work is, on the terminal; and what its phases took, in a file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from engines.files import write_whole

MINUTES = "minutes.json"
Told = Callable[[str, int, int, Mapping[str, float]], None]
"""Called with what is done, steps done and in all, and the latest figures."""


class Bars:
    """Progress on the terminal: one bar for each thing that is done, with its latest figures. A context manager."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
        )
        self._progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, what: str, done: int, total: int, figures: Mapping[str, float] = {}) -> None:
        said = " ".join(f"{name} {value:.4g}" for name, value in figures.items())
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, said="")
        self._progress.update(self._tasks[what], completed=done, total=total, said=said)


@contextmanager
def timed(folder: Path, phase: str) -> Iterator[Callable[[], None]]:
    """Adds the minutes that something takes to `minutes.json` in the folder, over interruptions.

    What is given writes them down so far: work that may be killed calls it whenever it keeps a checkpoint.
    """
    began, before = time.monotonic(), minutes(folder).get(phase, 0.0)

    def note() -> None:
        spent = {**minutes(folder), phase: before + (time.monotonic() - began) / 60}
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / MINUTES, json.dumps(spent, indent=1).encode())

    try:
        yield note
    finally:
        note()


def minutes(folder: Path) -> dict[str, float]:
    """What each phase took so far."""
    file = folder / MINUTES
    return dict(json.loads(file.read_text())) if file.exists() else {}
