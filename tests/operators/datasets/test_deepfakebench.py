"""DeepfakeBench: lists of frames, wherever the lists and the frames lie, and however their paths are written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from engines import ConfigError
from operators.datasets import deepfakebench
from tests.operators.datasets import trees

FRAME = "Set/real/v/0.png"


def listed(root: Path, kinds: dict[str, Any], *, folder: str = "dataset_json", name: str = "Set") -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / f"{name}.json").write_text(json.dumps({name: kinds}))
    return root


def videos(names: Iterable[str], frame: str = FRAME) -> dict[str, Any]:
    return {name: {"label": "-", "frames": [frame]} for name in names}


def splits(folder: Path) -> dict[str, str]:
    return {clip.name: clip.split for clip in deepfakebench.read(folder).clips}


@pytest.mark.parametrize("folder", deepfakebench.PLACES)
@pytest.mark.parametrize("pictures", deepfakebench.PICTURES)
@pytest.mark.parametrize("written", [FRAME, FRAME.replace("/", "\\"), f"/{FRAME}"], ids=["plain", "windows", "rooted"])
def test_frames_are_found_wherever_they_lie(folder: str, pictures: str, written: str, tmp_path: Path) -> None:
    trees.names(tmp_path / pictures, FRAME)
    listed(tmp_path, {"real": {"test": videos(["v"], written)}}, folder=folder)

    (clip,) = deepfakebench.read(tmp_path).clips

    assert clip.footage.files() == (tmp_path / pictures / FRAME,)


@pytest.mark.parametrize(
    ("kind", "label", "called"),
    [("FF-real", 0, "real"), ("Celeb-Real", 0, "real"), ("YouTube-real", 0, "real"), ("FF-F2F", 1, "FF-F2F")],
)
def test_a_kind_with_real_in_its_name_is_genuine(kind: str, label: int, called: str, tmp_path: Path) -> None:
    (clip,) = deepfakebench.read(listed(tmp_path, {kind: {"test": videos(["v"])}})).clips

    assert (clip.label, clip.kind, clip.name, clip.cropped) == (label, called, f"{kind}/v", True)


def test_one_compression_is_read(tmp_path: Path) -> None:
    listed(tmp_path, {"FF-real": {"test": {"c23": videos(["000"]), "c40": videos(["000", "003"])}}})

    assert len(deepfakebench.read(tmp_path).clips) == 1
    assert len(deepfakebench.read(tmp_path, compression="c40").clips) == 2
    with pytest.raises(ConfigError, match="but no clips"):
        deepfakebench.read(tmp_path, compression="raw")


@pytest.mark.parametrize("val", [{}, videos(["000"])], ids=["none", "that of its authors, who test on it"])
def test_a_set_without_a_val_of_its_own_gives_up_a_tenth(val: dict[str, Any], tmp_path: Path) -> None:
    """The hash holds 010 out, and not 011."""
    listed(tmp_path, {"real": {"train": videos(["010", "011"]), "val": val, "test": videos(["000"])}})

    assert splits(tmp_path) == {"real/010": "val", "real/011": "train", "real/000": "test"}


def test_a_set_with_a_val_keeps_its_splits(tmp_path: Path) -> None:
    listed(tmp_path, {"real": {"train": videos(["010"]), "val": videos(["020"]), "test": videos(["000"])}})

    assert splits(tmp_path) == {"real/010": "train", "real/020": "val", "real/000": "test"}


def test_what_is_tested_on_is_not_trained_on(tmp_path: Path) -> None:
    listed(tmp_path, {"real": {"train": videos(["000", "011"]), "test": videos(["000"])}})

    assert splits(tmp_path) == {"real/011": "train", "real/000": "test"}


def test_originals_are_grouped_with_either_direction_of_their_pair(tmp_path: Path) -> None:
    listed(tmp_path, {"FF-real": {"test": videos(["000", "003", "777"])}, "FF-FS": {"test": videos(["003_000"])}})

    groups = {clip.name: clip.group for clip in deepfakebench.read(tmp_path).clips}

    pair = dict.fromkeys(("FF-real/000", "FF-real/003", "FF-FS/003_000"), "000_003")
    assert groups == {**pair, "FF-real/777": "777"}


@pytest.mark.parametrize(
    ("names", "asked", "complaint"),
    [((), "", "one of none"), (("A", "B"), "", "one of A, B, got ''"), (("A",), "C", "one of A, got 'C'")],
    ids=["no list", "several", "another"],
)
def test_a_list_has_to_be_chosen(names: tuple[str, ...], asked: str, complaint: str, tmp_path: Path) -> None:
    for name in names:
        listed(tmp_path, {"real": {"test": videos(["v"])}}, name=name)

    with pytest.raises(ConfigError, match=complaint):
        deepfakebench.read(tmp_path, name=asked)


def test_one_of_several_lists_by_its_name(tmp_path: Path) -> None:
    for name in ("A", "B"):
        listed(tmp_path, {"real": {"test": videos([f"of {name}"])}}, name=name)

    found = deepfakebench.read(tmp_path, name="B")

    assert (found.name, [clip.name for clip in found.clips]) == ("B", ["real/of B"])
