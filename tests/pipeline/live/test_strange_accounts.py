"""Accounts as containers have them: a number that nobody knows, without a home, or with one that is the root folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clips import Clips, shown
from tests.pipeline.live.test_run import config

ROOT = Path(__file__).parents[3]
UNKNOWN = 12345
HOMES = {"no home": [], "the root folder": ["HOME=/"], "one that is not there": ["HOME=/nowhere"]}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def facewarden(home: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """In an environment of nothing but the path, as an account that may read what root's Python is made of."""
    account = ["setpriv", "--reuid", str(UNKNOWN), "--regid", str(UNKNOWN), "--clear-groups"]
    reading = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    environment = ["env", "-i", f"PATH={os.environ['PATH']}", f"PYTHONPATH={ROOT}", *HOMES[home]]
    command = [*account, *reading, *environment, sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, cwd="/")


@pytest.fixture
def out() -> Iterator[Path]:
    """The account's own folder, on a way that all may go."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    os.chown(folder, UNKNOWN, UNKNOWN)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("arguments", [("models", "list"), ("models", "verify"), ("check", "anonymize")])
def test_commands_work_or_say_what_is_missing(home: str, arguments: tuple[str, ...]) -> None:
    done = facewarden(home, *arguments)

    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode in (0, 1, 2)
    if home == "no home":
        assert done.returncode == 2
        assert done.stderr == "error: no home folder for the models; name one by FACEWARDEN_CACHE\n"


@pytest.mark.parametrize("home", HOMES)
def test_a_run_needs_no_home(home: str, clips: Clips, tmp_path: Path, out: Path) -> None:
    done = facewarden(home, "run", clips("h264_plain").path, "-o", out, "--config", config(tmp_path))

    assert done.returncode == 0, done.stderr
    (result,) = out.glob("*.mp4")
    assert shown(result) == list(clips("h264_plain").numbers)
    assert result.stat().st_uid == UNKNOWN
