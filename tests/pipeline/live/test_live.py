"""Cameras: what they send is masked as it comes, a lost one comes back, and Ctrl-C completes the file."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.clips import Clips, shown
from tests.pipeline.live.test_run import config, facewarden
from tests.raw_camera import Faults, RawCamera
from tests.rtsp_server import RtspServer

pytestmark = pytest.mark.usefixtures("rtsp_available")


@contextmanager
def running(*arguments: str | Path, code: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """A run in the background, that is told to stop at the end and has to end well, or with that exit code."""
    command = [sys.executable, "-m", "pipeline", "run", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield process
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == code, errors.decode()[-2000:]
        assert b": start: " in errors and b": end: " in errors
    finally:
        process.kill()
        process.communicate()


def frames(folder: Path) -> int:
    """How many frames have been reported so far."""
    return sum(path.read_bytes().count(b'"type":"frame"') for path in folder.glob(".facewarden/*/*.jsonl"))


def wait_for_frames(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 90
    while frames(folder) < count:
        assert time.monotonic() < deadline, f"only {frames(folder)} of {count} frames came into {folder}"
        time.sleep(0.1)


def test_a_camera_that_refuses_the_password_is_asked_once(clips: Clips, tmp_path: Path) -> None:
    with RawCamera(clips("h264_long_gop").path, Faults(status="401 Unauthorized")) as camera:
        url = camera.url("me:secret@")
        done = facewarden("run", url, "-o", tmp_path / "out", "--config", config(tmp_path))

    lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert any(line.endswith(": start: 1 stream") for line in lines)
    assert any(": refused: " in line and "check user and password" in line for line in lines)
    assert lines[-1].startswith("error: ") and "refuses the login" in lines[-1]
    assert camera.described <= 2
    assert "secret" not in done.stderr + done.stdout
    assert not list(tmp_path.rglob("verdicts.jsonl"))


def test_a_lost_camera_comes_back_in_a_new_epoch(clips: Clips, tmp_path: Path) -> None:
    clip, out = clips("h264_long_gop"), tmp_path / "out" / "camera.mp4"
    with (
        RtspServer(play={"door": clip.path}) as camera,
        ExitStack() as servers,
        running(camera.url("door"), "-o", out, "--config", config(tmp_path)),
    ):
        port = camera.port
        wait_for_frames(out.parent, 20)
        camera.close()
        before = frames(out.parent)
        servers.enter_context(RtspServer(play={"door": clip.path}, port=port))
        wait_for_frames(out.parent, before + 40)

    (recording,) = out.parent.glob("camera_*.mp4")
    numbers = [number for number in shown(recording) if number is not None]
    assert numbers[0] == 0
    assert numbers.count(0) >= 2
    assert all(later - earlier == 1 or later == 0 for earlier, later in pairwise(numbers))


def test_a_file_is_pushed_to_a_server(clips: Clips, tmp_path: Path) -> None:
    clip, recorded = clips("h264_plain"), tmp_path / "pushed.ts"
    source = tmp_path / "clip.mp4"
    source.write_bytes(clip.path.read_bytes())

    with RtspServer(record={"in": recorded}) as server:
        done = facewarden("run", source, "-o", server.url("in"), "--config", config(tmp_path))
        assert done.returncode == 0, done.stderr
        size = -1
        while size != (size := recorded.stat().st_size) or not size:
            time.sleep(0.3)

    assert shown(recorded) == list(clip.numbers)
