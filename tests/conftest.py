"""Material that tests share: made clips, and real recordings where the reader has them."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.clips import Clips
from tests.hostile import HostileFiles
from tests.rtsp_server import RtspServer

# The same examples in every run: a test that fails once fails again.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs a GPU where there is none."""
    if shutil.which("nvidia-smi") is None:
        for item in items:
            if item.get_closest_marker("gpu") is not None:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Made videos by name; see `tests/clips.py`. They are shared: do not write to them."""
    return Clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> HostileFiles:
    """Broken files by name; see `tests/hostile.py`."""
    return HostileFiles(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real material that FACEWARDEN_DATA names; without it, the test is skipped."""
    named = os.environ.get("FACEWARDEN_DATA")
    if not named:
        pytest.skip("FACEWARDEN_DATA is not set; it names the folder with real recordings")
    folder = Path(named)
    assert folder.is_dir(), f"FACEWARDEN_DATA: expected a folder, got {named}"
    return folder


@pytest.fixture(scope="session")
def rtsp_available() -> None:
    """Skips the test where `RtspServer` cannot run."""
    missing = RtspServer.missing()
    if missing:
        pytest.skip(missing)


@pytest.fixture(scope="session", autouse=True)
def answer_sighup() -> None:
    """As from a terminal: under `nohup` it is ignored, which the programs that are tested respect."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
