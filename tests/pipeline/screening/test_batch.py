"""Videos that are screened into one folder: each once, until something is different, and a list of them all."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from pipeline.screening.batch import INCOMPLETE, INDEX, INDICATION, LIST, ScreeningBatch
from pipeline.screening.networks import models_in
from pipeline.screening.screener import Screener
from tests.clips import Clips
from tests.hostile import HostileFiles
from tests.pipeline.screening.brightness import config_of, write_detector
from tests.pipeline.screening.test_screener import steps


def batch(tmp_path: Path, *, fake: float = 0.5, real: float = 0.4) -> ScreeningBatch:
    """Reports of in-memory steps, whose ACMF says 0.9, into `out`; the config names a network with a card."""
    detector = tmp_path / "brightness.onnx"
    if not detector.exists():
        write_detector(detector, fake=fake, real=real)
    config = config_of(detector)
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    return ScreeningBatch(folder, Screener(config, steps()), config, models_in(config), name="test")


def move(done: int, expected: int) -> None:
    assert done <= max(expected, done)


def test_a_report_is_not_made_twice_and_the_list_holds_all(tmp_path: Path, clips: Clips, hostile: HostileFiles) -> None:
    videos = [clips("h264_plain").path, hostile("text"), tmp_path / "missing.mp4"]
    first = batch(tmp_path)
    for video in videos:
        first.add(video, move)
    pages = {file: file.stat().st_mtime_ns for file in first.folder.glob("plain-*")}

    again = batch(tmp_path)
    for video in videos:
        again.add(video, move)
    again.write_list()

    assert len(pages) == 2 and again.again == 1
    assert {file: file.stat().st_mtime_ns for file in pages} == pages
    told = json.loads((again.folder / LIST).read_text())
    assert [(row["source"]["name"], row["complete"], bool(row["html"])) for row in told["videos"]] == [
        ("plain.mp4", True, True), ("letter.mp4", False, True), ("missing.mp4", False, False),
    ]  # fmt: skip
    assert told["counts"] == {"indication": 1, "nothing_said": 2, "no_indication": 0, "incomplete": 2}
    assert (again.folder / INDEX).read_text().count("href=") == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in again.folder.iterdir()} == {0o600}


def test_a_report_is_made_again_when_something_is_different(tmp_path: Path, clips: Clips) -> None:
    video = tmp_path / "video.mp4"
    shutil.copy(clips("h264_plain").path, video)

    def made() -> str:
        made = batch(tmp_path)
        made.add(video, move)
        key: str = json.loads((made.folder / made.rows[0]["json"]).read_text())["key"]
        return key

    one = made()
    write_detector(tmp_path / "brightness.onnx", fake=0.6, real=0.4)
    two = made()
    shutil.copy(clips("h264_all_intra").path, video)
    three = made()

    assert len({one, two, three}) == 3


@pytest.mark.parametrize("damage", ["", "[]", "{"])
def test_a_damaged_report_is_made_again(tmp_path: Path, clips: Clips, damage: str) -> None:
    video = clips("h264_plain").path
    first = batch(tmp_path)
    first.add(video, move)
    (first.folder / first.rows[0]["json"]).write_text(damage)

    again = batch(tmp_path)
    again.add(video, move)

    assert again.again == 0 and again.rows == first.rows


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([("no_indication", True), ("nothing_said", True)], 0),
        ([("no_indication", True), ("no_indication", False)], INCOMPLETE),
        ([("indication", True), ("nothing_said", False)], INDICATION),
        ([], 0),
    ],
    ids=["calm", "one broken", "suspicious and broken", "none"],
)
def test_exit_codes(tmp_path: Path, outcomes: list[tuple[str, bool]], code: int) -> None:
    made = batch(tmp_path)

    made.rows = [{"outcome": outcome, "complete": complete} for outcome, complete in outcomes]

    assert made.code == code
