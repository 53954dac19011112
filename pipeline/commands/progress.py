"""Progress of long work on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


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
