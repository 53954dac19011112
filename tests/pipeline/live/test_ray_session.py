"""What of Ray's session can be said without Ray: who is ended, and what a wrong address says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray

from engines import StreamError
from pipeline.live.ray_session import IDLE_SERVANTS, _end_idle_servants, start_ray


@pytest.fixture
def children() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Processes that were started with these arguments, and sleep."""
    servants = {name: str(Path(ray.__file__).parent / name) for name in IDLE_SERVANTS}
    arguments = {**servants, "raylet": "/opt/raylet", "namesake": "dashboard/dashboard.py"}
    code = "import time; print(flush=True); time.sleep(60)"
    started = {
        name: subprocess.Popen([sys.executable, "-c", code, argument], stdout=subprocess.PIPE)
        for name, argument in arguments.items()
    }
    for process in started.values():
        assert process.stdout is not None
        process.stdout.readline()
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


def test_idle_servants_are_ended_and_nobody_else(children: dict[str, subprocess.Popen[bytes]]) -> None:
    _end_idle_servants()

    running = {name for name, process in children.items() if psutil.pid_exists(process.pid) and process.poll() is None}
    assert running == {"raylet", "namesake"}


def test_the_servants_are_still_where_ray_keeps_them() -> None:
    assert [name for name in IDLE_SERVANTS if not (Path(ray.__file__).parent / name).is_file()] == []


@pytest.mark.parametrize("address", ["nonsense", "http://cluster"])
def test_an_address_that_is_none_is_an_error_and_starts_nothing(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "")  # so that it is as before afterwards
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED")

    with pytest.raises(StreamError, match=f"Ray cannot be started or reached at {address}: "):
        start_ray(address)

    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert not ray.is_initialized()
