"""Pictures come in order, spread evenly, whatever they are kept in; what is broken is told by name."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import FrameError
from operators.datasets.footage import Archived, Footage, VideoFile, footage_of, spread
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
