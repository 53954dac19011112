"""What the leak bench has worked out already, in a folder that git ignores: an interrupted run goes on there."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.progress import track

from operators.arrays import Array
from pipeline.provenance import ROOT, content_hash

FOLDER = Path("out/leak")
CODE = (
    "bench/hiding.py",
    "bench/leak_tracks.py",
    "operators/deidentify",
    "operators/paint",
    "operators/reversible/proface_s",
)
"""What decides how tracks look: where one of these has changed, all is worked out anew."""

Job = TypeVar("Job")
KeptArrays = dict[str, Array]


class Stages:
    """KeptArrays by name, kept as files.

    Args:
        folder: where; None is one that belongs to the code and the seed.
        seed: of all chance.
    """

    def __init__(self, folder: Path | None = None, seed: int = 0) -> None:
        key = "-".join([f"{seed}", *(content_hash(ROOT / name)[:4] for name in CODE)])
        self.folder = folder or FOLDER / key

    def kept(self, name: str, make: Callable[[], Mapping[str, Array]]) -> KeptArrays:
        """What was made under that name, or is made now.

        Args:
            name: may have slashes, for folders.
        """
        file = self.folder / f"{name}.npz"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f".{file.stem}.{os.getpid()}.npz")
            np.savez(part, allow_pickle=False, **make())
            part.replace(file)
        with np.load(file) as found:
            return dict(found)

    def of_each(
        self,
        jobs: Sequence[Job],
        name: Callable[[Job], str],
        make: Callable[[Job], Mapping[str, Array]],
        title: str,
    ) -> list[KeptArrays]:
        """What was made for every job under its name; what is not there yet is made now, on all cores."""

        def work(job: Job) -> KeptArrays:
            return self.kept(name(job), partial(make, job))

        each(work, [job for job in jobs if not self.has(name(job))], title)
        return [work(job) for job in jobs]

    def has(self, name: str) -> bool:
        return (self.folder / f"{name}.npz").is_file()


_working: list[Callable[[Any], object]] = []
"""What forked children call. It is not sent to them, nor the pictures that it knows: they have it in memory."""


def each(work: Callable[[Job], object], jobs: Sequence[Job], title: str) -> None:
    """Does the work for every job, on all cores, for what it keeps in files."""
    if not jobs:
        return
    _working[:] = [work]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork")) as pool:
        for _ in track(pool.map(_call, jobs), title, total=len(jobs)):
            pass


def _call(job: object) -> None:
    _working[0](job)


def chunks(rows: Iterable[int], size: int) -> list[tuple[int, ...]]:
    """Rows in groups whose borders are multiples of a size, so that another choice of rows finds the same groups.

    >>> chunks([0, 1, 2, 5, 6], 3)
    [(0, 1, 2), (5,), (6,)]
    """
    found: dict[int, list[int]] = {}
    for row in rows:
        found.setdefault(row // size, []).append(row)
    return [tuple(group) for group in found.values()]
