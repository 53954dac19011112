"""The folder of a run: found again by the same command, for its owner only, and gone when it is done."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from engines import ConfigError
from pipeline.config import Config, Step
from pipeline.live.work_folder import WorkFolder

CONFIG = Config(steps=[Step(use="detect.zones")])


def opened(base: Path, *, sources: list[str] | None = None, output: str | None = "out", **changes: Any) -> WorkFolder:
    return WorkFolder(base, sources or ["a.mp4"], output, CONFIG.model_copy(update=changes))


def left(folder: WorkFolder) -> WorkFolder:
    """As a process leaves it that was killed: its lock goes with it, and nothing else."""
    os.close(folder._lock)
    return folder


def test_the_same_command_finds_what_it_left(tmp_path: Path) -> None:
    first = left(opened(tmp_path))
    (first.path / "facewarden.db").write_text("stored")

    second = opened(tmp_path)

    assert (first.resumed, second.resumed) == (False, True)
    assert (second.path, second.run_id) == (first.path, first.run_id)
    assert len(first.run_id) == 12
    assert (second.path / "facewarden.db").read_text() == "stored"
    second.remove()


@pytest.mark.parametrize(
    "changes",
    [{"sources": ["b.mp4"]}, {"sources": ["a.mp4", "b.mp4"]}, {"output": None}, {"output": "other"}, {"workers": 2}],
    ids=["another source", "one more", "no output", "another output", "another config"],
)
def test_another_command_has_a_folder_of_its_own(tmp_path: Path, changes: dict[str, Any]) -> None:
    first, second = opened(tmp_path), opened(tmp_path, **changes)

    assert first.path != second.path
    assert first.run_id != second.run_id
    assert second.path.parent == first.path.parent == tmp_path / ".facewarden"
    first.remove()
    second.remove()


def test_a_source_is_the_same_from_wherever_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = left(opened(tmp_path, sources=["films/a.mp4"]))
    second = left(opened(tmp_path, sources=[f"{tmp_path}/films/../films/a.mp4"]))

    assert first.path == second.path


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = opened(tmp_path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.path / "lock").stat().st_mode) == 0o600
    folder.remove()


def test_a_run_that_goes_on_is_not_begun_again(tmp_path: Path) -> None:
    folder = opened(tmp_path)

    with pytest.raises(ConfigError, match="already going on in another process"):
        opened(tmp_path)

    folder.remove()
    opened(tmp_path).remove()


def test_it_is_gone_with_all_that_was_in_it(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path, workers=2)
    (one.path / "deep").mkdir()
    (one.path / "deep" / "picture").write_text("clear")

    one.remove()
    assert not one.path.exists()
    assert other.path.exists()
    other.remove()

    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"file: cannot be written to \(Not a directory\); choose another output"):
        opened(tmp_path / "file")
