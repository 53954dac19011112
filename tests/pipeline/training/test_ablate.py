"""Trainings of a system that differ in one thing are rows of one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs facewarden[train]")

import torch

from engines import ConfigError
from pipeline.training import ray_jobs as jobs
from pipeline.training.ablate import ablate
from pipeline.training.evaluate import EVERY_KIND, like
from pipeline.training.recipe import Data, Forgeries, Recipe, load_module
from pipeline.training.summaries import plain, row_figures
from tests.pipeline.training.material import (
    FOUR,
    SIZE,
    keep_crops,
    keep_forgeries,
    write_clips,
    write_genuine,
    write_run,
)

TEST = {"splits": ["test"]}


def test_trainings_that_differ_in_one_thing_are_one_table(faceforensics: Path, tmp_path: Path) -> None:
    options = {"trunk": "xception-mini", "size": 48, "epochs": 0.5, "batch": 4, "fac_epochs": 0}
    data = Data(set=str(faceforensics), options={"kinds": ["Deepfakes"]}, size=64, per_clip=2)
    recipe = Recipe(use="deepfake.acmf", variant="tiny", data=data, options=options)
    workspace = jobs.Workspace(None, tmp_path / "runs", "cpu", tmp_path / "crops")

    found = ablate(recipe, [], workspace, only=["as configured", "no masking"], draws=20)

    figures, rows = row_figures(found), plain(found)
    assert [row["what"] for row in rows] == ["as configured", "no masking"]
    assert all(row["cases"] == rows[0]["cases"] > 0 and len(row["auc"]) == 3 for row in rows)
    names = ("auc_{}_as_configured_low", "auc_{}_no_masking", "auc_over_first_{}_no_masking_high", "auc_{}_mean")
    assert {name.format(faceforensics.name) for name in names} <= figures.keys()
    assert jobs.holds(
        tmp_path / "runs/acmf-tiny-no-masking", recipe.model_copy(update={"options": {**options, "rate": 0}})
    )


# -- by hand ---------------------------------------------------------------------------------------


def ended(folder: Path, recipe: Recipe, factor: float = 1.0) -> Path:
    """A training that is over, so that none is begun."""
    return write_run(folder, recipe, {"factor": torch.tensor([factor])})


def test_each_training_is_set_against_the_first_on_every_set(
    recipe: Recipe, workspace: jobs.Workspace, tmp_path: Path
) -> None:
    """The second gives low scores to bright crops: what the first orders rightly it orders wrongly. The third orders
    them as the first."""
    recipe = recipe.model_copy(update={"options": {"factor": 1.0}})
    other = write_clips(tmp_path / "other", {"a_1": "real", "b_1": "fake"})
    keep_crops(like(recipe.data, TEST), workspace, FOUR)
    keep_crops(like(recipe.data, {"set": str(other), **TEST}), workspace, {"real/a_1": 0.2, "fake/b_1": 0.8})
    folders = [ended(workspace.runs / "twin-tiny", recipe)]
    for what, factor in (("the-other-way", -1.0), ("half-as-bright", 0.5)):
        variant = recipe.model_copy(update={"options": {"factor": factor}})  # which is laid over the recipe's own
        folders.append(ended(workspace.runs / f"twin-tiny-{what}", variant, factor))
    reports: list[Any] = []

    rows = ablate(recipe, [str(other)], workspace, draws=2, on_progress=lambda *report: reports.append(report))

    assert [(row["what"], row["set"], row["cases"], row["auc"].value) for row in rows] == [
        ("as configured", "four", 4, 3 / 4), ("as configured", "other", 2, 1.0),
        ("the other way", "four", 4, 1 / 4), ("the other way", "other", 2, 0.0),
        ("half as bright", "four", 4, 3 / 4), ("half as bright", "other", 2, 1.0),
    ]  # fmt: skip
    assert [row["auc_over_first"].value for row in rows if "auc_over_first" in row] == [-1 / 2, -1.0, 0.0, 0.0]
    assert [report for report in reports if report[0] == "trainings"] == [
        ("trainings", number, 3, {}) for number in range(3)
    ]
    assert all((folder / "tiny_detector.onnx").is_file() for folder in folders)
    assert len(list(workspace.runs.iterdir())) == 3  # what `train` has left is not trained again


def test_with_a_kind_left_out_a_training_is_measured_on_that_kind_alone(
    workspace: jobs.Workspace, tmp_path: Path, twin: str
) -> None:
    """Two genuine crops of 0.2 and 0.4, a swap of 0.9 and irises of 0.1."""
    stills = write_genuine(tmp_path / "stills", ["train/1.jpg", "val/2.jpg", "val/3.jpg"])
    forgeries = Forgeries(kinds=["swap", "iris"], per_real=1)
    recipe = Recipe(use=twin, variant="tiny", data=Data(set=str(stills), size=SIZE), forgeries=forgeries)
    genuine = keep_crops(like(recipe.data, TEST), workspace, {"val/2.jpg": 0.2, "val/3.jpg": 0.4})
    keep_forgeries(genuine, EVERY_KIND, (0.9, 0.1), ("swap", "iris"))
    for kind in ("swap", "iris"):
        ended(workspace.runs / f"twin-tiny-without-{kind}", recipe.model_copy(update={"without": [kind]}))

    rows = ablate(recipe, [], workspace, leave_kinds_out=True, draws=2)

    assert [(row["what"], row["cases"], row["auc"].value) for row in rows] == [("swap", 3, 1.0), ("iris", 3, 0.0)]
    assert not [row for row in rows if "auc_over_first" in row]  # they are measured on different crops


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (["as meant"], "no as meant; known: as configured, the other way, half as bright"),
        (["x", "as configured", "y"], "no x, y; known"),
    ],
)
def test_trainings_that_a_system_does_not_have(
    recipe: Recipe, workspace: jobs.Workspace, only: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"--only: {message}"):
        ablate(recipe, [], workspace, only=only, draws=2)


def test_a_system_without_ablations(recipe: Recipe, workspace: jobs.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(load_module(recipe.use, "train"), "ABLATIONS")

    with pytest.raises(ConfigError, match="twin names no ablations; train it with --option KEY=VALUE"):
        ablate(recipe, [], workspace, draws=2)


@pytest.mark.parametrize("kinds", [None, [], ["swap"]], ids=["the set's own", "none", "one"])
def test_a_kind_can_only_be_left_out_of_several(
    workspace: jobs.Workspace, tmp_path: Path, twin: str, kinds: list[str] | None
) -> None:
    stills = write_genuine(tmp_path / "stills", ["val/2.jpg"])
    forgeries = None if kinds is None else Forgeries(kinds=kinds)
    recipe = Recipe(use=twin, data=Data(set=str(stills)), forgeries=forgeries)

    with pytest.raises(ConfigError, match="--leave-kinds-out: expected a config with forgeries of several kinds"):
        ablate(recipe, [], workspace, leave_kinds_out=True, draws=2)
