"""What the sheet measures of covers, by hand, and how other tools are run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.hiding import clear, ours
from bench.sheet import WIDTH_PX, ToolTally, by_tool, frames_at, middle_colour, row_of, tally, titled, write_clip
from operators.arrays import Image
from operators.frame import to_bgr

BOX = np.array([[16.0, 16, 48, 48]])


def painted(bgr: tuple[int, int, int]) -> Image:
    """A grey picture with a face of one colour."""
    image = np.full((64, 80, 3), 128, np.uint8)
    image[16:48, 16:48] = bgr
    return image


def test_what_is_measured_of_a_cover() -> None:
    face, warm, green = painted((90, 110, 150)), painted((100, 115, 145)), painted((90, 150, 110))
    same, other = ToolTally(), ToolTally()

    tally(same, [face, face], [warm, warm], [BOX, BOX])
    tally(other, [face, face], [warm, green], [BOX, BOX])

    away = middle_colour(warm, BOX[0]) - middle_colour(face, BOX[0])
    assert same.mean("chroma") == pytest.approx(np.linalg.norm(away[1:]), abs=1e-3)
    assert same.mean("light") == pytest.approx(abs(away[0]), abs=1e-3)
    assert (same.mean("tinted"), same.mean("flicker")) == (0, 0)
    change = middle_colour(green, BOX[0]) - middle_colour(warm, BOX[0])
    assert other.mean("tinted") == 0.5
    assert other.mean("flicker") == pytest.approx(np.linalg.norm(change), abs=1e-3)


def test_faces_that_do_not_stay_do_not_flicker() -> None:
    face, result = painted((90, 110, 150)), ToolTally()

    tally(result, [face, face], [face, face], [BOX, BOX + 30])

    assert np.isnan(result.mean("flicker"))


def test_without_faces_nothing_is_measured() -> None:
    result = ToolTally()

    tally(result, [painted((0, 0, 0))], [painted((0, 0, 0))], [np.zeros((0, 4))])

    assert np.isnan(result.mean("chroma"))


def test_a_tool_is_run_on_a_clip_of_the_frames() -> None:
    images = [painted((90, 110, 150))] * 3

    copied = by_tool("cp {source} {result}", images)

    assert copied is not None
    assert len(copied) == 3
    assert np.abs(copied[2].astype(int) - images[2]).mean() < 6


@pytest.mark.parametrize("command", ["false", "no-such-program {source}", "cp /dev/null {result}"])
def test_a_tool_that_does_not_come_through_is_left_out(command: str) -> None:
    assert by_tool(command, [painted((90, 110, 150))]) is None


def test_frames_begin_where_they_are_asked_for(tmp_path: Path) -> None:
    images = [np.full((32, 32, 3), 20 * number, np.uint8) for number in range(10)]
    write_clip(images, tmp_path / "clip.mp4")

    got = frames_at(tmp_path / "clip.mp4", 0.2, 3)

    assert [round(image.mean() / 20) for image in got] == [5, 6, 7]


def test_a_sheet_has_a_column_for_each_tool_grey_where_it_has_nothing() -> None:
    face = painted((90, 110, 150))

    row = row_of([face, None], BOX)
    sheet = titled([row, row], ["one", "two"])

    assert row.shape[1] == 2 * WIDTH_PX
    assert (row[:, WIDTH_PX:] == 128).all()
    assert not (row[:, :WIDTH_PX] == 128).all()
    assert len(sheet) == 28 + 2 * len(row)


def test_ours_is_that_of_its_seed_and_track_and_clear_is_clear(tmp_path: Path) -> None:
    images = [painted((90, 110, 150))]

    same, again, other = (to_bgr(ours("mosaic", tmp_path, seed=seed)(images, [BOX], 4)[0]) for seed in (1, 1, 2))

    assert np.array_equal(same, again)
    assert not np.array_equal(same, other)
    assert np.abs(to_bgr(clear(images, [BOX], 4)[0]).astype(int) - images[0])[20:44, 20:44].max() < 6


@pytest.mark.parametrize("style", ["blur", "mosaic", "solid", "image"])
def test_each_of_our_styles_hides(style: str, tmp_path: Path) -> None:
    one, other = (to_bgr(ours(style, tmp_path)([painted(bgr)], [BOX], 0)[0]) for bgr in ((0, 0, 0), (0, 200, 0)))

    assert np.array_equal(one[16:48, 16:48], other[16:48, 16:48])
