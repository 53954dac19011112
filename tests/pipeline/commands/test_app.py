"""All commands under one name, none of which waits for the libraries of another."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pipeline.commands.app import app

COMMANDS = {"run", "screen", "check", "operators", "tune", "models", "engines", "train", "export", "evaluate", "ablate"}
REGISTERED = sorted(vars(get_command(app))["commands"])
HEAVY = ("torch", "ray", "cv2", "av", "onnxruntime", "mediapipe", "scipy", "sklearn", "kafka")


def test_the_version_is_that_of_the_distribution() -> None:
    done = CliRunner().invoke(app, ["--version"])

    assert (done.exit_code, done.stdout.strip()) == (0, version("facewarden"))


def test_the_help_names_all_commands() -> None:
    done = CliRunner().invoke(app, ["--help"])

    assert done.exit_code == 0
    assert set(REGISTERED) >= COMMANDS
    assert [name for name in REGISTERED if f" {name} " in done.stdout] == REGISTERED


@pytest.mark.parametrize("command", REGISTERED)
def test_every_command_has_a_help(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])

    assert done.exit_code == 0 and "Usage: " in done.stdout
    assert re.search(r"^ [A-Z]", done.stdout.partition("Usage: ")[2], re.MULTILINE)  # what it does


@pytest.mark.parametrize("arguments", [["hide"], ["run", "--no-such-option"]], ids=["command", "option"])
def test_what_there_is_not(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)

    assert done.exit_code == 2 and "No such" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["run", ""], "argument 2"),
        (["run", "a.mp4", "-o", ""], "-o"),
        (["run", "a.mp4", "--verdicts="], "--verdicts"),
        (["screen", "a.mp4", "--output", ""], "--output"),
        (["verify", "a.mp4", ""], "argument 3"),
        (["recover", ""], "argument 2"),
        (["keys", "new", ""], "argument 3"),
    ],
)
def test_an_empty_name_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], place: str
) -> None:
    (tmp_path / "a.mp4").touch()
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(app, arguments)

    assert done.exit_code == 2
    assert f"{place}: expected a name or a value, got an empty one" in " ".join(done.stderr.replace("│", "").split())
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_the_command_line_opens_without_the_libraries_of_its_commands() -> None:
    """Whoever asks for help, or hides faces, shall not wait for PyTorch."""
    code = f"import sys, pipeline.commands.app; print([name for name in {HEAVY} if name in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
