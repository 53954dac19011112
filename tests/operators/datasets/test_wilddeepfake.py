"""WildDeepfake: a clip is a sequence, a group is the source that it is from."""

from __future__ import annotations

from pathlib import Path

from operators.datasets import wilddeepfake
from tests.operators.datasets import trees


def test_sequences_of_a_source_are_held_out_together(tmp_path: Path) -> None:
    """The hash holds source 13 out, and not 14."""
    for sequence in ("13/real/0", "13/real/1", "14/real/0"):
        trees.names(tmp_path, f"real_train/{sequence}/0.png")

    found = {clip.name: (clip.split, clip.group) for clip in wilddeepfake.read(tmp_path).clips}

    assert found == {
        "real_train/13/real/0": ("val", "real_train/13"),
        "real_train/13/real/1": ("val", "real_train/13"),
        "real_train/14/real/0": ("train", "real_train/14"),
    }


def test_a_source_of_the_tests_is_not_held_out(tmp_path: Path) -> None:
    trees.names(tmp_path, "fake_test/13/fake/0/0.png")

    (clip,) = wilddeepfake.read(tmp_path).clips

    assert (clip.split, clip.label, clip.kind, clip.group) == ("test", 1, "WildDeepfake", "fake_test/13")


def test_a_sequence_is_its_pictures_and_nothing_else(tmp_path: Path) -> None:
    trees.names(tmp_path, *(f"fake_test/2/fake/0/{name}" for name in ("10.PNG", "9.jpg", "notes.txt")))
    trees.names(tmp_path, "fake_test/2/fake/1/0.PNG", "fake_test/2/fake/empty/Thumbs.db")

    first, second = wilddeepfake.read(tmp_path).clips

    assert [file.name for file in first.footage.files()] == ["9.jpg", "10.PNG"]
    assert second.name == "fake_test/2/fake/1"


def test_a_part_is_enough_to_know_the_set(tmp_path: Path) -> None:
    assert not wilddeepfake.recognises(tmp_path)
    (tmp_path / "fake_test").mkdir()
    assert wilddeepfake.recognises(tmp_path)
