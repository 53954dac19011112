from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import pytest

from engines import ConfigError
from pipeline.commands.demo_clip import FPS, HEIGHT, SECONDS, WIDTH, render_demo


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
