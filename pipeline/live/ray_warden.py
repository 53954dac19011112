"""Outlives a run for a moment, whatever way that ends: ends what is left of its Ray, and removes Ray's folder.

Run by its file name, with nothing but the folder as argument; it waits for the end of its input, which the run holds
open and the kernel closes when the run is killed. Not imported by the rest, and needs none of it.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

ROUNDS, PAUSE_S = 20, 0.1
FIRST_LOOK_S, LOOK_EVERY_S = 2.0, 20.0
"""How often it is noted who belongs to the session: Ray's own processes die with their run, and leave their children
without anything by which they could be known."""


def of_session(folder: str) -> list[psutil.Process]:
    """Processes that were started for a session in that folder, and all that these started."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if _names(process, folder):
                found[process.pid] = process
                found |= {child.pid: child for child in process.children(recursive=True)}
    return list(found.values())


def _names(process: psutil.Process, folder: str) -> bool:
    """Whether it was given the folder by its command line or its environment, or writes there: Ray's agents overwrite
    both. Wardens are left alone."""
    words = process.cmdline()
    if any(Path(word).name == Path(__file__).name for word in words) or process.pid == psutil.Process().pid:
        return False
    if any(folder in word for word in words):
        return True
    for number in range(1, 5):
        with suppress(OSError):
            if Path(f"/proc/{process.pid}/fd/{number}").readlink().is_relative_to(folder):
                return True
    with suppress(psutil.Error):
        given: dict[str, str] = process.as_dict(["environ"])["environ"] or {}
        return given.get("RAY_AUTH_TOKEN_PATH", "").startswith(folder)
    return False


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; what waits for a parent that does not ask for it does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_session(folder: str, known: Iterable[psutil.Process] = ()) -> None:
    """Kills them, the ones that were known before, and those that are started meanwhile; removes the folder."""
    known = list(known)
    for _ in range(ROUNDS):
        left = [process for process in (*of_session(folder), *known) if is_alive(process)]
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        if not left:
            break
        _, known = psutil.wait_procs(left, timeout=PAUSE_S)
    shutil.rmtree(folder, ignore_errors=True)


def _watch(folder: str) -> list[psutil.Process]:
    """Waits for the end of the input; returns who belonged to the session when it was looked at last."""
    known: list[psutil.Process] = []
    wait_s = FIRST_LOOK_S
    while not select.select([sys.stdin], [], [], wait_s)[0] or os.read(0, 1):
        known, wait_s = of_session(folder), LOOK_EVERY_S
    return known


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end_session(sys.argv[1], _watch(sys.argv[1]))
