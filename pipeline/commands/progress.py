"""Progress of long work on the terminal: the one kind of bar that all commands draw."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipeline.commands.console import errors

REFRESH_PER_SECOND = 2
"""The time that drawing takes may be counted with the work: twice a second suffices."""


class Bars:
    """One bar for each thing that is done, with what there is to say about it. A context manager."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=errors, transient=True, refresh_per_second=REFRESH_PER_SECOND)
        self._tasks: dict[Hashable, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(
        self,
        what: str,
        done: int,
        total: int | None,
        figures: Mapping[str, float] = {},
        *,
        note: str = "",
        key: Hashable = None,
    ) -> None:
        """Draws how far something is; a first call adds its bar.

        Args:
            total: None where nobody knows.
            figures: are shown after the bar, to four digits.
            note: the same in words, instead.
            key: tells bars apart whose words are the same or change.
        """
        key = what if key is None else key
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(what, total=None, note="")
        note = note or " ".join(f"{name} {value:.4g}" for name, value in figures.items())
        self._progress.update(self._tasks[key], description=what, completed=done, total=total, note=note)

    def remove(self, key: Hashable) -> None:
        """Takes a bar away, if it is there."""
        if key in self._tasks:
            self._progress.remove_task(self._tasks.pop(key))

    def speed(self, key: Hashable) -> float | None:
        """Steps per second of late; None where nothing is known yet."""
        task = self._tasks.get(key)
        return None if task is None else self._progress.tasks[self._progress.task_ids.index(task)].speed
