"""Trainings of a system that differ in one thing are rows of one table."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs facewarden[train]")

from pipeline.training import ray_jobs as jobs
from pipeline.training.ablate import ablate
from pipeline.training.recipe import Data, Recipe
from pipeline.training.summaries import plain, row_figures


def test_trainings_that_differ_in_one_thing_are_one_table(faceforensics: Path, tmp_path: Path) -> None:
    options = {"trunk": "xception-mini", "size": 48, "epochs": 0.5, "batch": 4, "fac_epochs": 0}
    data = Data(set=str(faceforensics), options={"kinds": ["Deepfakes"]}, size=64, per_clip=2)
    recipe = Recipe(use="deepfake.acmf", variant="tiny", data=data, options=options)
    place = jobs.Workspace(None, tmp_path / "runs", "cpu", tmp_path / "crops")

    found = ablate(recipe, [], place, only=["as configured", "no masking"], draws=20)

    figures, rows = row_figures(found), plain(found)
    assert [row["what"] for row in rows] == ["as configured", "no masking"]
    assert all(row["cases"] == rows[0]["cases"] > 0 and len(row["auc"]) == 3 for row in rows)
    names = ("auc_{}_as_configured_low", "auc_{}_no_masking", "auc_over_first_{}_no_masking_high", "auc_{}_mean")
    assert {name.format(faceforensics.name) for name in names} <= figures.keys()
    assert jobs.holds(
        tmp_path / "runs/acmf-tiny-no-masking", recipe.model_copy(update={"options": {**options, "rate": 0}})
    )
