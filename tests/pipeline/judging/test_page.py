"""The page shows when and where a face is not hidden, and no pixel of the original."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.judging.document import judge
from pipeline.judging.page import LEAST_WIDTH, clock_of, judging_page, marks
from tests.pipeline.judging.scenes import ScriptedPanel, black, changed, write_video
from tests.pipeline.judging.test_judge import COVERED, FOUND, FRAMES, ORIGINAL, box_at


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An original, and a masked video in which the face is dimmed for some frames."""
    folder = tmp_path_factory.mktemp("page")
    masked = [
        changed(picture, box_at(number), lambda shown: shown * 0.3) if 5 <= number < 9 else COVERED[number]
        for number, picture in enumerate(ORIGINAL)
    ]
    return write_video(folder / "before.mp4", ORIGINAL), write_video(folder / "<b>after.mp4", masked)


def test_it_says_which_face_and_when(files: tuple[Path, Path]) -> None:
    report, judging = judge(*files, panel=ScriptedPanel(FOUND))

    page = judging_page(report, judging)

    assert "Of 1 faces 1 are in clear" in page and "0:00.20" in page
    assert 'class="clear" style="left:' in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert "&lt;b&gt;after.mp4" in page and "<b>after" not in page
    assert report.original.sha256 in page and report.masked.sha256 in page


def test_its_pictures_are_of_the_masked_video(files: tuple[Path, Path]) -> None:
    report, judging = judge(*files, panel=ScriptedPanel(FOUND))

    (picture,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', judging_page(report, judging))

    shown = cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert shown[70:120, 70:120].mean() < 0.5 * ORIGINAL[6][60:80, 50:70].mean()


def test_a_covered_video_shows_no_picture(tmp_path: Path) -> None:
    before, after = write_video(tmp_path / "a.mp4", ORIGINAL), write_video(tmp_path / "b.mp4", COVERED)
    report, judging = judge(before, after, panel=ScriptedPanel(FOUND))

    page = judging_page(report, judging)

    assert "All of 1 faces are covered" in page and "<img" not in page
    assert f"{FRAMES} face-frames" in page


def test_a_video_without_faces_says_so(tmp_path: Path) -> None:
    empty = [changed(ORIGINAL[0], box_at(0), black)] * 4
    before, after = write_video(tmp_path / "a.mp4", empty), write_video(tmp_path / "b.mp4", empty)
    report, judging = judge(before, after, panel=ScriptedPanel({}))

    page = judging_page(report, judging)

    assert report.outcome == "no_faces" and "There is no face to judge" in page


def test_a_single_frame_can_be_seen_on_a_long_line(files: tuple[Path, Path]) -> None:
    report, _ = judge(*files, panel=ScriptedPanel(FOUND))

    there, *spans = marks(report.tracks[0], seconds=3600)

    assert there.kind == "there" and {span.kind for span in spans} <= {"clear", "reversible"}
    assert all(span.width >= LEAST_WIDTH and span.left + span.width <= 100 for span in spans)


@pytest.mark.parametrize(("seconds", "words"), [(0, "0:00.00"), (59.999, "1:00.00"), (3725.04, "62:05.04")])
def test_times_are_as_fine_as_frames(seconds: float, words: str) -> None:
    assert clock_of(seconds) == words
