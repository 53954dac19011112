"""What the world does to a run: the processes it may kill, full disks, cut wires, clocks that are set.

Each but the first needs something of the machine: root to mount a disk or to drop packets, a C compiler to shift a
clock. Where that is missing, `is_possible` says so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import psutil

SHIM = Path(__file__).with_name("wall_clock.c")


def processes_of(pid: int) -> dict[str, list[psutil.Process]]:
    """Those that a run has started, by kind: `worker`, `io_actor`, `jail`; the rest has none."""
    found: dict[str, list[psutil.Process]] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(pid).children(recursive=True):
            found.setdefault(_kind(process), []).append(process)
    return found


def _kind(process: psutil.Process) -> str:
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return ""
    if line.startswith("ray::Worker"):
        return "worker"
    if line.startswith("ray::IoActor"):
        return "io_actor"
    return "jail" if "pipeline.jail" in line else ""


def mounted(folder: Path, megabytes: int) -> bool:
    """Puts a small disk of its own under a folder; false where nobody may."""
    folder.mkdir(parents=True, exist_ok=True)
    return _succeeds("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "chaos", str(folder))


def unmounted(folder: Path) -> None:
    _succeeds("umount", "--lazy", str(folder))


def fill(folder: Path, seconds: float) -> None:
    """Leaves nobody room on a disk for so long."""
    ballast = folder / "ballast"
    try:
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 20)) == 1 << 20:
                pass
        time.sleep(seconds)
    finally:
        ballast.unlink(missing_ok=True)


class Wire:
    """The wire to a server on this machine, which can be cut: packets are dropped, and nobody hears of it.

    Args:
        port: the server's, over TCP.
    """

    DIRECTIONS = ("to", "from", "both")

    def __init__(self, port: int) -> None:
        self._rules = {
            way: ("INPUT", "-i", "lo", "-p", "tcp", end, str(port), "-j", "DROP")
            for way, end in (("to", "--dport"), ("from", "--sport"))
        }

    @staticmethod
    def is_possible() -> bool:
        return shutil.which("iptables") is not None and _succeeds("iptables", "--wait", "5", "-S", "INPUT")

    def cut(self, seconds: float, direction: str) -> None:
        """Drops for so long what goes to the server, comes from it, or both.

        Raises:
            CalledProcessError: the kernel takes no such rule.
        """
        rules = [rule for way, rule in self._rules.items() if direction in (way, "both")]
        with contextlib.ExitStack() as mended:
            for rule in rules:
                subprocess.run(["iptables", "--wait", "5", "-I", *rule], check=True, capture_output=True)
                mended.callback(_succeeds, "iptables", "--wait", "5", "-D", *rule)
            time.sleep(seconds)


class WallClock:
    """The wall clock of Python in the processes that are started with `environment`, which can be set.

    Args:
        folder: for its library and for how far it is set.
    """

    def __init__(self, folder: Path) -> None:
        self._library, self._shift = folder / "wall_clock.so", folder / "wall_clock"
        compiler = shutil.which("cc")
        build = (compiler or "cc", "-shared", "-fPIC", "-O2", "-o", str(self._library), str(SHIM), "-ldl")
        self.is_possible = compiler is not None and _succeeds(*build)
        self.set(0)

    def set(self, seconds: int) -> None:
        """From now on it is so many seconds fast; negative: slow."""
        with self._shift.open("r+b" if self._shift.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that has this clock."""
        if not self.is_possible:
            return dict(os.environ)
        return {**os.environ, "LD_PRELOAD": str(self._library), "WALL_CLOCK_SHIFT": str(self._shift)}


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
