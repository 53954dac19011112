"""A reader sees the old file or the new one, and no leavings."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.files import make_public, sha256_of, write_whole


@pytest.mark.parametrize("before", [None, b"a much longer content than the new one"], ids=["new", "there"])
def test_a_file_is_replaced_whole(before: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    if before is not None:
        file.write_bytes(before)

    write_whole(file, b"new")

    assert file.read_bytes() == b"new" and list(tmp_path.iterdir()) == [file]


def test_who_has_the_old_file_open_goes_on_reading_it(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_bytes(b"old")

    with file.open("rb") as reader:
        write_whole(file, b"new")
        assert reader.read() == b"old"


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    (taken / "by a folder").mkdir(parents=True)

    with pytest.raises(OSError, match="taken"):
        write_whole(taken, b"new")
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "nowhere" / "file", b"new")

    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_hash_that_is_published() -> None:
    """FIPS 180-2, appendix B.1."""
    assert sha256_of(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_everybody_needs_may_be_read_by_everybody(tmp_path: Path) -> None:
    file = tmp_path / "model"
    write_whole(file, b"new")
    assert file.stat().st_mode & 0o777 == 0o600

    make_public(file)

    assert file.stat().st_mode & 0o777 == 0o644
