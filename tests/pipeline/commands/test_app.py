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


def test_the_command_line_opens_without_the_libraries_of_its_commands() -> None:
    """Whoever asks for help, or hides faces, shall not wait for PyTorch."""
    code = f"import sys, pipeline.commands.app; print([name for name in {HEAVY} if name in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
