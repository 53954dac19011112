"""Stops the workers of a run and looks at what lies on the disk meanwhile: `python -m bench.stalled --seconds 600`.

A file and a camera, both with many times `backlog_mb` of packets, are read while their workers stand still by SIGSTOP,
as on a machine that swaps or is halted. Once a second everything in the run's work folder is added up: clear packets,
encrypted, masked ones, and the database's own. Then the workers go on; the file's result has to hold every frame once,
and the camera's recording has to be whole. What is measured is bytes at rest, not how fast anything is.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import yaml
from rich.console import Console
from rich.table import Table

from bench.faults import processes_of
from bench.numbered import CODE_HEIGHT, draw_number, encode, lumas, read_number
from operators.arrays import Array
from pipeline.provenance import write_report
from tests.raw_camera import Faults, RawCamera

console = Console()

WIDTH, HEIGHT, RATE, GOP = 320, 240, 25, 25
PATIENCE_S = 120.0
SETTLE_S = 1.0
"""So long workers have been at work before they are stopped."""
SAMPLE_S = 1.0
CODE = ("bench/stalled.py", "pipeline/brokers", "pipeline/live")


def make_noise(path: Path, frames: int) -> None:
    """A clip of noise, which no codec makes small, whose frame k shows k."""
    pattern = np.random.default_rng(frames).integers(16, 236, (HEIGHT * 3 // 2, WIDTH), np.uint8)

    def pictures() -> Iterator[Array]:
        for number in range(frames):
            stacked = np.roll(pattern, 37 * number, axis=1)
            stacked[:CODE_HEIGHT] = 128
            draw_number(stacked, number)
            yield stacked

    options = {"g": str(GOP), "preset": "ultrafast", "bf": "0", "crf": "24"}
    encode(path, pictures(), rate=RATE, options=options)


def zones(backlog_mb: int) -> dict[str, object]:
    """Covers a fixed place below the number: what is read and stored costs as ever, and networks nothing."""
    return {
        "steps": [
            {"use": "detect.zones", "options": {"boxes": [[0.1, 0.7, 0.3, 0.9]]}},
            {"use": "deidentify.cover", "options": {"style": "solid"}},
        ],
        "backlog_mb": backlog_mb,
        "backlog": 1 << 20,
    }


@dataclass
class Stalled:
    """One run whose workers stand.

    Attributes:
        seconds: how long they do.
        frames: of the file.
        camera: whether a camera is read beside it.
        samples: seconds since they were stopped, and bytes in the work folder then.
    """

    folder: Path
    seconds: float
    frames: int
    backlog_mb: int
    camera: bool = True
    samples: list[tuple[float, int]] = field(default_factory=list)

    def go(self) -> tuple[int, list[int]]:
        """The run's exit code, and the numbers of the frames in the file's result."""
        clip, config, out = self.folder / "clip.mp4", self.folder / "config.yaml", self.folder / "out"
        make_noise(clip, self.frames)
        config.write_text(yaml.safe_dump(zones(self.backlog_mb)))
        with contextlib.ExitStack() as ends:
            sources = [str(clip)]
            if self.camera:
                sources.append(ends.enter_context(RawCamera(clip, Faults(), rate=RATE)).url())
            words = ends.enter_context((self.folder / "words").open("ab"))
            command = [sys.executable, "-m", "pipeline", "run", *sources, "-o", str(out), "--config", str(config)]
            run = subprocess.Popen(command, stdout=words, stderr=words)
            ends.callback(self._end, run)
            self._stall(run, out / ".facewarden")
            result = out / "clip_anonymized.mp4"
            wait_until(lambda: result.exists() or run.poll() is not None)
            if self.camera and run.poll() is None:
                run.send_signal(signal.SIGTERM)
            code = run.wait(PATIENCE_S)
            return code, [read_number(luma) for luma in lumas(result)] if result.exists() else []

    @property
    def most(self) -> int:
        """Bytes that lay in the work folder at the worst moment."""
        return max((size for _, size in self.samples), default=0)

    def _stall(self, run: subprocess.Popen[bytes], work: Path) -> None:
        wait_until(lambda: any(part.stat().st_size for part in work.glob("*/0*.jsonl")) or run.poll() is not None)
        time.sleep(SETTLE_S)
        stopped = stop_workers(run.pid, next(work.rglob("facewarden.db")))
        began = time.monotonic()
        while (since_s := time.monotonic() - began) < self.seconds and run.poll() is None:
            self.samples.append((since_s, size_of(work)))
            time.sleep(SAMPLE_S)
        for worker in stopped:
            worker.resume()

    def _end(self, run: subprocess.Popen[bytes]) -> None:
        if run.poll() is None:
            run.kill()
            run.wait()


def stop_workers(pid: int, database: Path) -> list[psutil.Process]:
    """Stops all workers, at an instant at which none of them holds the database: else nobody could write any more."""
    while True:
        workers = processes_of(pid).get("worker", [])
        for worker in workers:
            worker.suspend()
        try:
            with contextlib.closing(sqlite3.connect(database, timeout=1.0, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            return workers
        except sqlite3.OperationalError:
            for worker in workers:
                worker.resume()
            time.sleep(0.1)


def size_of(folder: Path) -> int:
    """Bytes of all files in it."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def wait_until(condition: Callable[[], bool]) -> None:
    """Returns when it holds.

    Raises:
        SystemExit: it does not come to hold.
    """
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"what was waited for did not come within {PATIENCE_S:g} s")
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600, help="how long the workers stand")
    parser.add_argument("--backlog-mb", type=int, default=16)
    parser.add_argument("--frames", type=int, default=6000, help="of the file, each of about 50 kB")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="facewarden-stalled-") as folder:
        stalled = Stalled(Path(folder), given.seconds, given.frames, given.backlog_mb)
        code, numbers = stalled.go()
        source_mb = os.stat(Path(folder) / "clip.mp4").st_size / (1 << 20)  # noqa: PTH116
        words = (Path(folder) / "words").read_text(errors="replace")
    table = Table("workers stand for s", "MB at rest")
    every = max(1, len(stalled.samples) // 10)
    rows = [
        {"seconds": round(at), "mb": round(size / (1 << 20), 1)}
        for at, size in itertools.chain(stalled.samples[::every], stalled.samples[-1:])
    ]
    for row in rows:
        table.add_row(*map(str, row.values()))
    console.print(table)
    figures = {
        "seconds": given.seconds,
        "backlog_mb": given.backlog_mb,
        "source_mb": source_mb,
        "most_mb": stalled.most / (1 << 20),
        "exit_code": code,
        "frames_missing": given.frames - len(set(numbers)),
    }
    write_report(given.json, figures, rows, code=CODE)
    console.print(", ".join(f"{name} {value:g}" for name, value in figures.items()))
    if numbers != list(range(given.frames)):
        raise SystemExit(f"the file's result is not whole:\n{words[-3000:]}")


if __name__ == "__main__":
    main()
