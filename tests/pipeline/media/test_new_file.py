"""Files are made where nothing was, and given names that nobody has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.media.new_file import NewFile, create_free, create_part, publish


def test_a_part_is_hidden_unforeseeable_and_short_enough_for_any_name(tmp_path: Path) -> None:
    path = tmp_path / f"{'ü' * 120}.mp4"  # 244 bytes

    parts = []
    for _ in range(2):
        part, descriptor = create_part(path)
        os.close(descriptor)
        parts.append(part.name)

    assert len(set(parts)) == 2
    assert all(name.startswith(".ü") and name.endswith(".part") for name in parts)


def test_a_name_that_is_taken_gets_a_number_and_a_link_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("somebody's")
    (tmp_path / "door.mp4").symlink_to(other)
    (tmp_path / "door.2.mp4").mkdir()

    name, descriptor = create_free(tmp_path / "door.mp4")
    os.close(descriptor)

    assert name.name == "door.3.mp4"
    assert other.read_text() == "somebody's"


@pytest.mark.parametrize("links", [True, False], ids=["with hard links", "on a file system without"])
def test_a_file_takes_the_first_free_name_and_replaces_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a.mp4").write_text("first")
    part, descriptor = create_part(tmp_path / "a.mp4")
    os.write(descriptor, b"second")
    os.close(descriptor)

    assert publish(part, tmp_path / "a.mp4") == tmp_path / "a.2.mp4"

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.mp4": "first", "a.2.mp4": "second"}


def test_a_disk_error_stays(tmp_path: Path) -> None:
    _, descriptor = create_free(tmp_path / "a")
    file = NewFile(descriptor)
    assert (file.write(b"abc"), file.tell(), file.seek(-1, os.SEEK_END), file.write(b"d")) == (3, 3, 2, 1)
    read_only = os.open(tmp_path / "a", os.O_RDONLY)
    os.dup2(read_only, descriptor)

    with pytest.raises(OSError, match="Bad file descriptor") as first:
        file.write(b"e")
    with pytest.raises(OSError, match="Bad file descriptor") as again:
        file.write(b"f")

    file.end()
    file.end()
    os.close(read_only)
    assert again.value is first.value is file.error
    assert (tmp_path / "a").read_bytes() == b"abd"
