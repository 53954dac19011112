"""Celeb-DF: the official list names the tests; whose video it is decides about the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import ConfigError
from operators.datasets import celebdf
from tests.operators.datasets import trees


def made(root: Path, listed: str, *videos: str) -> Path:
    trees.names(root, *(f"{video}.mp4" for video in videos))
    (root / celebdf.TEST_LIST).write_text(listed)
    return root


def test_a_tenth_of_the_persons_is_held_out_with_all_of_their_videos(tmp_path: Path) -> None:
    """The hash holds id3 and 00015 out, and not id4 and 00016."""
    folder = made(
        tmp_path, "", "Celeb-real/id3_0000", "Celeb-real/id4_0000", "Celeb-synthesis/id3_id4_0000",
        "Celeb-synthesis/id4_id3_0000", "YouTube-real/00015", "YouTube-real/00016",
    )  # fmt: skip

    found = {clip.name: (clip.split, clip.label, clip.kind, clip.group) for clip in celebdf.read(folder).clips}

    assert found == {
        "Celeb-real/id3_0000": ("val", 0, "real", "id3 (train)"),
        "Celeb-real/id4_0000": ("train", 0, "real", "id4 (train)"),
        "Celeb-synthesis/id3_id4_0000": ("val", 1, "Celeb-synthesis", "id3 (train)"),
        "Celeb-synthesis/id4_id3_0000": ("train", 1, "Celeb-synthesis", "id4 (train)"),
        "YouTube-real/00015": ("val", 0, "real", "00015 (train)"),
        "YouTube-real/00016": ("train", 0, "real", "00016 (train)"),
    }


def test_a_person_of_the_list_may_be_trained_on_by_other_videos(tmp_path: Path) -> None:
    folder = made(tmp_path, "\n1 Celeb-real/id4_0001.mp4 \n\n", "Celeb-real/id4_0000", "Celeb-real/id4_0001")

    found = {clip.name: (clip.split, clip.group) for clip in celebdf.read(folder).clips}

    assert found == {
        "Celeb-real/id4_0000": ("train", "id4 (train)"),
        "Celeb-real/id4_0001": ("test", "id4 (test)"),
    }


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("0 Celeb-real/id0_0000.mp4", id="genuine as fake"),
        pytest.param("0 YouTube-real/00000.mp4", id="genuine of YouTube as fake"),
        pytest.param("1 Celeb-synthesis/id0_id1_0000.mp4", id="fake as genuine"),
        pytest.param("1 Elsewhere/id0_0000.mp4", id="no such folder"),
        pytest.param("Celeb-real/id0_0000.mp4", id="no label"),
        pytest.param("real Celeb-real/id0_0000.mp4", id="a word for a label"),
    ],
)
def test_a_list_that_contradicts_the_folders(line: str, tmp_path: Path) -> None:
    folder = made(tmp_path, f"1 Celeb-real/id0_0000.mp4\n{line}\n", "Celeb-real/id0_0000")

    with pytest.raises(ConfigError, match="expected 1 before a genuine video"):
        celebdf.read(folder)


def test_without_the_official_list_nothing_is_read(tmp_path: Path) -> None:
    trees.names(tmp_path, "Celeb-synthesis/id0_id1_0000.mp4")

    assert celebdf.recognises(tmp_path)
    with pytest.raises(ConfigError, match=r"List_of_testing_videos\.txt: the official list"):
        celebdf.read(tmp_path)
