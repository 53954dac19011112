"""`facewarden screen`: from files to reports and an exit code, once for each video, whatever is uploaded."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from engines import ConfigError
from pipeline.commands.app import app
from pipeline.commands.console import console
from pipeline.commands.screen import _drive, _make, _print_outcomes, trained
from pipeline.screening.batch import BOTH
from pipeline.screening.listing import LIST
from pipeline.screening.report import ScreeningList, ScreeningReport
from tests.clips import Clips, h264, portrait, write
from tests.hostile import HostileFiles
from tests.model_files import model_file
from tests.pipeline.screening.brightness import SIZE, write_detector
from tests.pipeline.screening.test_batch import listed, sure, video


def run_of(tmp_path: Path) -> Path:
    """The folder of a training of ACMF, as far as networks are concerned."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_detector(folder / "tiny_detector.onnx", fake=0.1, real=0.05)
    recipe = {"use": "deepfake.acmf", "variant": "tiny", "data": {"set": "x", "margin": 1.3}, "options": {"size": SIZE}}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return folder


def test_the_networks_of_a_run_are_found_by_its_recipe(tmp_path: Path) -> None:
    found = trained(run_of(tmp_path))

    assert (found.use, found.margin) == ("deepfake.acmf", 1.3)
    assert found.files == {"detector": str(tmp_path / "run/tiny_detector.onnx")}


def test_networks_of_a_run_are_named_absolutely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The config that names them is checked, and opened, wherever that is."""
    run = run_of(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert trained(Path("run")).files == trained(run).files


def screen(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["screen", *map(str, arguments)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config that looks for a face everywhere, and calls bright ones forged."""
    detector = write_detector(tmp_path / "brightness.onnx", fake=0.2, real=0.1)
    written = {
        "steps": [
            {"use": "detect.zones", "options": {"boxes": [[0, 0, 1, 1]]}},
            {"use": "track"},
            {"use": "landmarks.mediapipe", "engines": {"model": str(model_file("face_landmarker"))}},
            {"use": "deepfake.acmf", "engines": {"detector": str(detector)}, "options": {"size": SIZE}},
        ]
    }
    path = tmp_path / "bright.yaml"
    path.write_text(yaml.safe_dump(written))
    return path


def test_from_uploads_to_reports(tmp_path: Path, config: Path, hostile: HostileFiles) -> None:
    uploads, out = tmp_path / "uploads", tmp_path / "reports"
    uploads.mkdir()
    write(uploads / "<b>a face.mp4", portrait(), size=(240, 240), **h264(12))
    shutil.copy(hostile("text"), uploads / "letter.mp4")

    done = screen(uploads, "-o", out, "--config", config)

    assert done.exit_code == BOTH, done.output
    written = json.loads((out / LIST).read_text())
    assert written["counts"] == {"indication": 1, "nothing_said": 1, "no_indication": 0, "incomplete": 1}
    face, letter = written["videos"]
    report = ScreeningReport.model_validate_json((out / face["json"]).read_bytes())
    assert report.source.sha256 == ScreeningList.model_validate(written).videos[0].source.sha256
    assert (face["words"], face["confidence"], letter["words"]) == (
        "indication of a forgery", "moderate", "nothing can be said",
    )  # fmt: skip
    page = (out / face["html"]).read_text()
    assert "&lt;b&gt;a face.mp4" in page and "<b>a face" not in page and page.count("data:image/jpeg") >= 4
    again = screen(uploads, "-o", out, "--config", config)
    assert again.exit_code == BOTH and "1 of 2 reports were there already" in again.output


def test_names_that_are_no_text(tmp_path: Path, config: Path, hostile: HostileFiles) -> None:
    """Linux takes any bytes for a name: such a file, whether it can be read or not, ends no batch."""
    uploads, out = tmp_path / "uploads", tmp_path / "reports"
    uploads.mkdir()
    write(uploads / "face.mp4", portrait(), size=(240, 240), **h264(12))
    (uploads / "face.mp4").rename(uploads / os.fsdecode(b"a face \xfe.mp4"))
    shutil.copy(hostile("text"), uploads / os.fsdecode(b"letter \xff.mp4"))

    done = screen(uploads, "-o", out, "--config", config)

    assert done.exit_code == BOTH, done.output
    face, letter = json.loads((out / LIST).read_text())["videos"]
    assert (face["source"]["name"], letter["source"]["name"]) == ("a face ?.mp4", "letter ?.mp4")
    assert "a face ?.mp4" in (out / face["html"]).read_text() and not letter["complete"]


@pytest.mark.parametrize(
    ("video", "message"),
    [("rtsp://camera/1", "is not screened"), ("nowhere/*.mp4", "no such file"), ("/dev/video0", "is not screened")],
)
def test_what_cannot_be_screened(tmp_path: Path, video: str, message: str) -> None:
    done = screen(video, "-o", tmp_path / "out")

    assert done.exit_code == 2 and message in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be(tmp_path: Path, config: Path, clips: Clips) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")

    done = screen(clips("h264_plain").path, "-o", taken, "--config", config)

    assert done.exit_code == 2 and "expected a folder" in done.stderr


# -- around a batch --------------------------------------------------------------------------------


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    return write_detector(tmp_path / "brightness.onnx", fake=0.5, real=0.4)


def test_ctrl_c_leaves_a_list_of_what_was_done(tmp_path: Path, detector: Path) -> None:
    batch, screener = sure(tmp_path / "out", detector, until=1)
    paths = [video(tmp_path, f"{number}.mp4", b"%d" % number) for number in range(3)]

    finished = _drive(batch, paths)

    assert not finished and screener.screened == ["0.mp4"]
    written = json.loads((tmp_path / "out" / LIST).read_text())
    assert [each["source"]["name"] for each in written["videos"]] == ["0.mp4"]


def test_a_batch_that_is_done(tmp_path: Path, detector: Path) -> None:
    batch, _ = sure(tmp_path / "out", detector)

    assert _drive(batch, [video(tmp_path, "0.mp4")])
    assert batch.index.is_file()


def test_the_table_of_verdicts_obeys_no_name(
    tmp_path: Path, detector: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "width", 250)
    batch, _ = sure(tmp_path / "out", detector)
    batch.rows = [
        listed("nothing_said").model_copy(update={"words": "nothing can be said"}),
        listed("indication", complete=False).model_copy(
            update={"probability": 0.987, "confidence": "low", "html": "b.html", "reason": "[red]ends[/red]\x07"}
        ),
    ]
    batch.again = 1

    _print_outcomes(batch)

    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("│")]
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    assert rows == [
        ["a.mp4", "nothing can be said", "-", "none", "-"],
        ["a.mp4", "indication", "0.99", "low", "b.html"],
        ["", "not all was looked at: [red]ends[/red]?", "", "", ""],
    ]
    assert printed.splitlines()[-2:] == ["1 of 2 reports were there already", str(tmp_path / "out/index.html")]


def test_a_new_folder_is_for_its_owner_alone_and_an_old_one_stays_as_it_is(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir(mode=0o755)

    _make(tmp_path / "new/folder")
    _make(old)

    assert stat.S_IMODE((tmp_path / "new/folder").stat().st_mode) == 0o700
    assert stat.S_IMODE(old.stat().st_mode) == 0o755


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"file/x: expected a folder to write to \(Not a directory\); choose another"):
        _make(tmp_path / "file/x")
