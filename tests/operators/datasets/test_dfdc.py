"""DFDC: several lists, each with its own words for labels, splits and originals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from operators.datasets import dfdc
from operators.datasets.clips import Clip
from tests.operators.datasets import trees


def only(folder: Path) -> Clip:
    (clip,) = dfdc.read(folder).clips
    return clip


@pytest.mark.parametrize(
    ("file", "known", "split"),
    [
        pytest.param("part_0/4.mp4", {}, "train", id="training"),
        pytest.param("part_0/5.mp4", {}, "val", id="held out by the hash"),
        pytest.param("part_0/4.mp4", {"split": "train"}, "train", id="training, said"),
        pytest.param("part_0/5.mp4", {"split": "test"}, "test", id="test, said"),
        pytest.param("part_0/4.mp4", {"split": "validation"}, "val", id="validation, said"),
        pytest.param("part_0/4.mp4", {"set": "test"}, "test", id="test, as the preview says it"),
        pytest.param("test/4.mp4", {}, "test", id="a folder of tests"),
        pytest.param("validation/4.mp4", {}, "val", id="a folder of validation"),
        pytest.param("test/4.mp4", {"split": "val"}, "val", id="the field before the folder"),
    ],
)
def test_splits(file: str, known: dict[str, str], split: str, tmp_path: Path) -> None:
    trees.names(tmp_path, file)
    (tmp_path / file).with_name("metadata.json").write_text(json.dumps({Path(file).name: {"label": "REAL", **known}}))

    assert only(tmp_path).split == split


@pytest.mark.parametrize(
    ("said", "label", "kind"),
    [("FAKE", 1, "DFDC"), ("fake", 1, "DFDC"), ("1", 1, "DFDC"), ("REAL", 0, "real"), ("0", 0, "real")],
)
def test_labels(said: str, label: int, kind: str, tmp_path: Path) -> None:
    trees.names(tmp_path, "test/a.mp4")
    trees.table(tmp_path / "test/labels.csv", ("filename", "label"), ("a.mp4", said))

    assert (only(tmp_path).label, only(tmp_path).kind) == (label, kind)


@pytest.mark.parametrize(
    ("known", "group"),
    [
        pytest.param({"original": "b.mp4"}, "part/b.mp4", id="its original"),
        pytest.param({"target_id": "17"}, "part/17", id="its person"),
        pytest.param({"original": None}, "part/a.mp4", id="none, said"),
        pytest.param({}, "part/a.mp4", id="none"),
    ],
)
def test_a_forgery_is_grouped_with_what_it_was_made_of(known: dict[str, str], group: str, tmp_path: Path) -> None:
    trees.names(tmp_path, "part/a.mp4")
    (tmp_path / "part/metadata.json").write_text(json.dumps({"a.mp4": {"label": "FAKE", **known}}))

    assert only(tmp_path).group == group


def test_a_video_may_have_been_unpacked_to_pictures(tmp_path: Path) -> None:
    trees.pictures(tmp_path / "a", 2)
    trees.names(tmp_path, "b/notes.txt")
    (tmp_path / "metadata.json").write_text(
        json.dumps({name: {"label": "REAL"} for name in ("a.mp4", "b.mp4", "c.mp4")})
    )

    assert only(tmp_path).name == "./a.mp4"
    assert [file.name for file in only(tmp_path).footage.files()] == ["0.png", "1.png"]


def test_a_folder_is_known_by_a_list_in_it_or_one_below(tmp_path: Path) -> None:
    assert not dfdc.recognises(tmp_path)
    trees.names(tmp_path, "far/below/metadata.json")
    assert not dfdc.recognises(tmp_path)
    trees.names(tmp_path, "part/labels.csv")
    assert dfdc.recognises(tmp_path)
