"""A command whose output is closed, full or not read: its work is done, and its exit code is that of the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

CHECKOUT = Path(__file__).parents[3]


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Runs a line in which FACEWARDEN stands for the program."""
    program = f"{sys.executable} -m pipeline"
    return subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", line.replace("FACEWARDEN", program)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo, and beside it a config that covers its left half."""
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 48), "white").save(path)
    (tmp_path / "half.yaml").write_text(
        "steps:\n- use: detect.zones\n  options: {boxes: [[0, 0, 0.5, 1]]}\n- use: deidentify.cover\n"
    )
    return path


@pytest.mark.parametrize(
    ("where", "code", "says"),
    [
        pytest.param(">&-", 0, "", id="stdout is closed"),
        pytest.param("2>&-", 0, "", id="stderr is closed"),
        pytest.param("<&- >&- 2>&-", 0, "", id="all are closed"),
        pytest.param("| head -c 0", 0, "", id="nobody reads"),
        pytest.param("> /dev/full", 1, "stdout: cannot be written to (No space left on device)", id="no room"),
        pytest.param("2> /dev/full", 0, "", id="no room for errors"),
    ],
)
def test_a_photo_is_masked_wherever_its_table_goes(photo: Path, where: str, code: int, says: str) -> None:
    result = photo.with_name("masked.png")

    done = shell(f"FACEWARDEN run {photo} -o {result} --config {photo.with_name('half.yaml')} {where}")

    assert result.is_file()
    assert done.returncode == code
    assert "Traceback" not in done.stderr and says in done.stderr
    assert bool(done.stderr.strip()) == bool(says)


@pytest.mark.parametrize("arguments", ["schema config", "--help", "--version"])
def test_what_only_prints_says_that_it_could_not(arguments: str) -> None:
    done = shell(f"FACEWARDEN {arguments} > /dev/full")

    assert done.returncode == 1
    assert done.stderr.startswith("error: stdout: cannot be written to (No space left on device)")


def test_a_mistake_keeps_its_code() -> None:
    assert shell("FACEWARDEN run /no/such.png >&- 2>&-").returncode == 2
