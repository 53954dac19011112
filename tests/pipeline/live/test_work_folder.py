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
    folder = WorkFolder(base, sources or ["a.mp4"], output, CONFIG.model_copy(update=changes))
    folder.make()
    return folder


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

    with pytest.raises(ConfigError, match=rf"already going on in another process \({os.getpid()}\)"):
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


# -- before Ray is there, and where others write ---------------------------------------------------------


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path / "out", ["a.mp4"], None, CONFIG)

    assert list(tmp_path.iterdir()) == []
    folder.remove()  # of nothing
    folder.make()
    assert folder.path.is_dir()
    folder.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_goes_on_is_not_abandoned(tmp_path: Path) -> None:
    left(opened(tmp_path))
    again = opened(tmp_path)

    again.abandon()

    assert again.path.is_dir()
    again.remove()


def test_two_that_begin_at_once_do_not_mix(tmp_path: Path) -> None:
    first, second = (WorkFolder(tmp_path, ["a.mp4"], None, CONFIG) for _ in range(2))
    first.make()

    with pytest.raises(ConfigError, match="already going on"):
        second.make()
    left(first)
    with pytest.raises(ConfigError, match="begun in another process meanwhile"):
        WorkFolder.make(second)
    first.remove()


@pytest.mark.parametrize("name", ["", "run", "lock"])
@pytest.mark.parametrize("plant", ["a link", "another's"])
def test_what_was_planted_is_refused(tmp_path: Path, name: str, plant: str) -> None:
    first = left(opened(tmp_path))
    (tmp_path / "theirs").mkdir() if not name else (tmp_path / "theirs").write_text("0" * 12)
    planted = first.path / name if name else first.path.parent
    if plant == "a link":
        planted.rename(tmp_path / "away")
        planted.symlink_to(tmp_path / "theirs")
    elif os.geteuid() == 0:
        os.chown(planted, 12345, 12345)
    else:
        pytest.skip("only root may hand a file to another user")

    with pytest.raises(ConfigError):
        opened(tmp_path)

    if name:
        assert (tmp_path / "theirs").read_text() == "0" * 12
    else:
        assert list((tmp_path / "theirs").iterdir()) == []


@pytest.mark.parametrize("stored", ["", "../../etc", "run\x1b[2J", "0" * 13])
def test_a_name_of_a_run_that_is_none_is_not_taken(tmp_path: Path, stored: str) -> None:
    (left(opened(tmp_path)).path / "run").write_text(stored)

    folder = opened(tmp_path)

    assert not folder.resumed and len(folder.run_id) == 12 and folder.run_id != stored
    folder.remove()
