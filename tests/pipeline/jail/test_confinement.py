"""Processes that hold pictures leave none behind when they crash, and are not looked into."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.commands.app import app
from pipeline.config import Config
from pipeline.jail import confinement
from pipeline.live.io_actor import IoActor
from pipeline.live.worker import Worker

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
LIBC = ctypes.CDLL(None)
NOBODY = 12345
ROOT = Path(__file__).parents[3]


def worker() -> None:
    Worker("sqlite:///none", {}, "group", "name", Config(steps=[]))


def io_actor() -> None:
    IoActor("sqlite:///none", {}, Config(steps=[]))


def command() -> None:
    CliRunner().invoke(app, ["--version"])


@pytest.mark.parametrize("start", [confinement.guard, worker, io_actor, command])
def test_whoever_holds_pictures_is_guarded(start: Callable[[], None]) -> None:
    LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)

    start()

    assert LIBC.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes two processes of another user")
@pytest.mark.parametrize(("guarded", "read"), [(False, True), (True, False)], ids=["as it is", "guarded"])
def test_another_process_of_the_same_user_does_not_read_its_memory(guarded: bool, read: bool) -> None:
    code = (
        "import ctypes, os, time; from pipeline.jail.confinement import guard\n"
        f"os.setuid({NOBODY}); ctypes.CDLL(None).prctl({PR_SET_DUMPABLE}, 1, 0, 0, 0)\n"
        f"guard() if {guarded} else None; print(flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        reading = subprocess.run(["cat", f"/proc/{process.pid}/maps"], user=NOBODY, cwd="/", capture_output=True)
    finally:
        process.kill()
        process.communicate()

    assert bool(reading.stdout) is read
