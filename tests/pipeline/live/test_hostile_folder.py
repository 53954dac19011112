"""What lies beside the videos is never imported: neither by the command, nor by Ray's workers, nor in the jail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.clips import Clips

ROOT = Path(__file__).parents[3]
NAMES = """
    pipeline operators engines av numpy cv2 yaml pydantic psutil google ray cloudpickle json socket
    sitecustomize usercustomize typing facewarden_pb2 encodings
"""


@pytest.fixture
def uploads(tmp_path: Path, clips: Clips) -> Path:
    """A folder with a clip, and modules that leave a mark where they are imported."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    for name in NAMES.split():
        code = f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r}); raise SystemExit('not ours')\n"
        (folder / f"{name}.py").write_text(code)
    shutil.copy(clips("h264_plain").path, folder / "clip.mp4")
    steps = [{"use": "detect.zones", "options": {"boxes": [[0, 0, 0.5, 0.5]]}}, {"use": "deidentify.cover"}]
    (folder / "zones.yaml").write_text(yaml.safe_dump({"steps": steps}))
    return folder


def test_a_run_in_a_folder_of_uploads_runs_none_of_them(uploads: Path) -> None:
    command = [sys.executable, "-P", "-m", "facewarden", "run", "clip.mp4", "-o", "out", "--config", "zones.yaml"]

    done = subprocess.run(
        command, cwd=uploads, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=200
    )

    assert not (uploads.parent / "ran").exists(), (uploads.parent / "ran").read_text()
    assert done.returncode == 0, done.stderr
    assert list((uploads / "out").glob("*.mp4"))


def test_python_m_does_not_put_that_folder_first(uploads: Path) -> None:
    """But for `pipeline` itself, which Python looks up there before anything of ours runs."""
    (uploads / "pipeline.py").unlink()

    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "operators"],
        cwd=uploads, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip

    assert not (uploads.parent / "ran").exists(), (uploads.parent / "ran").read_text()
    assert "detect.cascade" in done.stdout
