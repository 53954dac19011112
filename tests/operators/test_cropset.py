"""Sets of crops: rows stay together, and on disk there is a whole set or none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.permutations(range(6)), st.integers(0, 6))
def test_an_origin_is_the_row_of_the_same_crop(order: list[int], count: int) -> None:
    whole, rows = made_set(6), np.array(order[:count], np.int64)

    chosen = whole.where(rows)

    for row, origin in zip(rows, chosen.origins, strict=True):
        if origin >= 0:
            assert chosen.clips[origin] == whole.clips[whole.origins[row]]
        else:
            assert whole.origins[row] not in rows
    assert (whole.origins == made_set(6).origins).all()


def test_rows_are_chosen_by_a_mask_and_again_from_what_was_chosen() -> None:
    whole = made_set(6)

    half = whole.where(np.array([False, False, True, True, True, True]))
    pair = half.where(np.array([3, 2]))

    assert half.origins.tolist() == [-1, 0, -1, 2]
    assert pair.clips.tolist() == ["clip 5", "clip 4"]
    assert pair.origins.tolist() == [1, -1]


def test_masks_that_are_not_known_stay_none() -> None:
    unknown = replace(made_set(), masks=np.zeros((0, 2, 2), np.uint8))

    assert unknown.where(np.array([1, 0])).masks.shape == (0, 2, 2)
    assert (len(unknown), unknown.size) == (4, 8)


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


def test_a_set_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    save([made_set(4)], tmp_path / "deep" / "set", {"name": "made"})

    save([made_set(2)], tmp_path / "deep" / "set", {"name": "made", "size": 8})

    assert len(open_set(tmp_path / "deep" / "set")) == 2
    assert json.loads((tmp_path / "deep" / "set" / "recipe.json").read_text()) == {"name": "made", "size": 8}


def test_a_set_that_could_not_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    save([made_set(4)], tmp_path / "set", {"name": "made"})

    with pytest.raises(ValueError):
        save([made_set(2), made_set(2, size=9)], tmp_path / "set", {"name": "made"})

    assert len(open_set(tmp_path / "set")) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("damage", ["missing", "cut off", "no array", "fewer rows"])
def test_a_damaged_set_is_refused_with_what_to_do(tmp_path: Path, damage: str) -> None:
    save([made_set(4)], tmp_path / "set", {"name": "made"})
    labels = tmp_path / "set" / "labels.npy"
    content = labels.read_bytes()
    labels.unlink()
    if damage == "cut off":
        labels.write_bytes(content[:-2])
    elif damage == "no array":
        labels.write_bytes(b"no array")
    elif damage == "fewer rows":
        np.save(labels, np.zeros(3, np.int8))

    with pytest.raises(ConfigError, match=r"set: expected a set of crops \(.*\); delete it, and it is made again"):
        open_set(tmp_path / "set")


def test_a_recipe_has_one_folder_however_it_is_written(tmp_path: Path) -> None:
    one, other = {"name": "made", "size": 8, "from": Path("/a")}, {"from": Path("/a"), "size": 8, "name": "made"}

    assert folder_for(tmp_path, one) == folder_for(tmp_path, other)
    assert folder_for(tmp_path, one).parent == tmp_path
    assert folder_for(tmp_path, {"size": 8}).name.startswith("crops-")


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
