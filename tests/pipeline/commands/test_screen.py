"""`facewarden screen`: from files to reports and an exit code, once for each video, whatever is uploaded."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml
from onnx import TensorProto, helper
from typer.testing import CliRunner, Result

from engines import ConfigError, EngineError
from engines.card import Card, read_card, write_card
from engines.files import sha256_of
from pipeline.commands.app import app
from pipeline.commands.screen import trained
from pipeline.config import INSTALLED, Config, Step, load
from pipeline.screening.batch import INCOMPLETE, INDEX, INDICATION, LIST, ScreeningBatch
from pipeline.screening.networks import models_in, with_files
from pipeline.screening.report import ListedFile, ListedVideo, Outcome, ScreeningList, ScreeningReport
from pipeline.screening.screener import Screener
from tests.clips import Clips, h264, portrait, write
from tests.hostile import HostileFiles
from tests.model_files import model_file
from tests.pipeline.screening.test_screener import steps

SIZE = 32


def write_detector(file: Path, *, fake: float, real: float) -> Path:
    """A network as ACMF's, whose probability is the brightness of a crop, with a card."""
    nodes = [
        helper.make_node("ReduceMean", ["face"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["fake_prob"]),
        helper.make_node("ReduceMean", ["face"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("AveragePool", ["grey"], ["cam_fake"], kernel_shape=[8, 8], strides=[8, 8]),
    ]
    shapes: dict[str, list[str | int | None]] = {
        "face": ["n", 3, SIZE, SIZE], "fake_prob": ["n", 1], "cam_fake": ["n", 1, 4, 4],
    }  # fmt: skip
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    one = helper.make_tensor("one", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "brightness", values[:1], values[1:], [one])
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), file)
    card = Card(
        name="deepfake.acmf/brightness", task="forgery of a face", licence="CC0-1.0", source="a test",
        sha256=sha256_of(file.read_bytes()), metrics={"threshold_fake": fake, "threshold_real": real, "auc": 0.8},
    )  # fmt: skip
    write_card(file, card)
    return file


def config_of(detector: Path) -> Config:
    acmf = Step(use="deepfake.acmf", engines={"detector": str(detector)}, options={"size": SIZE})
    return Config(steps=[acmf])


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


def test_a_report_without_its_page_is_made_again(tmp_path: Path, clips: Clips) -> None:
    video = clips("h264_plain").path
    first = batch(tmp_path)
    first.add(video, move)
    page = report_file(first).with_suffix(".html")
    page.unlink()

    again = batch(tmp_path)
    again.add(video, move)

    assert again.again == 0 and page.is_file()


@pytest.mark.parametrize(
    ("videos", "code"),
    [
        ([listed("no_indication"), listed("nothing_said")], 0),
        ([listed("no_indication"), listed("no_indication", complete=False)], INCOMPLETE),
        ([listed("indication"), listed("nothing_said", complete=False)], INDICATION),
        ([], 0),
    ],
    ids=["calm", "one broken", "suspicious and broken", "none"],
)
def test_exit_codes(tmp_path: Path, videos: list[ListedVideo], code: int) -> None:
    made = batch(tmp_path)

    made.rows = videos

    assert made.code == code


# -- networks --------------------------------------------------------------------------------------


def test_the_packaged_config_finds_its_networks_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACEWARDEN_CACHE", str(tmp_path))
    own = tmp_path / "here.onnx"
    write_detector(own, fake=0.5, real=0.4)
    installed = "pipeline/screening/templates/page.html"  # any file that comes with Facewarden

    found = with_files(Config(steps=[Step(use="x", engines={"a": "./here.onnx", "b": installed})]))

    assert found.steps[0].engines == {"a": "./here.onnx", "b": str(INSTALLED / installed)}
    with pytest.raises(ConfigError, match=r"models pull .*face_landmarker"):
        with_files(load("screen"))


def test_missing_networks_are_told_at_once_with_their_remedy() -> None:
    gone = [
        Step(use="deepfake.acmf", engines={"detector": "no/detector.onnx"}),
        Step(use="detect.yunet", engines={"detector": "no/yunet.onnx"}),
    ]

    with pytest.raises(ConfigError) as error:
        with_files(Config(steps=gone))

    assert "facewarden train acmf" in str(error.value) and "--model" in str(error.value)
    assert "yunet.onnx" in str(error.value)


def run_of(tmp_path: Path) -> Path:
    """The folder of a training of ACMF, as far as networks are concerned."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_detector(folder / "tiny_detector.onnx", fake=0.1, real=0.05)
    recipe = {"use": "deepfake.acmf", "variant": "tiny", "data": {"set": "x", "margin": 1.3}, "options": {"size": SIZE}}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return folder


def test_networks_of_a_training_take_the_place_of_those_that_come_along(tmp_path: Path) -> None:
    options = {"least": 3, "size": 999}
    given = Config(steps=[Step(use="deepfake.acmf", engines={"detector": "no/detector.onnx"}, options=options)])

    (step,) = with_files(given, [trained(run_of(tmp_path))]).steps

    assert Path(step.engines["detector"]).is_file()
    assert step.options == {"least": 3, "margin": 1.3}  # its network tells the size itself


def test_a_training_of_a_system_without_a_step_adds_one(tmp_path: Path) -> None:
    config = Config(steps=[Step(use="track")])

    steps = with_files(config, [trained(run_of(tmp_path))]).steps

    assert [step.use for step in steps] == ["track", "deepfake.acmf"]
    assert list(steps[1].engines) == ["detector"]


def test_a_card_must_be_that_of_its_network(tmp_path: Path) -> None:
    detector = write_detector(tmp_path / "brightness.onnx", fake=0.5, real=0.4)
    (model,) = models_in(config_of(detector))

    assert model.identity == f"deepfake.acmf/brightness@{model.sha256[:12]}" and model.limits.fake == 0.5
    own = Step(use="deepfake.acmf", engines={"detector": str(detector)}, options={"limits": {"threshold_fake": 0.7}})
    assert models_in(Config(steps=[own]))[0].limits.fake == 0.7
    write_card(detector, read_card(detector).model_copy(update={"sha256": "0" * 64}))
    with pytest.raises(ConfigError, match=r"its card"):
        models_in(config_of(detector))
    detector.with_suffix(".json").unlink()
    with pytest.raises(EngineError, match=r"no card"):
        models_in(config_of(detector))


# -- the command -----------------------------------------------------------------------------------


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

    assert done.exit_code == INDICATION, done.output
    told = json.loads((out / LIST).read_text())
    assert told["counts"] == {"indication": 1, "nothing_said": 1, "no_indication": 0, "incomplete": 1}
    face, letter = told["videos"]
    report = ScreeningReport.model_validate_json((out / face["json"]).read_bytes())
    assert report.source.sha256 == ScreeningList.model_validate(told).videos[0].source.sha256
    assert (face["words"], face["confidence"], letter["words"]) == (
        "indication of a forgery", "moderate", "nothing can be said",
    )  # fmt: skip
    page = (out / face["html"]).read_text()
    assert "&lt;b&gt;a face.mp4" in page and "<b>a face" not in page and page.count("data:image/jpeg") >= 4
    again = screen(uploads, "-o", out, "--config", config)
    assert again.exit_code == INDICATION and "1 of 2 reports were there already" in again.output


def test_names_that_are_no_text(tmp_path: Path, config: Path, hostile: HostileFiles) -> None:
    """Linux takes any bytes for a name: such a file, whether it can be read or not, ends no batch."""
    uploads, out = tmp_path / "uploads", tmp_path / "reports"
    uploads.mkdir()
    write(uploads / "face.mp4", portrait(), size=(240, 240), **h264(12))
    (uploads / "face.mp4").rename(uploads / os.fsdecode(b"a face \xfe.mp4"))
    shutil.copy(hostile("text"), uploads / os.fsdecode(b"letter \xff.mp4"))

    done = screen(uploads, "-o", out, "--config", config)

    assert done.exit_code == INDICATION, done.output
    face, letter = json.loads((out / LIST).read_text())["videos"]
    assert (face["source"]["name"], letter["source"]["name"]) == ("a face ?.mp4", "letter ?.mp4")
    assert "a face ?.mp4" in (out / face["html"]).read_text() and not letter["complete"]


@pytest.mark.parametrize(
    ("video", "told"),
    [("rtsp://camera/1", "is not screened"), ("nowhere/*.mp4", "no such file"), ("/dev/video0", "is not screened")],
)
def test_what_cannot_be_screened(tmp_path: Path, video: str, told: str) -> None:
    done = screen(video, "-o", tmp_path / "out")

    assert done.exit_code == 2 and told in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be(tmp_path: Path, config: Path, clips: Clips) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")

    done = screen(clips("h264_plain").path, "-o", taken, "--config", config)

    assert done.exit_code == 2 and "expected a folder" in done.stderr
