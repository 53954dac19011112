"""`facewarden run`: its flags are options of steps, and what cannot be meant starts nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from typer.testing import CliRunner

from engines import ConfigError
from operators import find
from operators.options import options_model
from pipeline.commands.app import app
from pipeline.commands.run import FLAGGED, STEP_FLAGS, _overrides, run
from pipeline.config import Config, Step

NOTHING_GIVEN = dict.fromkeys(inspect.signature(run).parameters)


def overridden(config: Config, **flags: Any) -> dict[str, dict[str, Any]]:
    """The options of the steps, after flags."""
    return {step["use"]: step["options"] for step in _overrides(NOTHING_GIVEN | flags, config)["steps"]}


def config_of(*uses: str) -> Config:
    return Config(steps=[Step(use=use) for use in uses])


def stripped(hint: Any) -> set[Any]:
    """The plain types of a hint: of text, a choice of texts and an optional one it is text."""
    if typing.get_origin(hint) is typing.Annotated:
        return stripped(typing.get_args(hint)[0])
    if typing.get_origin(hint) is typing.Literal:
        return {type(value) for value in typing.get_args(hint)}
    members = typing.get_args(hint)
    return set().union(*map(stripped, members)) - {type(None)} if members else {hint}


@pytest.mark.parametrize("flag", STEP_FLAGS)
def test_a_flag_has_the_type_of_the_options_that_it_sets(flag: str) -> None:
    models = [options_model(find(use)) for use in FLAGGED]
    of_options = [stripped(model.model_fields[flag].annotation) for model in models if flag in model.model_fields]

    of_flag = stripped(typing.get_type_hints(run)[flag])

    assert of_options
    assert all(types == of_flag for types in of_options)


def test_every_step_that_flags_are_for_has_one() -> None:
    assert all(set(STEP_FLAGS) & set(options_model(find(use)).model_fields) for use in FLAGGED)


def test_a_flag_goes_to_every_step_that_takes_it_and_to_no_other() -> None:
    config = config_of("detect.cascade", "detect.yunet", "landmarks.mediapipe", "deepfake.acmf", "deidentify.cover")

    options = overridden(config, threshold=0.3, max_px=960, cells=5)

    assert options == {
        "detect.cascade": {"threshold": 0.3, "max_px": 960},
        "detect.yunet": {"threshold": 0.3},
        "landmarks.mediapipe": {},  # its threshold is another
        "deepfake.acmf": {},
        "deidentify.cover": {"cells": 5},
    }


@pytest.mark.parametrize(
    ("flag", "value", "sentence"),
    [
        ("style", "blur", "--style: the config has no step deidentify.cover"),
        ("max_px", 640, "--max-px: the config has no step detect.cascade or detect.centerface"),
        (
            "threshold", 0.3, "--threshold: the config has no step "
            "detect.blazeface or detect.cascade or detect.centerface or detect.yunet",
        ),
    ],
)  # fmt: skip
def test_a_flag_without_its_step(flag: str, value: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        overridden(config_of("detect.zones", "track"), **{flag: value})

    assert str(caught.value) == sentence


def test_flags_leave_other_options_as_they_are() -> None:
    config = Config(steps=[Step(use="deidentify.cover", options={"style": "mosaic", "scale": 2})])

    assert overridden(config, scale=1.5) == {"deidentify.cover": {"style": "mosaic", "scale": 1.5}}
    assert config.steps[0].options == {"style": "mosaic", "scale": 2}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("options", "flags", "sentence"),
    [
        ({"style": "blurr"}, [], "deidentify.cover: style: expected blur, mosaic, solid or image, got 'blurr'"),
        ({"scale": "1.5"}, [], "deidentify.cover: scale: expected a number from 1 to 4, got '1.5'"),
        ({}, ["--style", "blurr"], "deidentify.cover: style: expected blur, mosaic, solid or image, got 'blurr'"),
        ({}, ["--cells", "99"], "deidentify.cover: cells: expected an integer from 1 to 16, got 99"),
        ({}, ["--style", "image"], "deidentify.cover: image: expected a picture file for style image, got none"),
        ({}, ["--audio", "loud"], "error: --audio: expected copy or drop, got 'loud'"),
        ({}, ["--encode", "crf=nope"], "error: --encode: crf: expected an integer from 0 to 51, got 'nope'"),
        ({}, ["--on-failure", "hope"], "error: --on-failure: expected auto, cover or withhold, got 'hope'"),
    ],
)
def test_a_wrong_value_is_one_line_and_nothing_starts(
    options: dict[str, Any], flags: list[str], sentence: str, source: Path, tmp_path: Path
) -> None:
    config = tmp_path / "zones.yaml"
    zones = {"use": "detect.zones", "options": {"boxes": [[0, 0, 1, 1]]}}
    config.write_text(yaml.safe_dump({"steps": [zones, {"use": "deidentify.cover", "options": options}]}))
    before = sorted(tmp_path.iterdir())

    out = str(tmp_path / "out")
    done = CliRunner().invoke(app, ["run", str(source), "-o", out, "--config", str(config), *flags])

    assert done.exit_code == 2
    assert done.stderr.startswith("error: ") and done.stderr.endswith(f"{sentence}\n")
    assert done.stderr.count("\n") == 1 and done.stdout == ""
    assert sorted(tmp_path.iterdir()) == before  # no work folder, no output
    assert not ray.is_initialized()


def test_the_command_line_starts_without_operators_and_networks() -> None:
    """They bring OpenCV, Ray and runtimes along, for which no `--version` shall wait."""
    heavy = "{'cv2', 'ray', 'av', 'torch', 'onnxruntime', 'scipy', 'mediapipe'}"
    code = f"import sys, pipeline.commands.app; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "[]\n"
