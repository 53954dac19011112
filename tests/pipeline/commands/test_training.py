"""`facewarden train`, `export`, `evaluate`, `ablate`: what they print and write, and mistakes in one sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("torch", reason="training needs facewarden[train]")

import torch

from engines import ConfigError
from engines.card import read_card
from engines.progress import MINUTES
from pipeline.commands.app import app
from pipeline.commands.console import WRONG, console
from pipeline.commands.training import _pairs
from pipeline.provenance import write_report
from pipeline.training.evaluate import like
from pipeline.training.ray_jobs import Workspace
from pipeline.training.recipe import Recipe
from tests.pipeline.screening.brightness import write_detector
from tests.pipeline.training.material import FOUR, keep_crops, write_clips, write_run


@pytest.fixture(autouse=True)
def _wide_and_without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's own data would bring Meso4 along."""
    monkeypatch.delenv("FACEWARDEN_DATA", raising=False)
    monkeypatch.setattr(console, "width", 300)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def written(recipe: Recipe, folder: Path) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe.model_dump()))
    return file


def ended(runs: Path, recipe: Recipe) -> Path:
    return write_run(runs / recipe.name, recipe, {"factor": torch.tensor([1.0])}, val_auc=0.6)


# -- what they do ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_models")
def test_evaluate_prints_a_table_and_writes_a_report(recipe: Recipe, tmp_path: Path) -> None:
    run, file = ended(tmp_path, recipe), written(recipe, tmp_path)
    write_detector(run / "tiny_detector.onnx", fake=0.5, real=0.45)
    wanted = {"set": recipe.data.set, "splits": ["test"], "per_clip": 1, "most": 0}
    keep_crops(like(recipe.data, wanted), Workspace(None, Path()), FOUR)

    done = call(
        "evaluate", file, "--model", run, "--data", recipe.data.set, "--per-clip", 1, "--draws", 2,
        "--json", tmp_path / "reports/report.json",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert f"{recipe.data.set}, test: 4 crops" in done.stdout.replace("\n", "")
    (row,) = (line for line in done.stdout.splitlines() if "frame" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][:5] == ["twin", "frame", "4", "100%", figure(0.75, row)]
    assert "twin would speak of 100% of these crops at run time" in done.stdout
    report = json.loads((tmp_path / "reports/report.json").read_text())
    assert report["figures"]["auc"] == 0.75 and report["seed"] == 0
    assert [each.get("what", each.get("kind")) for each in report["rows"]] == ["twin", "DeepFaceLive"]
    assert report["rows"][0]["auc"][0] == 0.75


def figure(value: float, row: str) -> str:
    """The first cell of the row that begins with this value."""
    return next(cell.strip() for cell in row.split("│") if cell.strip().startswith(f"{value:.3f} ["))


@pytest.mark.usefixtures("small_models")
def test_train_ends_with_the_minutes_and_the_networks(recipe: Recipe, tmp_path: Path) -> None:
    run = ended(tmp_path / "runs", recipe)
    (run / MINUTES).write_text('{"landmarks": 1.25, "training": 30}')

    done = call("train", "x", "--config", written(recipe, tmp_path), "--runs", tmp_path / "runs", "--device", "cpu")

    assert done.exit_code == 0, done.output
    table = [[cell.strip() for cell in line.strip("│").split("│")] for line in done.stdout.splitlines() if "│" in line]
    assert table[:2] == [["landmarks", "1.2"], ["training", "30.0"]]
    assert table[-1][0] == "all" and float(table[-1][1]) >= 31.2
    assert done.stdout.splitlines()[-1] == str(run / "tiny_detector.onnx")


def test_export_takes_figures_of_reports_and_prints_where_the_networks_are(recipe: Recipe, tmp_path: Path) -> None:
    run, report = ended(tmp_path, recipe), tmp_path / "report.json"
    write_report(report, {"auc": 0.8, "auc_low": 0.7, "auc_high": 0.9})

    done = call("export", run, "--to", tmp_path / "to", "--figures", report)

    assert done.exit_code == 0, done.output
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'to/tiny_detector.onnx'}\n")
    card = read_card(tmp_path / "to/tiny_detector.onnx")
    assert set(card.metrics) == {"auc", "val_auc"}


@pytest.mark.usefixtures("small_models")
def test_ablate_prints_a_line_for_each_training(recipe: Recipe, tmp_path: Path) -> None:
    file = written(recipe, tmp_path)
    ended(tmp_path / "runs", recipe)
    keep_crops(like(recipe.data, {"splits": ["test"]}), Workspace(None, Path()), FOUR)

    done = call(
        "ablate", file, "--only", "as configured", "--runs", tmp_path / "runs", "--device", "cpu", "--draws", 2,
        "--json", tmp_path / "report.json",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert "twin: ablations" in done.stdout
    (row,) = (line for line in done.stdout.splitlines() if "as configured" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][:4] == ["as configured", "four", "4", "100%"]
    figures = json.loads((tmp_path / "report.json").read_text())["figures"]
    assert figures["auc_four_as_configured"] == figures["auc_four_mean"] == 0.75


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nobody"], "no training 'nobody': give a YAML file, or one of: acmf-paper"),
        (["train", "acmf", "--option", "epochs"], "epochs: expected KEY=VALUE"),
        (["train", "acmf", "--option", "epochs=[1"], "epochs=[1: expected a YAML value"),
        (["train", "acmf", "--option", "colour=red"], "colour"),
        (["train", "acmf", "--data", "nowhere"], "no data set 'nowhere'"),
        (["train", "acmf", "--data", "{set}", "--device", "tpu"], "--device tpu: expected auto, cpu, cuda"),
        (["export", "{set}"], "expected the folder of a training run"),
        (["export", "{set}", "--figures", "{set}/frames.csv"], "frames.csv: expected a report of evaluate --json"),
        (["evaluate", "acmf", "--data", "nowhere"], "no data set 'nowhere'"),
        (["evaluate", "acmf", "--data", "{set}", "--data-option", "level"], "level: expected KEY=VALUE"),
        (["evaluate", "acmf", "--data", "{set}", "--data-option", "level=3"], "unexpected keyword argument 'level'"),
        (
            ["evaluate", "acmf", "gazeforensics", "--data", "{set}", "--model", "{set}"],
            "expected one for each of acmf, ",
        ),
        (["evaluate", "acmf", "--data", "{set}", "--tta"], "--tta: expected the folder of a training run"),
        (["ablate", "acmf"], "no data set 'fairface'"),
        (["ablate", "gazeforensics", "--leave-kinds-out"], "--leave-kinds-out: expected a config with forgeries"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    folder = write_clips(tmp_path / "set", {"a_1": "real", "b_1": "fake"})

    done = call(*(argument.format(set=folder) for argument in arguments), *runs_of(arguments, tmp_path))

    assert done.exit_code == WRONG and done.stdout == ""
    assert done.stderr.strip().startswith("error: ") and message in done.stderr
    assert "Traceback" not in done.stderr


def runs_of(arguments: list[str], folder: Path) -> list[str]:
    return ["--runs", str(folder / "runs")] if arguments[0] in ("train", "ablate") else []


@pytest.mark.parametrize(
    "arguments",
    [["evaluate", "acmf"], ["evaluate", "acmf", "--data", "x", "--shift", "1.1"], ["train"],
     ["train", "acmf", "--per-clip", "-1"], ["train", "acmf", "--seed", "one"]],
    ids=" ".join,
)  # fmt: skip
def test_what_the_command_line_itself_refuses(arguments: list[str]) -> None:
    done = call(*arguments)

    assert done.exit_code == WRONG and "Usage: " in done.stderr


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pipeline.training.ray_jobs", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)

    done = call("train", "acmf")

    assert done.exit_code == WRONG
    assert done.stderr == "error: this needs the package 'ray'; pip install 'facewarden[train]'\n"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, {}),
        (["epochs=3", "lr=1.0e-3"], {"epochs": 3, "lr": 1e-3}),
        (["kinds=[swap, iris]"], {"kinds": ["swap", "iris"]}),
        (["level=false", "trunk=mobilenet"], {"level": False, "trunk": "mobilenet"}),
        (["backbone="], {"backbone": None}),
        (["name=a=b"], {"name": "a=b"}),
        (["epochs=1", "epochs=2"], {"epochs": 2}),
    ],
    ids=["none", "numbers", "a list", "a word", "nothing", "an equals sign", "twice"],
)
def test_options_are_read_as_yaml_reads_them(given: list[str] | None, read: dict[str, Any]) -> None:
    assert _pairs(given) == read


def test_options_without_a_value_are_refused() -> None:
    with pytest.raises(ConfigError, match="level: expected KEY=VALUE"):
        _pairs(["epochs=1", "level"])
