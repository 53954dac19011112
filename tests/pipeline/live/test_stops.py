"""The table of stops in docs/limits.md, row by row: what is on the disk, what the exit code says, what comes next."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from pipeline.live.verdict_lines import EndLine, read_line
from tests.clips import Clips, shown
from tests.pipeline.live.test_live import frames, wait_for_frames
from tests.pipeline.live.test_run import config
from tests.raw_camera import Faults, RawCamera
from tests.rtsp_server import RtspServer

ROOT = Path(__file__).parents[3]


IMPATIENT = """
from pipeline.live import stall
stall.STALL_S = 8.0
from pipeline.commands.app import main
main()
"""
"""Facewarden, but what does not move is given up after eight seconds instead of two minutes."""


class Started:
    """A run in the background.

    Args:
        impatient: give up what does not move after seconds.
    """

    def __init__(self, *arguments: str | Path, impatient: bool = False) -> None:
        program = ["-c", IMPATIENT] if impatient else ["-m", "pipeline"]
        command = [sys.executable, *program, "run", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, text=True)

    def end(self, number: int | None = None, timeout_s: float = 90) -> tuple[int, str]:
        """Exit code and all that it has said, after a signal."""
        if number is not None:
            self.process.send_signal(number)
        words, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, words

    def helpers(self, beginning: str = "") -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if " ".join(process.cmdline()).startswith(beginning):
                    found.append(process)
        return found


@contextlib.contextmanager
def started(*arguments: str | Path, impatient: bool = False) -> Iterator[Started]:
    run = Started(*arguments, impatient=impatient)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.end(signal.SIGKILL)


def wait_until(condition: Callable[[], object], timeout_s: float = 60) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.1)


def recordings(folder: Path) -> dict[str, list[int | None]]:
    """Numbers of the frames in each recording, in the order in which they were begun."""
    paths = sorted(folder.glob("camera*"), key=lambda path: (path.name.split(".")[0], len(path.name), path.name))
    return {path.name: shown(path) for path in paths}


def in_order(numbers: list[int | None]) -> bool:
    """Each frame once at most: the camera counts up, and begins anew near 0 when it is opened again."""
    counted = [number for number in numbers if number is not None]
    return len(counted) == len(numbers) and all(later > earlier or later < 40 for earlier, later in pairwise(counted))


def ledgers(out: Path) -> list[EndLine]:
    """Of the runs that have reported."""
    lines = [read_line(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    return [line for line in lines if isinstance(line, EndLine)]


@pytest.mark.usefixtures("rtsp_available")
@pytest.mark.timeout(300)
def test_a_camera_is_recorded_through_kills_and_ended_by_sigterm_and_sighup(clips: Clips, tmp_path: Path) -> None:
    clip, out = clips("h264_long_gop"), tmp_path / "out"
    with RtspServer(play={"door": clip.path}) as camera:
        arguments = (camera.url("door"), "-o", out / "camera.mp4", "--config", config(tmp_path))
        with started(*arguments) as run:
            wait_for_frames(out, 60)
            (growing,) = recordings(out).items()
            assert len(growing[1]) > 10
            for kind in ("ray::IoActor", "ray::Worker"):  # kill -9 of sink, ingest and worker
                for helper in run.helpers(kind):
                    helper.kill()
                wait_for_frames(out, frames(out) + 40)
            code, words = run.end(signal.SIGTERM)
        first, (ledger,) = recordings(out), ledgers(out)
        assert code == (1 if ledger.withheld else 0), words  # what came while there was no worker may be too late
        assert in_order([n for numbers in first.values() for n in numbers])
        # What a killed worker had sent may be there although the next one came to it too late.
        assert ledger.shown <= sum(map(len, first.values())) <= ledger.packets
        assert ledger.files == tuple(first)
        assert not (out / ".facewarden").exists()

        with started(*arguments) as run:
            wait_for_frames(out, 40)
            code, words = run.end(signal.SIGHUP)
        assert code == 0, words

    both = recordings(out)
    assert len(both) > len(first) and {name: both[name] for name in first} == first
    assert ledgers(out)[0] == ledger
    assert ledgers(out)[1].shown == sum(len(numbers) for name, numbers in both.items() if name not in first)


@pytest.mark.timeout(300)
def test_files_are_left_by_sigterm_and_kill_and_the_same_command_goes_on(clips: Clips, tmp_path: Path) -> None:
    sources = tmp_path / "in"
    sources.mkdir()
    clip = clips("h264_long_gop")
    (sources / "x.mp4").write_bytes(clip.path.read_bytes())
    (sources / "x_anonymized.2.mp4").write_bytes(b"a result, and no source")
    out = tmp_path / "out"
    out.mkdir()
    (out / "x_anonymized.mp4").write_bytes(b"of yesterday")
    (out / "verdicts.jsonl").write_text('{"of": "yesterday"}\n')
    arguments = (sources, "-o", out, "--config", config(tmp_path), "--encode", "preset=veryslow")

    with started(*arguments) as run:
        wait_for_frames(out, 32)
        left = run.end(signal.SIGTERM)
    with started(*arguments) as run:
        wait_until(lambda: len(run.helpers("ray::")) > 1)
        helpers = run.helpers()
        run.end(signal.SIGKILL)
        psutil.wait_procs(helpers, timeout=10)
        staying = [helper for helper in helpers if helper.is_running() and helper.status() != psutil.STATUS_ZOMBIE]
    with started(*arguments) as run:
        code, words = run.end()

    assert left[0] == 128 + signal.SIGTERM, left[1]
    assert "the same command goes on from here" in left[1]
    assert not staying
    assert code == 0, words
    assert shown(out / "x_2_anonymized.mp4") == list(clip.numbers)
    assert (out / "x_anonymized.mp4").read_bytes() == b"of yesterday"
    assert sorted(path.name for path in out.iterdir()) == ["verdicts.jsonl", "x_2_anonymized.mp4", "x_anonymized.mp4"]
    lines = (out / "verdicts.jsonl").read_text().splitlines()
    assert lines[0] == '{"of": "yesterday"}'
    assert sum('"type":"frame"' in line for line in lines) == len(clip.numbers)


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Of 2 MB, or of as many as asked for; skipped where nobody may mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={getattr(request, 'param', 2)}m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(filler: Path) -> None:
    """Until nothing more goes onto its disk."""
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.usefixtures("rtsp_available")
@pytest.mark.timeout(300)
def test_a_full_disk_is_said_at_once_and_its_recording_goes_on_when_there_is_room(
    clips: Clips, tmp_path: Path, small_disk: Path
) -> None:
    """The work folder lies on another disk; what fills this one is somebody else."""
    filler, out = small_disk / "filler", small_disk / "out"
    out.mkdir()
    (tmp_path / "work").mkdir()
    (out / ".facewarden").mkdir(mode=0o700)
    subprocess.run(["mount", "--bind", str(tmp_path / "work"), str(out / ".facewarden")], check=True)
    try:
        with RtspServer(play={"door": clips("h264_long_gop").path}) as camera:
            arguments = (camera.url("door"), "-o", out / "camera.mp4", "--config", config(tmp_path))
            with started(*arguments, "--encode", "crf=1") as run:
                wait_for_frames(out, 40)
                fill(filler)
                wait_for_frames(out, frames(out) + 80)
                full = recordings(out)
                filler.unlink()
                wait_for_frames(out, frames(out) + 60)
                code, words = run.end(signal.SIGTERM)
        whole = recordings(out)
        (ledger,) = ledgers(out)
    finally:
        subprocess.run(["umount", "-l", str(out / ".facewarden")], check=True)

    assert "disk full" in words and "No space left on device; what is masked waits for room" in words
    assert all(full.values()) and {name: whole[name] for name in full} == full
    assert len(whole) > len(full)
    assert in_order([n for numbers in whole.values() for n in numbers])
    assert sum(map(len, whole.values())) == ledger.shown
    assert code == (1 if ledger.withheld else 0), words


@pytest.mark.parametrize("small_disk", [32], indirect=True)
@pytest.mark.timeout(300)
def test_where_the_work_folder_has_no_room_files_are_given_up_in_words_and_gone_on_with(
    clips: Clips, tmp_path: Path, small_disk: Path
) -> None:
    clip, out = clips("h264_long_gop"), small_disk / "out"
    arguments = (clip.path, "-o", out, "--config", config(tmp_path), "--encode", "preset=veryslow")
    with started(*arguments, impatient=True) as run:
        wait_for_frames(out, 32)
        fill(small_disk / "filler")
        code, words = run.end()
    assert code == 1, words
    assert "disk full" in words and "nothing has moved for 8 s: " in words and "the same command goes on" in words
    assert not list(out.glob("*.mp4"))
    (small_disk / "filler").unlink()

    with started(*arguments) as run:
        code, words = run.end()

    assert code == 0, words
    assert shown(*out.glob("*.mp4")) == list(clip.numbers)
    assert not (out / ".facewarden").exists()


@pytest.mark.parametrize("small_disk", [32], indirect=True)
@pytest.mark.timeout(300)
def test_where_the_work_folder_has_no_room_a_camera_is_waited_with_and_goes_on(
    clips: Clips, tmp_path: Path, small_disk: Path
) -> None:
    out = small_disk / "out"
    with RawCamera(clips("h264_long_gop").path, Faults()) as camera:
        arguments = (camera.url(), "-o", out / "camera.mp4", "--config", config(tmp_path))
        with started(*arguments, impatient=True) as run:
            wait_for_frames(out, 32)
            fill(small_disk / "filler")
            time.sleep(12)
            assert run.process.poll() is None, "a camera's run is never given up"
            (small_disk / "filler").unlink()
            wait_for_frames(out, frames(out) + 50)
            code, words = run.end(signal.SIGTERM)

    assert "disk full" in words
    (ledger,) = ledgers(out)
    assert sum(map(len, recordings(out).values())) == ledger.shown, words
    assert code == (1 if ledger.withheld else 0), words
    assert in_order([n for numbers in recordings(out).values() for n in numbers])


@pytest.mark.parametrize("lost", [0, 1, 3], ids=["nothing", "a commit", "several commits"])
@pytest.mark.timeout(300)
def test_after_a_power_cut_files_are_gone_on_with(clips: Clips, tmp_path: Path, lost: int) -> None:
    """All processes are gone at once, and with the default `synchronous=normal` so may be the database's last commits,
    which stood in its log alone."""
    clip, out = clips("h264_long_gop"), tmp_path / "out"
    arguments = (clip.path, "-o", out, "--config", config(tmp_path), "--encode", "preset=veryslow")
    with started(*arguments) as run:
        wait_for_frames(out, 64)
        for helper in run.helpers():
            helper.kill()
        run.end(signal.SIGKILL)
    (log,) = out.rglob("facewarden.db-wal")
    commits = commits_in(log.read_bytes())
    assert len(commits) > 4
    with log.open("r+b") as file:
        file.truncate(commits[-1 - lost])

    with started(*arguments) as run:
        code, words = run.end()

    assert code == 0, words
    assert shown(*out.glob("*.mp4")) == list(clip.numbers)


def commits_in(log: bytes) -> list[int]:
    """Where each commit ends in a write-ahead log of SQLite, as far as it is of its current round."""
    page, salts = int.from_bytes(log[8:12], "big"), log[16:24]
    ends = []
    for at in range(32, len(log) - page - 23, page + 24):
        if log[at + 8 : at + 16] != salts:
            break
        if int.from_bytes(log[at + 4 : at + 8], "big"):
            ends.append(at + page + 24)
    return ends
