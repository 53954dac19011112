"""The command does not start where somebody else's package has its name, its place or its files."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facewarden import PACKAGES, foreign_file

ROOT = Path(__file__).parents[1]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The command as pip installs it, with packages of one line each that bear our names."""
    shutil.copy(ROOT / "facewarden.py", tmp_path)
    record = []
    for name in PACKAGES:
        module = tmp_path / name / "__init__.py"
        module.parent.mkdir()
        module.write_text(f"print({name!r})\n")
        digest = base64.urlsafe_b64encode(hashlib.sha256(module.read_bytes()).digest()).rstrip(b"=").decode()
        record.append(f"{name}/__init__.py,sha256={digest},20")
    folder = tmp_path / "facewarden-1.0.dist-info"
    folder.mkdir()
    (folder / "RECORD").write_text("\n".join([*record, "facewarden-1.0.dist-info/RECORD,,"]))
    return tmp_path


def started(*folders: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = [sys.executable, "-P", str(folders[-1] / "facewarden.py"), "--version"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_what_is_as_it_was_installed_is_ours(installed: Path) -> None:
    assert foreign_file(installed) == ""
    assert foreign_file(ROOT) == ""  # a checkout


def test_a_file_that_was_replaced_is_named_and_nothing_of_it_runs(installed: Path) -> None:
    (installed / "pipeline" / "__init__.py").write_text("print('theirs')\n")

    done = started(installed)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"{installed}/pipeline/__init__.py is not Facewarden's any more" in done.stderr
    assert "environment of its own" in done.stderr and "Traceback" not in done.stderr


def test_a_file_that_is_gone_is_named(installed: Path) -> None:
    (installed / "engines" / "__init__.py").unlink()

    assert "engines/__init__.py cannot be read (No such file or directory)" in foreign_file(installed)


def test_a_package_that_is_found_first_is_named_and_does_not_run(installed: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "pipeline").mkdir(parents=True)
    (theirs / "pipeline" / "__init__.py").write_text("print('theirs')\n")

    done = started(theirs, installed)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"the package 'pipeline' is found at {theirs}/pipeline/__init__.py" in done.stderr


def test_ours_starts() -> None:
    done = started(ROOT)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
