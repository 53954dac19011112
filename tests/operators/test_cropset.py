"""Sets of crops: rows stay together, and on disk there is a whole set or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines import ConfigError
from operators.cropset import CropSet, folder_for, join, open_set, save


def made_set(n: int = 4, size: int = 8, *, split: str = "train") -> CropSet:
    """Genuine and forged in turn, each forgery made from the row before it."""
    rows = np.arange(n)
    return CropSet(
        pixels=np.broadcast_to(rows[:, None, None, None], (n, size, size, 3)).astype(np.uint8),
        points=np.zeros((n, 478, 2), np.float32),
        labels=(rows % 2).astype(np.int8),
        groups=np.array([f"person {row // 2}" for row in rows], np.str_).reshape(n),
        clips=np.array([f"clip {row}" for row in rows], np.str_).reshape(n),
        frames=np.zeros(n, np.int64),
        splits=np.full(n, split),
        kinds=np.array(["real", "swap"])[rows % 2],
        masks=np.zeros((n, 2, 2), np.uint8),
        origins=np.where(rows % 2, rows - 1, -1),
    )


def test_rows_are_chosen_with_their_origins() -> None:
    chosen = made_set().where(np.array([3, 2, 1]))

    assert chosen.pixels[:, 0, 0, 0].tolist() == [3, 2, 1]
    assert chosen.origins.tolist() == [1, -1, -1]  # row 1 was made from row 0, which is not among them
    assert chosen.clips.tolist() == ["clip 3", "clip 2", "clip 1"]


def test_a_split_is_only_that() -> None:
    both = join([made_set(4), made_set(2, split="val")])

    assert len(both) == 6
    assert len(both.split("val")) == 2
    assert len(both.split("test")) == 0


def test_parts_come_back_from_disk_as_one(tmp_path: Path) -> None:
    parts = [made_set(4), made_set(0), replace(made_set(2), kinds=np.array(["real", "a longer name"]))]

    save(parts, tmp_path / "set", {"name": "made"})

    found = open_set(tmp_path / "set")
    for name, array in join(parts).arrays().items():
        np.testing.assert_array_equal(getattr(found, name), array)
    assert isinstance(found.pixels, np.memmap)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_nothing_is_left_of_a_set_that_could_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save([made_set()], tmp_path / "set", {"name": {1, 2}, ("no", "key"): 1})  # type: ignore[dict-item]

    assert not list(tmp_path.iterdir())


def test_a_folder_is_named_by_all_that_decides_its_content(tmp_path: Path) -> None:
    folders = {folder_for(tmp_path, {"name": "made", "size": size}) for size in (64, 64, 128)}

    assert len(folders) == 2
    assert all(folder.name.startswith("made-") for folder in folders)


def test_arrays_must_have_the_same_rows() -> None:
    with pytest.raises(ValueError, match=r"crops\.labels: expected 4 rows, got 1"):
        replace(made_set(), labels=np.zeros(1, np.int8))


def test_a_folder_that_holds_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a set of crops"):
        open_set(tmp_path)
