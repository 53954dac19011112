"""Pictures come in order, spread evenly, whatever they are kept in; what is broken is told by name."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import FrameError
from operators.datasets.footage import (
    Archived,
    Footage,
    ImageFiles,
    VideoFile,
    footage_in,
    footage_of,
    in_order,
    spread,
)
from tests.operators.datasets import trees


@given(st.integers(0, 200), st.integers(0, 60))
def test_spread_is_even(count: int, most: int) -> None:
    chosen = spread(count, most)

    assert len(chosen) == (min(count, most) if most else count)
    assert chosen == sorted(set(chosen)) and all(0 <= index < count for index in chosen)
    if len(chosen) > 1 and most:
        gaps = {b - a for a, b in pairwise(chosen)}
        assert max(gaps) - min(gaps) <= 1


def kept_as(what: str, folder: Path) -> Footage | None:
    if what == "video":
        trees.short_video(folder / "clip.mp4", 9)
        return footage_of(folder / "clip.mp4")
    if what == "folder":
        trees.pictures(folder / "clip", 9)
        return footage_of(folder / "clip")
    trees.archive(folder / "clips.tar", {f"./{number}.png": trees.shade(number) for number in range(9)})
    return Archived(folder / "clips.tar", tuple(f"{number}.png" for number in range(9)))


@pytest.mark.parametrize("what", ["video", "folder", "archive"])
def test_the_same_pictures_from_everywhere(what: str, tmp_path: Path) -> None:
    footage = kept_as(what, tmp_path)

    assert footage is not None
    assert [(index, trees.number_of(image)) for index, image in footage.frames(3)] == [(1, 1), (4, 4), (7, 7)]
    assert [trees.number_of(image) for _, image in footage.frames()] == list(range(9))


def test_a_broken_video(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video")

    with pytest.raises(FrameError, match=r"clip\.mp4: expected a video"):
        list(VideoFile(tmp_path / "clip.mp4").frames())


@pytest.mark.parametrize(
    ("content", "told"), [(b"no picture", "expected a picture"), (b"", "expected a picture"), (None, "cannot be read")]
)
def test_a_broken_picture(content: bytes | None, told: str, tmp_path: Path) -> None:
    trees.pictures(tmp_path / "clip", 2)
    footage = footage_of(tmp_path / "clip")
    broken = tmp_path / "clip" / "1.png"
    broken.unlink() if content is None else broken.write_bytes(content)

    assert footage is not None
    with pytest.raises(FrameError, match=rf"1\.png: {told}"):
        list(footage.frames())


def test_a_member_that_is_not_there(tmp_path: Path) -> None:
    trees.archive(tmp_path / "clips.tar", {"0.png": trees.shade(0)})

    with pytest.raises(FrameError, match=r"no 1\.png in it"):
        list(Archived(tmp_path / "clips.tar", ("1.png",)).frames())


def test_what_is_no_footage(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert footage_of(tmp_path / "notes.txt") is None
    assert footage_of(tmp_path / "empty") is None


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 6)), unique_by=lambda pair: pair[0]))
def test_names_that_are_numbers_are_in_the_order_of_numbers(padded: list[tuple[int, int]]) -> None:
    """However many zeros stand before them."""
    paths = [Path(f"{number:0{width}}.png") for number, width in padded]

    assert [int(path.stem) for path in in_order(paths)] == sorted(number for number, _ in padded)


def test_other_names_are_in_the_order_of_letters_and_before_numbers() -> None:
    paths = [Path(name) for name in ("0.png", "b10.png", "cover.png", "b9.png", "7.jpg")]

    assert [path.stem for path in in_order(paths)] == ["b10", "b9", "cover", "0", "7"]


def test_what_lies_in_a_folder(tmp_path: Path) -> None:
    trees.names(tmp_path, "b.mp4", "c/0.PNG", "c/notes.txt", "empty/notes.txt", "d.avi", "notes.txt")

    assert footage_in(tmp_path) == [
        ("b", VideoFile(tmp_path / "b.mp4")),
        ("c", ImageFiles((tmp_path / "c" / "0.PNG",))),
    ]
    assert footage_in(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("footage", "read"),
    [
        (VideoFile(Path("a.mp4")), ["a.mp4"]),
        (ImageFiles((Path("0.png"), Path("1.png"))), ["0.png", "1.png"]),
        (Archived(Path("a.tar"), ("0.png", "1.png")), ["a.tar"]),
    ],
    ids=["video", "pictures", "archive"],
)
def test_what_is_read_for_a_clip(footage: Footage, read: list[str]) -> None:
    assert [str(file) for file in footage.files()] == read


@pytest.mark.parametrize("content", [None, b"no archive"], ids=["missing", "text"])
def test_an_archive_that_is_none(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "clips.tar"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(FrameError, match=r"clips\.tar: expected a tar archive"):
        list(Archived(file, ("0.png",)).frames())
