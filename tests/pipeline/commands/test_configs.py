"""`facewarden check` and `facewarden operators`: a wrong value is one line, and every option has one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from operators import available, find
from operators.options import options_model
from pipeline.commands.app import app
from pipeline.jail.machine import Protection, missing
from tests.model_files import model_file, without_weights


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (
            "{use: deidentify.cover, options: {style: blurr}}",
            "deidentify.cover: style: expected blur, mosaic, solid or image, got 'blurr'",
        ),
        ("{use: track, options: {hold_ms: '500'}}", "track: hold_ms: expected a number of at least 0, got '500'"),
        (
            "{use: detect.yunet, engines: {detector: yunet}, options: {threshold: abc}}",
            "detect.yunet: threshold: expected a number above 0 and below 1, got 'abc'",
        ),
        (
            "{use: detect.cascade, engines: {thorough: centerface, quick: yunet}, options: {max_px: 640.5}}",
            "detect.cascade: max_px: expected an integer of at least 32, got 640.5",
        ),
    ],
)
def test_check_refuses_a_wrong_value_in_one_line(step: str, sentence: str, tmp_path: Path) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text(f"steps: [{{use: detect.zones, options: {{boxes: [[0, 0, 1, 1]]}}}}, {step}]")

    done = CliRunner().invoke(app, ["check", str(config)])

    assert (done.exit_code, done.stderr, done.stdout) == (2, f"error: {sentence}\n", "")


def test_check_finds_a_config_fine(tmp_path: Path) -> None:
    config = tmp_path / "fine.yaml"
    config.write_text(
        "steps: [{use: detect.zones, options: {boxes: []}}, {use: deidentify.cover, options: {scale: 2}}]"
    )

    done = CliRunner().invoke(app, ["check", str(config)])

    assert done.exit_code == 0
    assert "fine.yaml: fine" in done.stdout.replace("\n", "")


def test_check_refuses_an_exchanged_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As large as the right one."""
    detectors = [model_file(name) for name in ("centerface", "yunet")]
    monkeypatch.setenv("FACEWARDEN_CACHE", str(tmp_path))
    for file in detectors:
        shutil.copy(file, tmp_path)
    (tmp_path / "yunet.onnx").write_bytes(bytes(detectors[1].stat().st_size))

    done = CliRunner().invoke(app, ["check", "anonymize"])

    assert (done.exit_code, done.stdout) == (2, "")
    assert "yunet.onnx: expected SHA-256" in done.stderr
    assert "`facewarden models pull yunet` fetches it again" in done.stderr


def test_check_refuses_a_detector_that_sees_nothing(tmp_path: Path) -> None:
    """Of whose network no hash is known."""
    config, network = tmp_path / "blind.yaml", without_weights(model_file("centerface"), tmp_path)
    step = f"{{use: detect.centerface, engines: {{detector: {network}}}}}"
    config.write_text(f"steps: [{step}, {{use: deidentify.cover}}]")

    done = CliRunner().invoke(app, ["check", str(config)])

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: detect.centerface: expected it to find the face in a drawn picture, got: ")


@pytest.fixture(scope="module")
def listed() -> list[str]:
    """The lines of `facewarden operators`."""
    done = CliRunner().invoke(app, ["operators"])
    assert done.exit_code == 0
    return done.stdout.splitlines()


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def test_every_option_of_every_operator_has_a_row(listed: list[str]) -> None:
    firsts = [cells(line)[0] for line in listed]

    assert max(map(len, listed)) <= 140
    for name in available():
        assert any(line.startswith(f"{name}: ") for line in listed)
        assert set(options_model(find(name)).model_fields) <= set(firsts)


@pytest.mark.parametrize(
    "row",
    [
        ["style", "blur, mosaic, solid or image", "blur", "blur, mosaic, solid, or image"],
        ["pace_ms", "a number of at least 0", "0.0"],
        ["hold_ms", "a number of at least 0", "500.0"],
        ["image", "null or a string", "null"],
        ["photos", "a list, each a string", "required"],
        ["quick", "a model's name or file", "required", "as `detect.yunet` takes it"],
    ],
    ids=lambda row: row[0],
)
def test_a_row_says_what_an_option_expects_and_its_default(row: list[str], listed: list[str]) -> None:
    assert row in [cells(line)[: len(row)] for line in listed]


def test_check_tells_what_holds_hostile_videos_back_here() -> None:
    done = CliRunner().invoke(app, ["check", "--machine"])

    assert done.exit_code == (1 if missing() else 0)
    assert [name for name in ("system calls", "files", "TCP ports", "core dumps") if name not in done.stdout] == []
    assert re.search(r"tried in a jailed child: \d of 9 deeds refused", done.stdout)


def test_check_names_what_is_missing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = [Protection("files", False, "this kernel has no Landlock")]
    monkeypatch.setattr("pipeline.commands.configs.protections", lambda: lacking)
    monkeypatch.setattr(
        "pipeline.commands.configs.tried", lambda: {"read a file": "done", "start a process": "refused"}
    )

    done = CliRunner().invoke(app, ["check", "--machine"])

    assert done.exit_code == 1
    assert "this kernel has no Landlock" in done.stdout
    assert "1 of 2 deeds refused\nnot refused: read a file" in done.stdout


def test_check_wants_something_to_look_at() -> None:
    done = CliRunner().invoke(app, ["check"])

    assert (done.exit_code, done.stderr) == (2, "error: nothing to look at; give a config, or --machine\n")
