"""What README and docs say is true: links lead somewhere; commands are run here, in CI, or say what they need."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from pipeline.commands.demo_clip import render_demo
from tests.model_files import model_file

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
README_LINES = 150
FRAMES = 24
"""Of the clip on which commands are run."""
CI = (ROOT / ".ci/run").read_text()
MAX_ANSWERS = 30
"""Lines of a grep that answers a question."""
INDICATED = 3
"""What `screen` ends with where it finds something; any verdict on the drawn clip is fine here."""


@dataclass(frozen=True)
class Command:
    """A line of a page's `sh` blocks: the command, and the remark after it."""

    page: str
    line: str
    remark: str

    @property
    def is_run(self) -> bool:
        return self.line.startswith("facewarden ") and not self.remark.startswith("needs ")


def commands() -> Iterator[Command]:
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            for line in filter(str.strip, block.splitlines()):
                command, _, remark = line.partition("  #") if "  #" in line else line.partition(" # ")
                yield Command(page.name, command.strip(), remark.strip())


COMMANDS = list(commands())
RUN = list({command.line: command for command in COMMANDS if command.is_run}.values())


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)\)", page.read_text())

    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_command_is_run_somewhere_or_says_what_it_needs() -> None:
    loose = [
        f"{command.page}: {command.line}"
        for command in COMMANDS
        if not command.is_run
        and not command.remark.startswith("needs ")
        and not (command.remark.startswith("in CI") and command.line.split("  ")[0] in CI)
    ]

    assert len(COMMANDS) > 20
    assert len(RUN) > 10
    assert not loose


def test_every_command_there_is_stands_in_a_page() -> None:
    listed = subprocess.run([sys.executable, "-m", "pipeline", "--help"], capture_output=True, text=True, check=True)
    known = set(re.findall(r"^. ([a-z]+)  ", listed.stdout, re.MULTILINE))
    written = {shlex.split(command.line)[1] for command in COMMANDS if command.line.startswith("facewarden ")}

    assert len(known) > 8
    assert known <= written


def test_each_question_of_the_architecture_is_answered_by_at_most_two_greps() -> None:
    table = (ROOT / "docs/architecture.md").read_text().partition("## Questions")[2].partition("\n## ")[0]
    rows = [re.findall(r"`(grep [^`]+)`", line) for line in table.splitlines() if line.startswith("| ")][1:]

    assert len(rows) >= 10
    assert all(1 <= len(greps) <= 2 for greps in rows)
    for grep in (grep for greps in rows for grep in greps):
        found = subprocess.run(shlex.split(grep), cwd=ROOT, capture_output=True, text=True, check=False)
        assert found.returncode == 0, grep
        assert len(found.stdout.splitlines()) <= MAX_ANSWERS, grep


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands are given: clips of a drawn face, its photo, and a config."""
    for name in ("centerface", "yunet", "face_landmarker", "face_descriptor", "face_points"):
        model_file(name)
    folder = tmp_path_factory.mktemp("docs")
    whole = folder / "whole.mp4"
    render_demo(whole)
    reader = cv2.VideoCapture(str(whole))
    frames = [reader.read()[1] for _ in range(FRAMES)]
    reader.release()
    whole.unlink()
    names = ("holiday.mp4", "party.mp4", "clips/a.mp4", "clips/more/b.mp4", "uploads/c.mp4")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*"mp4v"), 25, frames[0].shape[1::-1])
        for frame in frames:
            writer.write(frame)
        writer.release()
    cv2.imwrite(str(folder / "me.jpg"), frames[0][:, :330])
    (folder / "my.yaml").write_text((ROOT / "configs/pipelines/anonymize.yaml").read_text())
    return folder


@pytest.mark.parametrize("command", RUN, ids=lambda command: command.line)
def test_a_command_does_what_its_page_says(command: Command, folder: Path) -> None:
    before = set(folder.rglob("*"))

    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *shlex.split(command.line)[1:]],
        cwd=folder, capture_output=True, text=True, timeout=280, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    allowed = {0, INDICATED} if command.line.startswith("facewarden screen") else {0}
    assert done.returncode in allowed, done.stderr[-2000:]
    given = shlex.split(command.line)
    if "-o" in given:
        output = folder / given[given.index("-o") + 1]
        assert output.exists()
        assert output not in before or any(output.iterdir())
