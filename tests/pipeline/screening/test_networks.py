"""What a screening rests on: where its networks lie, what their cards say, and what takes their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines import ConfigError, EngineError
from engines.card import read_card, write_card
from pipeline.config import INSTALLED, Config, Step, load
from pipeline.models.catalog import pick
from pipeline.screening.networks import TrainedNetworks, models_in, with_files
from tests.model_files import model_file
from tests.pipeline.screening.brightness import config_of, write_detector


def own_training(folder: Path) -> TrainedNetworks:
    """The networks of a training of ACMF."""
    detector = write_detector(folder / "tiny_detector.onnx", fake=0.1, real=0.05)
    return TrainedNetworks("deepfake.acmf", {"detector": str(detector)}, 1.3)


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


def test_networks_of_a_training_take_the_place_of_those_that_come_along(tmp_path: Path) -> None:
    options = {"least": 3, "size": 999}
    given = Config(steps=[Step(use="deepfake.acmf", engines={"detector": "no/detector.onnx"}, options=options)])

    (step,) = with_files(given, [own_training(tmp_path)]).steps

    assert Path(step.engines["detector"]).is_file()
    assert step.options == {"least": 3, "margin": 1.3}  # its network tells the size itself


def test_a_training_of_a_system_without_a_step_adds_one(tmp_path: Path) -> None:
    config = Config(steps=[Step(use="track")])

    steps = with_files(config, [own_training(tmp_path)]).steps

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


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, {"margin": 1.3}),
        ({"size": 64, "frames": 8, "centre": 0.9}, {"margin": 1.3}),
        ({"margin": 1.1, "least": 3}, {"margin": 1.3, "least": 3}),
    ],
    ids=["none", "of the other networks", "of the step"],
)
def test_options_that_stay_with_other_networks(tmp_path: Path, options: dict[str, Any], kept: dict[str, Any]) -> None:
    given = Config(steps=[Step(use="deepfake.acmf", engines={"detector": "no/other.onnx"}, options=options)])

    (step,) = with_files(given, [own_training(tmp_path)]).steps

    assert step.options == kept
    assert given.steps[0].options == options


def test_networks_of_a_training_are_for_their_system_alone(tmp_path: Path) -> None:
    gaze = Step(use="deepfake.gazeforensics", options={"size": 64})
    config = Config(steps=[gaze, Step(use="deepfake.acmf"), Step(use="deepfake.acmf", options={"least": 3})])

    steps = with_files(config, [own_training(tmp_path)]).steps

    assert steps[0] == gaze
    assert [list(step.engines) for step in steps[1:]] == [["detector"]] * 2  # both steps of the system have it


def test_everything_else_of_the_config_stays(tmp_path: Path) -> None:
    config = Config(steps=[Step(use="track")], workers=3, audio="drop")

    made = with_files(config, [own_training(tmp_path)])

    assert (made.workers, made.audio) == (3, "drop") and len(config.steps) == 1


def test_of_what_is_missing_all_is_named_on_a_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEWARDEN_CACHE", str(tmp_path))
    steps = [
        Step(use="detect.centerface", engines={"detector": "centerface"}),
        Step(use="landmarks.mediapipe", engines={"model": "face_landmarker"}),
        Step(use="deepfake.gazeforensics", engines={"frame": "no/frame.onnx", "clip": "no/clip.onnx"}),
    ]

    with pytest.raises(ConfigError) as error:
        with_files(Config(steps=steps))

    assert str(error.value).splitlines() == [
        "networks are missing",
        f"centerface face_landmarker: not in {tmp_path}; `facewarden models pull centerface face_landmarker` fetches "
        "what is missing",
        "deepfake.gazeforensics: frame.onnx clip.onnx: not in no; train it (`facewarden train gazeforensics`) and name "
        "the run's folder with --model, or leave the step out in a --config of your own",
    ]


def test_a_model_that_is_there_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEWARDEN_CACHE", str(tmp_path))
    (yunet,) = pick(["yunet"])
    yunet.path.write_bytes(bytes(yunet.bytes))
    steps = [
        Step(use="detect.yunet", engines={"detector": "yunet"}),
        Step(use="landmarks.mediapipe", engines={"model": "face_landmarker"}),
    ]

    found = with_files(Config(steps=steps[:1]))

    assert found.steps == steps[:1]
    with pytest.raises(ConfigError, match=rf"missing\nface_landmarker: not in {tmp_path}"):
        with_files(Config(steps=steps))


def test_networks_come_in_the_order_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    one = write_detector(tmp_path / "one.onnx", fake=0.7, real=0.1)
    other = write_detector(tmp_path / "a" / "other.onnx", fake=0.6, real=0.2)
    steps = [
        Step(use="deepfake.acmf", engines={"detector": str(one)}),
        Step(use="track"),
        Step(use="deepfake.gazeforensics", engines={"frame": str(other), "clip": str(one)}),
    ]

    found = models_in(Config(steps=steps))

    assert [(model.use, model.engine, model.file, model.limits.fake) for model in found] == [
        ("deepfake.acmf", "detector", one, 0.7),
        ("deepfake.gazeforensics", "frame", other, 0.6),
        ("deepfake.gazeforensics", "clip", one, 0.7),
    ]


def test_a_model_by_its_name_is_found_in_the_cache() -> None:
    file = model_file("yunet")

    (model,) = models_in(Config(steps=[Step(use="detect.yunet", engines={"detector": "yunet"})]))

    assert (model.file, model.card.name) == (file, "yunet")
    assert (model.limits.fake, model.limits.real) == (1.0, 0.0)  # its card allows it to say nothing
