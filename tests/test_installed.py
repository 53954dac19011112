"""What is shipped runs wherever it is installed: here by `pip install --target`, from another folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ("pyproject.toml", "README.md", "LICENSE", "facewarden.py", "engines", "operators", "pipeline", "configs")
BUILD = "import setuptools.build_meta as b; print(b.build_wheel('wheels'))"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs, and nothing of what it depends on."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    (source / "wheels").mkdir()
    built = subprocess.run([sys.executable, "-c", BUILD], cwd=source, capture_output=True, text=True, timeout=200)
    if built.returncode:
        pytest.skip(f"no wheel can be built here: {built.stderr[-500:]}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    command += ["--target", str(target), *map(str, (source / "wheels").glob("*.whl"))]
    if subprocess.run(command, capture_output=True, timeout=200).returncode:
        pytest.skip("no pip in this environment")
    return target


def facewarden(target: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(target / "bin" / "facewarden"), *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(target)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--help"], "Hides people in video"), (["operators"], "detect.cascade"), (["models", "list"], "centerface")],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_starts_and_finds_its_configs(target: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    done = facewarden(target, tmp_path, *arguments)

    assert (done.returncode, done.stderr) == (0, "")
    assert words in done.stdout


def test_its_jail_and_its_configs_are_those_of_the_installation(target: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("steps: [{use: detect.zones, options: {boxes: []}}]")

    done = facewarden(target, tmp_path, "check", "own.yaml", "--machine")

    assert "own.yaml: fine" in done.stdout, done.stderr
    assert "in a jailed child" in done.stdout
    assert (target / "pipeline/configs/pipelines/anonymize.yaml").is_file()
    assert not (target / "share").exists()


def test_a_package_of_the_same_name_is_told(target: Path, tmp_path: Path) -> None:
    theirs = target / "pipeline" / "config.py"
    ours = theirs.read_text()
    theirs.write_text("print('theirs')\n")
    try:
        done = facewarden(target, tmp_path, "--help")
    finally:
        theirs.write_text(ours)

    assert (done.returncode, done.stdout) == (2, "")
    assert "pipeline/config.py is not Facewarden's any more" in done.stderr
