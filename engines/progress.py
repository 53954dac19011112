"""How far long work is, as others show it; and what its phases took, in a file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from engines.files import write_whole

MINUTES = "minutes.json"
OnProgress = Callable[[str, int, int, Mapping[str, float]], None]
"""Is called with what is being done, steps done and in all, and the latest figures."""


def silent(_what: str, _done: int, _total: int, _figures: Mapping[str, float], /) -> None:
    """Shows nothing."""


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
