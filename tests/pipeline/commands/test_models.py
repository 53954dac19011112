"""`facewarden models`: what there is, what is fetched, and what is found damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.commands.app import app
from pipeline.commands.console import WRONG, console
from pipeline.config import config_folder, load
from pipeline.judging.panel import MODELS
from pipeline.models.catalog import list_models, models_of


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 200)


def models(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments])


def rows(done: Result) -> list[list[str]]:
    lines = [line for line in done.stdout.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_the_list_says_what_is_here(small_models: Path) -> None:
    (small_models / "face_landmarker.task").unlink()
    (small_models / "centerface.onnx").write_bytes(b"centerfac")

    done = models("list")

    assert done.exit_code == 0
    assert rows(done) == [
        ["centerface", "a test", "CC0-1.0", "0.0", "damaged"],
        ["face_landmarker", "a test", "CC0-1.0", "0.0", "-"],
    ]
    (small_models / "centerface.onnx").write_bytes(b"centerface")
    assert rows(models("list"))[0][-1] == "yes"


def test_pulling_prints_where_the_models_are(small_models: Path) -> None:
    done = models("pull", "face_landmarker", "centerface")

    assert (done.exit_code, done.stdout.splitlines()) == (
        0, [str(small_models / "face_landmarker.task"), str(small_models / "centerface.onnx")],
    )  # fmt: skip
    assert (small_models / "centerface.json").is_file()  # with their cards


def test_all_models_are_pulled_on_demand(small_models: Path) -> None:
    done = models("pull", "--all")

    assert sorted(done.stdout.splitlines()) == sorted(map(str, small_models.glob("*.[ot]*")))


def test_without_a_name_all_that_commands_need_is_pulled(small_models: Path) -> None:
    done = models("pull")

    assert sorted(done.stdout.splitlines()) == sorted(map(str, small_models.glob("*.[ot]*")))


def test_one_call_brings_what_the_packaged_configs_need() -> None:
    """And keep-lists, which no config names: only trainings need more."""
    folder = config_folder() / "pipelines"
    needed = {name for file in folder.glob("*.yaml") for name in models_of(load(file).steps)}
    needed |= {"face_descriptor", "face_points", *MODELS}

    assert needed == {model.name for model in list_models() if not model.training}


def test_models_are_pulled_from_a_folder(small_models: Path, tmp_path: Path) -> None:
    brought = tmp_path / "brought"
    small_models.rename(brought)

    done = models("pull", "--from", str(brought))

    assert done.exit_code == 0
    assert (small_models / "centerface.onnx").read_bytes() == b"centerface"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pull", "nobody"], "no model 'nobody'; known: centerface, face_landmarker"),
        (["verify", "nobody"], "no model 'nobody'; known: centerface, face_landmarker"),
        (["pull", "centerface.int7"], "centerface.int7: expected one of fp32, fp16, bf16, int8, got 'int7'"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("small_models")
def test_models_that_there_are_not(arguments: list[str], message: str) -> None:
    done = models(*arguments)

    assert (done.exit_code, done.stdout) == (WRONG, "")
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_damaged_model_is_found(small_models: Path) -> None:
    whole = models("verify")
    (small_models / "centerface.onnx").write_bytes(b"centerfacf")
    (small_models / "face_landmarker.task").unlink()

    damaged, one = models("verify"), models("verify", "centerface")

    assert (whole.exit_code, whole.stdout) == (0, "centerface: fine\nface_landmarker: fine\n")
    assert damaged.exit_code == one.exit_code == 1
    first, second = damaged.stdout.splitlines()
    assert first.startswith("centerface: expected SHA-256 ") and one.stdout.splitlines() == [first]
    assert second == "face_landmarker: not pulled; `facewarden models pull face_landmarker` fetches it"


def test_a_model_that_no_source_gives(small_models: Path) -> None:
    (small_models / "centerface.onnx").unlink()

    done = models("pull", "centerface")

    assert done.exit_code == WRONG
    assert "centerface: no source gave it:" in done.stderr and "http://127.0.0.1:1/none" in done.stderr
