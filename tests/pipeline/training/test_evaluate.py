"""Systems on one set: which may be evaluated together, on which crops, and under which names the figures come."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs facewarden[train]")

from engines import ConfigError
from pipeline.training import ray_jobs as jobs
from pipeline.training.evaluate import evaluate
from tests.pipeline.training.material import RECIPE


@pytest.mark.parametrize(
    ("system", "told"),
    [("acmf", "expected the folder of a training run"), ("gazeforensics", "none of deepfake.gazeforensics has")],
)
def test_adaptation_needs_weights_and_a_system_that_can(system: str, told: str) -> None:
    place = jobs.Workspace(None, Path())

    with pytest.raises(ConfigError, match=told):
        evaluate([system], [], {"set": "x"}, place, tta=True, draws=2)


@pytest.mark.parametrize(
    ("names", "runs", "told"),
    [
        (["acmf", "acmf-paper"], [], "expected different systems"),
        (["gazeforensics", "acmf-paper"], [], "look at the same crops"),
        (["gazeforensics"], ["acmf-run"], "expected a run of deepfake.gazeforensics, got one of deepfake.acmf"),
    ],
)
def test_systems_that_are_not_evaluated_together(names: list[str], runs: list[str], told: str, tmp_path: Path) -> None:
    (tmp_path / "acmf-run").mkdir()
    (tmp_path / "acmf-run" / jobs.RECIPE).write_text(RECIPE.model_dump_json())
    place, folders = jobs.Workspace(None, Path()), [tmp_path / run for run in runs]

    with pytest.raises(ConfigError, match=told):
        evaluate(names, folders, {"set": "x"}, place, draws=2)


def test_figures_of_degraded_pictures_have_names_of_their_own(faceforensics: Path, tmp_path: Path) -> None:
    """On a card they would pass for those of pictures as they are."""
    data = {"set": str(faceforensics), "options": {"kinds": ["FaceSwap"]}, "splits": ["test"], "per_clip": 1}
    place = jobs.Workspace(None, tmp_path, "cpu", tmp_path / "crops")

    found = evaluate(["acmf"], [], data, place, shift=1, draws=2)

    assert {"shifted_auc", "shifted_ece_even"} <= found.figures.keys()
    assert all(name.startswith("shifted_") for name in found.figures)
