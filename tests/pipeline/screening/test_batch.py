"""Videos that are screened into one folder: each once, until something is different, and a list of them all."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines.card import read_card, write_card
from operators.frame import Verdict
from pipeline.config import Config, JailSection
from pipeline.screening.batch import BOTH, INCOMPLETE, INDICATION, ScreeningBatch
from pipeline.screening.listing import INDEX, LIST
from pipeline.screening.networks import models_in
from pipeline.screening.report import ListedFile, ListedVideo, Outcome, ScreeningReport
from pipeline.screening.screener import Moved, Screener, Screening, Upload
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


def report_file(made: ScreeningBatch) -> Path:
    """Of the first video, for programs."""
    assert made.rows[0].document is not None
    return made.folder / made.rows[0].document


def report_of(made: ScreeningBatch) -> ScreeningReport:
    return ScreeningReport.model_validate_json(report_file(made).read_bytes())


def listed(outcome: Outcome, *, complete: bool = True) -> ListedVideo:
    return ListedVideo(
        source=ListedFile(name="a.mp4", path="a.mp4", sha256=None, bytes=None),
        outcome=outcome, words=outcome, probability=None, confidence="none",
        complete=complete, reason="", seconds=1, tracks=0, html=None, document=None,
    )  # fmt: skip


def move(_done: int, _expected: int) -> None:
    """Progress is of no interest here."""


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
    written = json.loads((again.folder / LIST).read_text())
    assert [(row["source"]["name"], row["complete"], bool(row["html"])) for row in written["videos"]] == [
        ("plain.mp4", True, True), ("letter.mp4", False, True), ("missing.mp4", False, False),
    ]  # fmt: skip
    assert written["counts"] == {"indication": 1, "nothing_said": 2, "no_indication": 0, "incomplete": 2}
    assert (again.folder / INDEX).read_text().count("href=") == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in again.folder.iterdir()} == {0o600}


def test_a_report_is_made_again_when_something_is_different(tmp_path: Path, clips: Clips) -> None:
    video = tmp_path / "video.mp4"
    shutil.copy(clips("h264_plain").path, video)

    def made() -> str:
        made = batch(tmp_path)
        made.add(video, move)
        return report_of(made).key

    one = made()
    write_detector(tmp_path / "brightness.onnx", fake=0.6, real=0.4)
    two = made()
    shutil.copy(clips("h264_all_intra").path, video)
    three = made()

    assert len({one, two, three}) == 3


def test_a_damaged_report_is_made_again(tmp_path: Path, clips: Clips) -> None:
    video = clips("h264_plain").path
    first = batch(tmp_path)
    first.add(video, move)
    report_file(first).write_text("{")

    again = batch(tmp_path)
    again.add(video, move)

    assert again.again == 0 and again.rows == first.rows
    assert report_of(again).complete


@pytest.mark.parametrize(
    ("videos", "code"),
    [
        ([listed("no_indication"), listed("nothing_said")], 0),
        ([listed("no_indication"), listed("no_indication", complete=False)], INCOMPLETE),
        ([listed("indication"), listed("nothing_said")], INDICATION),
        ([listed("indication"), listed("nothing_said", complete=False)], BOTH),
        ([listed("indication", complete=False)], BOTH),
        ([], 0),
    ],
    ids=["calm", "one broken", "suspicious", "suspicious and broken", "suspicious as far as it goes", "none"],
)
def test_exit_codes(tmp_path: Path, videos: list[ListedVideo], code: int) -> None:
    made = batch(tmp_path)

    made.rows = videos

    assert made.code == code


# -- without looking at a video --------------------------------------------------------------------


class Sure(Screener):
    """Finds an indication of a forgery in whatever it is given, at a glance.

    Args:
        reason: why it got no further.
        until: after so many videos Ctrl-C comes.

    Attributes:
        screened: the names of what it was given.
    """

    def __init__(self, config: Config, *, reason: str = "", until: int = 99) -> None:
        super().__init__(config, steps())
        self.screened: list[str] = []
        self._reason, self._until = reason, until

    def screen(self, upload: Upload, moved: Moved = lambda _done, _all: None) -> Screening:
        if len(self.screened) == self._until:
            raise KeyboardInterrupt
        self.screened.append(upload.path.name)
        moved(7, 9)
        verdict = Verdict("video", "a network", 0.9, ("track 1",), "indication of a forgery")
        return Screening(frames=7, looked=7, reason=self._reason, verdicts={"acmf": verdict})


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    return write_detector(tmp_path / "brightness.onnx", fake=0.5, real=0.4)


def sure(
    folder: Path, detector: Path, change: Callable[[Config], Config] = lambda same: same, **about: Any
) -> tuple[ScreeningBatch, Sure]:
    config = change(config_of(detector))
    screener = Sure(config, **about)
    folder.mkdir(exist_ok=True)
    return ScreeningBatch(folder, screener, config, models_in(config), name="test"), screener


def video(folder: Path, name: str = "clip.mp4", content: bytes = b"a video") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("clip.mp4", "clip"),
        ("a clip (2).mp4", "a_clip_2"),
        ("käse & brot.mov", "k_se_brot"),
        ("..hidden..mp4", "hidden"),
        ("-rf.mp4", "-rf"),
        ("a.b-c_d.mkv", "a.b-c_d"),
        ("\u202e.mp4", "video"),
        ("___.mp4", "video"),
        (f"{'long' * 40}.mp4", "long" * 15),
    ],
)
def test_a_report_is_named_by_what_of_the_videos_name_is_harmless(
    tmp_path: Path, detector: Path, name: str, stem: str
) -> None:
    made, _ = sure(tmp_path / "out", detector)

    made.add(video(tmp_path, name), move)

    (row,) = made.rows
    names = [str(row.html), str(row.document)]
    assert names == [f"{stem}-{str(row.source.sha256)[:12]}.{kind}" for kind in ("html", "json")]
    assert sorted(file.name for file in made.folder.iterdir()) == sorted([*names, INDEX, LIST])
    assert row.source.name == name.replace("\u202e", "?")


def test_the_same_bytes_are_looked_at_once_whatever_they_are_called(tmp_path: Path, detector: Path) -> None:
    names = ("one/clip.mp4", "two/clip.mp4", "two/other.mp4")
    made, screener = sure(tmp_path / "out", detector, reason="breaks off")
    for name in names:
        made.add(video(tmp_path, name), move)
    later, again = sure(tmp_path / "later", detector)
    later.add(video(tmp_path, names[0]), move)
    third, more = sure(tmp_path / "later", detector)
    third.add(video(tmp_path, names[2]), move)

    assert (screener.screened, made.again) == (["clip.mp4"], 2)
    assert [Path(row.source.path).relative_to(tmp_path).as_posix() for row in made.rows] == list(names)
    assert len({row.html for row in made.rows}) == 1
    assert (again.screened, more.screened, third.again) == (["clip.mp4"], [], 1)


def test_a_link_is_not_followed(tmp_path: Path, detector: Path) -> None:
    made, screener = sure(tmp_path / "out", detector)
    (tmp_path / "link.mp4").symlink_to(video(tmp_path, "secret.mp4"))

    made.add(tmp_path / "link.mp4", move)

    (row,) = made.rows
    assert "is a link" in row.reason and row.source.sha256 is None
    assert not screener.screened


def with_limit(config: Config) -> Config:
    (step,) = config.steps
    return config.model_copy(update={"steps": [step.model_copy(update={"options": {**step.options, "least": 3}})]})


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda config: config, 1),
        (with_limit, 0),
        (lambda config: config.model_copy(update={"jail": JailSection(timeout_s=5)}), 0),
        (lambda config: config.model_copy(update={"workers": 3, "audio": "drop"}), 1),
    ],
    ids=["nothing", "an option", "the jail", "what does not concern it"],
)
def test_a_report_is_of_one_config(
    tmp_path: Path, detector: Path, change: Callable[[Config], Config], again: int
) -> None:
    first, _ = sure(tmp_path / "out", detector)
    first.add(video(tmp_path), move)

    second, screener = sure(tmp_path / "out", detector, change)
    second.add(video(tmp_path), move)

    assert (second.again, len(screener.screened)) == (again, 1 - again)


def test_a_report_is_of_one_card(tmp_path: Path, detector: Path) -> None:
    first, _ = sure(tmp_path / "out", detector)
    first.add(video(tmp_path), move)
    write_card(detector, read_card(detector).model_copy(update={"failures": ["faces behind glass"]}))

    second, _ = sure(tmp_path / "out", detector)
    second.add(video(tmp_path), move)

    assert second.again == 0


def test_a_report_without_its_page_is_made_again(tmp_path: Path, detector: Path) -> None:
    first, _ = sure(tmp_path / "out", detector)
    first.add(video(tmp_path), move)
    page = report_file(first).with_suffix(".html")
    page.unlink()

    second, _ = sure(tmp_path / "out", detector)
    second.add(video(tmp_path), move)

    assert second.again == 0 and page.is_file()


def test_a_video_that_could_not_be_read_to_its_end_is_tried_again(tmp_path: Path, detector: Path) -> None:
    broken, _ = sure(tmp_path / "out", detector, reason="breaks off")
    broken.add(video(tmp_path), move)

    whole, _ = sure(tmp_path / "out", detector)
    whole.add(video(tmp_path), move)

    assert (broken.rows[0].complete, broken.rows[0].reason) == (False, "breaks off")
    assert (whole.again, whole.rows[0].complete) == (0, True)
    assert broken.rows[0].html == whole.rows[0].html


def test_what_cannot_be_opened_has_a_row_and_no_report(tmp_path: Path, detector: Path) -> None:
    made, screener = sure(tmp_path / "out", detector)

    made.add(tmp_path / "no\nsuch\x07.mp4", move)

    (row,) = made.rows
    assert (row.outcome, row.complete, row.html, row.document) == ("nothing_said", False, None, None)
    assert row.source.name == "no\nsuch?.mp4" and "expected a file" in row.reason
    assert "\x07" not in row.reason
    assert not screener.screened and (made.code, dict(made.counts)) == (
        INCOMPLETE, {"nothing_said": 1, "incomplete": 1},
    )  # fmt: skip


def test_how_far_a_video_is_is_passed_on(tmp_path: Path, detector: Path) -> None:
    made, _ = sure(tmp_path / "out", detector)
    seen: list[tuple[int, int]] = []

    made.add(video(tmp_path), lambda done, expected: seen.append((done, expected)))

    assert seen == [(7, 9)]


def test_the_list_names_what_it_rests_on(tmp_path: Path, detector: Path) -> None:
    made, _ = sure(tmp_path / "out", detector)
    made.write_list()

    listed = json.loads((made.folder / LIST).read_text())

    (model,) = models_in(config_of(detector))
    assert listed["models"] == {model.identity: model.sha256} and listed["config"] == "test"
    assert listed["videos"] == [] and set(listed["counts"].values()) == {0}
    assert made.index == made.folder / INDEX and "0 videos" in made.index.read_text()
