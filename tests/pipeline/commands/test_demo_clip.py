"""The drawn clip: the same every time, with a face that swings behind a pillar, as people do in real footage."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines import ConfigError
from pipeline.commands import demo_clip
from pipeline.commands.demo_clip import CAST, FPS, HEIGHT, PILLAR, SECONDS, WIDTH, render_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.mp4"
    render_demo(path)
    return path


def test_the_clip_has_its_size_and_length_and_moves(demo: Path) -> None:
    clip = cv2.VideoCapture(str(demo))

    frames = []
    while (read := clip.read())[0]:
        frames.append(read[1])
    clip.release()

    assert len(frames) == FPS * SECONDS
    assert frames[0].shape == (HEIGHT, WIDTH, 3)
    assert all(cv2.absdiff(a, b).max() > 40 for a, b in pairwise(frames))


def test_the_same_clip_comes_out_every_time(demo: Path, tmp_path: Path) -> None:
    render_demo(tmp_path / "again.mp4")

    assert (tmp_path / "again.mp4").read_bytes() == demo.read_bytes()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        render_demo(tmp_path / "nowhere" / "demo.mp4")


# -- how it is drawn -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "x", "y", "tilt"),
    [(0, 100, 200, 0), (1 / 4, 150, 195, 6), (1 / 2, 100, 200, 0), (3 / 4, 50, 195, -6), (1, 100, 200, 0)],
    ids=["at rest", "to the right", "back", "to the left", "back again"],
)
def test_a_picture_swings_on_its_string(part: float, x: float, y: float, tilt: float) -> None:
    """By 50 pixels to either side in 4 s; at its turning points it hangs a tenth of that higher."""
    hanging = demo_clip._Hanging(100, 200, 80, 50, 4.0)

    assert hanging.at(4.0 * part) == pytest.approx((x, y, tilt), abs=1e-9)


def test_one_of_them_is_out_of_sight_for_a_while_and_comes_back() -> None:
    """The face is narrower than the pillar: there are moments in which all of it is behind."""
    (hidden,) = (hanging for hanging in CAST if hanging.behind_pillar)
    half = demo_clip._card(demo_clip._portrait(), hidden.height_px).shape[1] / 2
    lefts = [hidden.at(number / FPS)[0] for number in range(FPS * SECONDS)]

    behind = [PILLAR.start < x - 0.3 * half and x + 0.3 * half < PILLAR.stop for x in lefts]

    assert any(behind) and not all(behind)
    assert behind.index(True) < len(behind) - 1 - behind[::-1].index(True)


def test_nobody_shines_through_the_pillar(demo: Path) -> None:
    """Above what hangs in front of it, it looks the same in all frames."""
    clip = cv2.VideoCapture(str(demo))
    shades = []
    while (read := clip.read())[0]:
        shades.append(read[1][60:180, PILLAR.start + 4 : PILLAR.stop - 4].astype(int))
    clip.release()

    assert np.ptp(np.stack([shade.mean(axis=(0, 2)) for shade in shades]), axis=0).max() < 6


def test_a_card_is_the_portrait_in_a_light_frame() -> None:
    portrait = np.zeros((60, 30, 3), np.uint8)

    card = demo_clip._card(portrait, 120)

    assert card.shape == (120 + 2 * 3, 60 + 2 * 3, 3)  # a frame of three pixels
    assert (card[0] == (214, 228, 236)).all() and (card[:, -1] == (214, 228, 236)).all()
    assert not card[3:-3, 3:-3].any()


def test_a_card_hangs_where_it_should() -> None:
    """Not tilted, its middle is at 100, 60, and its string goes straight up."""
    card, wall = np.full((20, 10, 3), 255, np.uint8), np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    picture = demo_clip._hang(wall, card, 100, 60, 0.0)

    rows, columns = np.nonzero(picture[:, :, 0] > 200)
    assert (rows.mean(), columns.mean()) == pytest.approx((60, 100), abs=0.6)
    assert picture[:45, 100].any(axis=1).all() and not picture[:45, :95].any()
    assert not wall.any()  # which stays for the next frame


def test_the_wall_is_lit_from_the_upper_left_and_ends_in_a_skirting_board() -> None:
    wall = demo_clip._wall().astype(float)

    assert wall.shape == (HEIGHT, WIDTH, 3)
    assert wall[60:90, 180:210].mean() > wall[60:90, -30:].mean() + 20
    assert wall[-20:].mean() < 0.7 * wall[-60:-40].mean()


@pytest.mark.parametrize("error", [ModuleNotFoundError, FileNotFoundError])
def test_without_the_portrait_there_is_no_demo(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files(_: str) -> Any:
        raise error

    monkeypatch.setattr(demo_clip, "files", files)

    with pytest.raises(ConfigError, match="a sample picture of matplotlib, which is missing; install matplotlib"):
        render_demo(tmp_path / "demo.mp4")
    assert not list(tmp_path.iterdir())
