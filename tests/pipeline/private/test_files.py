"""Files and folders of one's own in folders where others write: nothing that was planted is taken."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.private.files import create_new, own_folder, require_own_file

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may hand a file to another user")
STRANGER = 12345


def given_away(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    os.chown(path, STRANGER, STRANGER)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("plant", [Path.touch, lambda p: p.symlink_to("victim"), lambda p: p.symlink_to("nowhere")])
def test_what_is_there_is_never_opened(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    (tmp_path / "victim").write_text("whole")
    plant(tmp_path / "new")

    with pytest.raises(FileExistsError):
        create_new(tmp_path / "new")

    assert (tmp_path / "victim").read_text() == "whole" and not (tmp_path / "nowhere").exists()


def test_folders_are_made_for_their_owner(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        descriptor = own_folder(tmp_path / "out" / "deep", ".work", "run")
    finally:
        os.umask(before)

    made = tmp_path / "out" / "deep" / ".work"
    assert (mode(made), mode(made / "run")) == (0o700, 0o700)
    assert os.path.samestat(os.fstat(descriptor), (made / "run").stat())
    os.close(descriptor)


def test_a_folder_that_others_can_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / ".work").mkdir(mode=0o755)

    os.close(own_folder(tmp_path, ".work"))

    assert mode(tmp_path / ".work") == 0o700


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (lambda path: path.symlink_to(path.parent / "theirs"), "expected a folder, found a link"),
        (Path.touch, "expected a folder, found a file"),
        (lambda path: (path.mkdir(), path.chmod(0o777)), "others may write to it"),
        pytest.param(lambda path: given_away(path, Path.mkdir),
                     rf"belongs to another user \(uid {STRANGER}\)", marks=root_only),
    ],
)  # fmt: skip
@pytest.mark.parametrize("names", [[".work"], [".work", "run"]])
def test_a_folder_that_was_planted_is_refused(
    tmp_path: Path, plant: Callable[[Path], object], says: str, names: list[str]
) -> None:
    (tmp_path / "theirs").mkdir()
    planted = tmp_path.joinpath(*names)
    planted.parent.mkdir(mode=0o700, exist_ok=True)
    plant(planted)
    open_before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(ConfigError, match=says):
        own_folder(tmp_path, *names)

    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
    assert not list((tmp_path / "theirs").iterdir())


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (lambda path: path.symlink_to(path.parent / "theirs"), "found a link"),
        (lambda path: os.link(path.parent / "theirs", path), "second name"),
        (lambda path: (path.touch(), path.chmod(0o666)), "others may write to it"),
        (lambda path: os.mkfifo(path), "found a link or something else"),
        pytest.param(lambda path: given_away(path, Path.touch), "another user", marks=root_only),
    ],
)  # fmt: skip
def test_a_file_that_was_planted_is_refused(tmp_path: Path, plant: Callable[[Path], object], says: str) -> None:
    (tmp_path / "theirs").touch(mode=0o600)
    plant(tmp_path / "db")

    with pytest.raises(ConfigError, match=says):
        require_own_file(tmp_path / "db")


def test_a_file_of_ones_own_is_closed_to_readers(tmp_path: Path) -> None:
    (tmp_path / "db").touch()
    (tmp_path / "db").chmod(0o644)

    require_own_file(tmp_path / "db")

    assert mode(tmp_path / "db") == 0o600
