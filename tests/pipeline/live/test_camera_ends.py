"""What a run says of a camera that is not well at its end, in its reports and its exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from pipeline.live.verdict_lines import EndLine, read_line
from tests.clips import Clips, shown
from tests.pipeline.live.test_live import running, wait_for_frames
from tests.pipeline.live.test_run import config
from tests.raw_camera import Faults, RawCamera


def test_a_camera_that_refuses_ends_alone_and_is_told(clips: Clips, tmp_path: Path) -> None:
    """Exit code 2 is for runs in which no camera lets anybody in."""
    clip, out = clips("h264_long_gop").path, tmp_path / "out"
    with (
        RawCamera(clip, Faults()) as camera,
        RawCamera(clip, Faults(status="404 Not Found")) as nobody,
        running(camera.url(), nobody.url("me:secret@"), "-o", out, "--config", config(tmp_path), code=1),
    ):
        wait_for_frames(out, 30)

    (recording,) = out.glob("*.mp4")
    assert len(shown(recording)) >= 30
    lines = [read_line(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    assert sorted(bool(line.reason) for line in lines if isinstance(line, EndLine)) == [False, True]
    assert "secret" not in (out / "verdicts.jsonl").read_text()


def test_a_camera_that_is_away_at_the_end_is_told(clips: Clips, tmp_path: Path) -> None:
    """However short it has been away for; a silent one is left at once."""
    out = tmp_path / "out"
    with RawCamera(clips("h264_long_gop").path, Faults(pictures_until_s=3)) as camera:
        command = ["run", camera.url(), "-o", out, "--config", config(tmp_path)]
        run = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *map(str, command)], stderr=subprocess.PIPE, text=True
        )
        with run:
            assert run.stderr is not None
            while ": silent: " not in run.stderr.readline():
                assert run.poll() is None
            asked_s = time.monotonic()
            run.send_signal(signal.SIGINT)
            run.communicate(timeout=60)

    assert run.returncode == 1
    assert time.monotonic() - asked_s < 15
    (recording,) = out.glob("*.mp4")
    assert len(shown(recording)) > 30
    *_, end = [read_line(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    assert isinstance(end, EndLine) and end.reason.startswith("no picture for ")
