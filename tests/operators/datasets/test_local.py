"""The project's own small sets: archives of images, and a table of what is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from operators.datasets import find_set, local
from operators.datasets.footage import Archived
from tests.operators.datasets import trees

FAIRFACE = ("file", "archive", "age", "gender", "race")


def test_of_fairface_only_the_archives_that_are_there(tmp_path: Path) -> None:
    """The hash holds train/0.webp out, and not train/1.webp."""
    trees.names(tmp_path, "one.tar")
    there, gone = ("one.tar", "20-29", "Male", "White"), ("two.tar", "20-29", "Male", "White")
    rows = [(name, *there) for name in ("train/0.webp", "train/1.webp", "val/0.webp")]
    trees.table(tmp_path / "labels.csv", FAIRFACE, *rows, ("train/2.webp", *gone))

    found = {clip.name: (clip.split, clip.group, clip.label, clip.cropped) for clip in find_set(str(tmp_path)).clips}

    assert found == {
        "train/0.webp": ("val", "train/0.webp", 0, True),
        "train/1.webp": ("train", "train/1.webp", 0, True),
        "val/0.webp": ("test", "val/0.webp", 0, True),
    }


def test_frames_of_a_clip_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    rows = [(f"{frame}.jpg", "fake", "Ann_2_Lee_11", frame) for frame in (10, 9, 100)]
    trees.table(tmp_path / "frames.csv", ("file", "label", "clip", "frame"), *rows)

    (clip,) = local.read_side_by_side(tmp_path).clips

    assert clip.footage == Archived(tmp_path / "frames.tar", ("9.jpg", "10.jpg", "100.jpg"))
    assert (clip.name, clip.group, clip.kind, clip.split) == ("fake/Ann_2_Lee_11", "Ann_2_Lee", "DeepFaceLive", "test")


def test_who_sits_before_the_camera_under_two_names_is_in_one_group(tmp_path: Path) -> None:
    clips = ("David_Kovalniy_1", "Matilda_Bobbie_0", "Matilda_Bobbie_3", "Rob_Doe_0")
    rows = [(f"{label}/{clip}.jpg", label, clip, 1) for clip in clips for label in ("real", "fake")]
    trees.table(tmp_path / "frames.csv", ("file", "label", "clip", "frame"), *rows)

    found = {clip.name: clip.group for clip in local.read_side_by_side(tmp_path).clips}

    assert {found[f"{label}/{clip}"] for clip in clips[:3] for label in ("real", "fake")} == {"David_Kovalniy"}
    assert {found["real/Rob_Doe_0"], found["fake/Rob_Doe_0"]} == {"Rob_Doe"}


def test_generated_faces_and_photos(tmp_path: Path) -> None:
    trees.names(tmp_path, "images.tar")
    trees.table(tmp_path / "labels.csv", ("file", "label"), ("a.webp", "fake"), ("b.webp", "real"))

    found = [(clip.name, clip.label, clip.kind, clip.split, clip.group) for clip in find_set(str(tmp_path)).clips]

    assert found == [("a.webp", 1, "StyleGAN2", "test", "a.webp"), ("b.webp", 0, "real", "test", "b.webp")]


@pytest.mark.parametrize(
    ("table", "columns", "archive", "known"),
    [
        ("labels.csv", FAIRFACE, "", "fairface"),
        ("labels.csv", (*FAIRFACE, "notes"), "", "fairface"),
        ("labels.csv", FAIRFACE[:-1], "", ""),
        ("labels.csv", ("file", "label"), "images.tar", "stylegan2"),
        ("labels.csv", ("file", "label"), "", ""),
        ("labels.csv", ("file", "label", "notes"), "images.tar", ""),
        ("frames.csv", ("frame", "clip", "label", "file"), "", "side_by_side"),
        ("frames.csv", ("file", "label", "clip"), "", ""),
        ("other.csv", FAIRFACE, "images.tar", ""),
        pytest.param("labels.csv", (), "images.tar", "", id="an empty file"),
    ],
)
def test_a_set_is_known_by_its_columns(
    table: str, columns: tuple[str, ...], archive: str, known: str, tmp_path: Path
) -> None:
    trees.table(tmp_path / table, *([columns] if columns else []))
    if archive:
        trees.names(tmp_path, archive)

    checks = {"fairface": local.has_fairface, "stylegan2": local.has_stylegan2, "side_by_side": local.has_side_by_side}

    assert [name for name, has in checks.items() if has(tmp_path)] == ([known] if known else [])
