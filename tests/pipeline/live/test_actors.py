"""How many workers there may be. What actors do together is seen in whole runs (`test_run`)."""

from __future__ import annotations

import pytest

from engines import ConfigError
from pipeline.config import Config
from pipeline.live.actors import wanted_workers


@pytest.mark.parametrize(
    ("workers", "streams", "cpus", "wanted"),
    [(0, 1, 2, 1), (0, 9, 2, 2), (0, 9, 16, 9), (4, 1, 2, 4), (0, 3, 0.5, 1)],
    ids=["one a stream", "one a core", "many cores", "as asked", "hardly any"],
)
def test_as_many_workers_as_asked_or_as_fit(workers: int, streams: int, cpus: float, wanted: int) -> None:
    assert wanted_workers(Config(steps=[], workers=workers), streams, cpus) == wanted


@pytest.mark.parametrize(("workers", "cpus", "most"), [(5, 2, 4), (8, 2, 4), (1, 0, 0), (0, 0, 0)])
def test_more_workers_than_fit_are_refused(workers: int, cpus: float, most: int) -> None:
    with pytest.raises(ConfigError, match=f"^workers: at most {most} fit on {cpus:g} CPUs, got {workers or 1}$"):
        wanted_workers(Config(steps=[], workers=workers), 1, cpus)
