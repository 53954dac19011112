"""Systems on one set: which may be evaluated together, on which crops, and under which names the figures come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs facewarden[train]")

import torch

from engines import ConfigError
from engines.progress import silent
from operators.cropset import CropSet
from operators.datasets import find_set
from pipeline.training import evaluate as evaluating
from pipeline.training import ray_jobs as jobs
from pipeline.training.evaluate import EVERY_KIND, evaluate, evaluated_crops, like
from pipeline.training.recipe import Data, Forgeries, Recipe
from pipeline.training.summaries import LEARNED
from tests.operators.deepfake.faces import crop_set
from tests.pipeline.screening.brightness import write_detector
from tests.pipeline.training.material import (
    FOUR,
    RECIPE,
    SIZE,
    Here,
    crops_of,
    keep_crops,
    keep_forgeries,
    write_clips,
    write_genuine,
    write_run,
)

TEST = {"splits": ["test"]}


@pytest.mark.parametrize(
    ("system", "message"),
    [("acmf", "expected the folder of a training run"), ("gazeforensics", "none of deepfake.gazeforensics has")],
)
def test_adaptation_needs_weights_and_a_system_that_can(system: str, message: str) -> None:
    workspace = jobs.Workspace(None, Path())

    with pytest.raises(ConfigError, match=message):
        evaluate([system], [], {"set": "x"}, workspace, tta=True, draws=2)


@pytest.mark.parametrize(
    ("names", "runs", "message"),
    [
        (["acmf", "acmf-paper"], [], "expected different systems"),
        (["gazeforensics", "acmf-paper"], [], "look at the same crops"),
        (["gazeforensics"], ["acmf-run"], "expected a run of deepfake.gazeforensics, got one of deepfake.acmf"),
    ],
)
def test_systems_that_are_not_evaluated_together(
    names: list[str], runs: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "acmf-run").mkdir()
    (tmp_path / "acmf-run" / jobs.RECIPE).write_text(RECIPE.model_dump_json())
    workspace, folders = jobs.Workspace(None, Path()), [tmp_path / run for run in runs]

    with pytest.raises(ConfigError, match=message):
        evaluate(names, folders, {"set": "x"}, workspace, draws=2)


def test_figures_of_degraded_pictures_have_names_of_their_own(faceforensics: Path, tmp_path: Path) -> None:
    """On a card they would pass for those of pictures as they are."""
    data = {"set": str(faceforensics), "options": {"kinds": ["FaceSwap"]}, "splits": ["test"], "per_clip": 1}
    workspace = jobs.Workspace(None, tmp_path, "cpu", tmp_path / "crops")

    found = evaluate(["acmf"], [], data, workspace, shift=1, draws=2)

    assert {"shifted_auc", "shifted_ece_even"} <= found.figures.keys()
    assert all(name.startswith("shifted_") for name in found.figures)


# -- data ------------------------------------------------------------------------------------------


def test_the_set_of_the_training_is_cut_as_it_was() -> None:
    data = Data(set="x", options={"kinds": ["swap"]}, whole=True, turned=0.3, most=5, per_clip=2, margin=1.4)

    assert like(data, TEST) == data.model_copy(update=TEST)
    assert like(data, {"set": "x", "per_clip": 8}) == data.model_copy(update={"per_clip": 8})


def test_what_was_left_out_of_the_training_is_not_left_out_of_another_set() -> None:
    data = Data(set="x", options={"kinds": ["swap"]}, whole=True, turned=0.3, most=5, per_clip=2, margin=1.4, size=64)

    assert like(data, {"set": "y"}) == Data(set="y", margin=1.4, size=64, per_clip=32)
    assert like(data, {"set": "y", "per_clip": 8, "most": 1}) == Data(set="y", margin=1.4, size=64, per_clip=8, most=1)


STILLS = ["train/1.jpg", "train/2.jpg", "train/3.jpg", "val/4.jpg", "val/5.jpg"]


def test_a_set_with_forgeries_is_taken_as_it_is(tmp_path: Path, workspace: jobs.Workspace) -> None:
    data = Data(set=str(write_clips(tmp_path / "set", {"a_1": "real", "a_2": "fake"})))

    crops = evaluated_crops(data, RECIPE, workspace, Here(crops_of), silent)

    assert (crops.clips.tolist(), crops.labels.tolist()) == (["fake/a_2", "real/a_1"], [1, 0])


class Forging(Here):
    """Gives these crops for what is to be prepared, and forges by itself."""

    def __init__(self, crops: CropSet) -> None:
        super().__init__(lambda _: crops)

    def spread(self, work: Any, pieces: Any) -> Any:
        first, *others = pieces
        if isinstance(first, np.ndarray):
            return map(work, [first, *others])
        return super().spread(work, [first, *others])


@pytest.mark.usefixtures("twin")
def test_genuine_faces_are_given_forgeries_of_every_kind(tmp_path: Path, workspace: jobs.Workspace) -> None:
    genuine = crop_set(2).where(np.arange(4))
    data = Data(set=str(write_genuine(tmp_path / "set", STILLS)))
    recipe = Recipe(use="twin", data=data, forgeries=Forgeries(kinds=["iris"], per_real=1))

    crops = evaluated_crops(data, recipe, workspace, Forging(genuine), silent)

    assert (crops.labels == 1).sum() == len(genuine) * EVERY_KIND.per_real
    assert len(set(crops.kinds[crops.labels == 1])) > 3


def test_stills_are_rendered_as_videos_for_a_system_that_looks_at_these(
    tmp_path: Path, workspace: jobs.Workspace
) -> None:
    genuine = crop_set(2, 48).where(np.arange(4))
    data = Data(set=str(write_genuine(tmp_path / "set", STILLS)))
    options = {"head": "small", "size": SIZE, "kinds": ["swap"]}
    recipe = Recipe(use="deepfake.gazeforensics", data=data, options=options)

    crops = evaluated_crops(data, recipe, workspace, Forging(genuine), silent)

    names, frames = np.unique(crops.clips, return_counts=True)
    assert (len(names), set(frames.tolist())) == (8, {8})
    assert set(crops.kinds) == {"real", "swap"}


# -- figures ---------------------------------------------------------------------------------------


def written(recipe: Recipe, folder: Path) -> Path:
    file = folder / f"{recipe.use}.yaml"
    file.write_text(json.dumps(recipe.model_dump()))
    return file


def trained(recipe: Recipe, workspace: jobs.Workspace, **figures: float) -> Path:
    """A run whose network gives a crop's brightness. By its card, what scores 0.5 or more is called forged."""
    run = write_run(workspace.run_of(recipe), recipe, {"factor": torch.tensor([1.0])}, **figures)
    write_detector(run / f"{recipe.variant}_detector.onnx", fake=0.5, real=0.45)
    return run


def test_an_evaluation_by_hand(recipe: Recipe, workspace: jobs.Workspace, tmp_path: Path) -> None:
    run, name = trained(recipe, workspace), str(written(recipe, tmp_path))
    keep_crops(like(recipe.data, TEST), workspace, FOUR)

    found = evaluate([name], [run], TEST, workspace, draws=2)

    assert found.title == f"{recipe.data.set}, test: 4 crops"
    assert [(row["what"], row["unit"], row["cases"]) for row in found.rows] == [("twin", "frame", 4)]
    assert [(row["kind"], row["cases"], row["twin"].value) for row in found.kinds] == [("DeepFaceLive", 2, 3 / 4)]
    assert found.spoken == {"twin": 1.0}
    expected = {"auc": 3 / 4, "auc_kind_DeepFaceLive": 3 / 4, "crops": 4, "groups": 4, "error_spoken": 1 / 2}
    assert {name: found.figures[name] for name in expected} == expected
    assert not [name for name in found.figures if "mesonet" in name or "learned" in name or "tta" in name]


def test_several_systems_are_fused_and_named(recipe: Recipe, workspace: jobs.Workspace, tmp_path: Path) -> None:
    other = recipe.model_copy(update={"use": "deepfake.acmf"})
    runs = [trained(each, workspace) for each in (recipe, other)]
    names = [str(written(each, tmp_path)) for each in (recipe, other)]
    keep_crops(like(recipe.data, TEST), workspace, FOUR)

    found = evaluate(names, runs, TEST, workspace, draws=2)

    assert [row["what"] for row in found.rows] == ["twin", "acmf", "fusion"]
    assert found.figures["auc"] == found.figures["auc_acmf"] == found.figures["auc_fusion"] == 3 / 4
    assert found.spoken == {"twin": 1.0, "acmf": 1.0}


def test_a_second_system_without_its_run(recipe: Recipe, workspace: jobs.Workspace, tmp_path: Path) -> None:
    names = [str(written(recipe, tmp_path)), "acmf"]

    with pytest.raises(ConfigError, match=r"--model: expected one for each of .*, acmf, got 1"):
        evaluate(names, [trained(recipe, workspace)], TEST, workspace, draws=2)


def test_a_run_decides_how_crops_are_cut_and_not_the_packaged_recipe(
    recipe: Recipe, workspace: jobs.Workspace, tmp_path: Path
) -> None:
    """Its margin is not that of the file that names the system."""
    wide = recipe.model_copy(update={"data": recipe.data.model_copy(update={"margin": 1.5})})
    run, name = trained(wide, workspace), str(written(recipe, tmp_path))
    keep_crops(like(wide.data, TEST), workspace, FOUR)

    assert evaluate([name], [run], TEST, workspace, draws=2).figures["auc"] == 3 / 4


@pytest.fixture
def forging(tmp_path: Path, twin: str) -> Recipe:
    """A recipe that makes forgeries of genuine stills in two kinds, and learns from one of them."""
    stills = write_genuine(tmp_path / "stills", STILLS)
    return Recipe(
        use=twin, variant="tiny", data=Data(set=str(stills), size=SIZE),
        forgeries=Forgeries(kinds=["swap", "iris"], per_real=1), without=["iris"],
    )  # fmt: skip


def keep_test_crops(recipe: Recipe, workspace: jobs.Workspace) -> None:
    """Two genuine crops of 0.2 and 0.4, a swap of 0.9 and irises of 0.1."""
    genuine = keep_crops(like(recipe.data, TEST), workspace, {"val/4.jpg": 0.2, "val/5.jpg": 0.4})
    keep_forgeries(genuine, EVERY_KIND, (0.9, 0.1), ("swap", "iris"))


def test_kinds_that_were_learned_have_figures_of_their_own(
    forging: Recipe, workspace: jobs.Workspace, tmp_path: Path
) -> None:
    run, name = trained(forging, workspace), str(written(forging, tmp_path))
    keep_test_crops(forging, workspace)

    found = evaluate([name], [run], TEST, workspace, draws=2)

    assert [(row["what"], row["cases"]) for row in found.rows] == [("twin", 4), (f"twin{LEARNED}", 3)]
    assert (found.figures["auc"], found.figures["auc_learned"]) == (1 / 2, 1.0)


def test_adapting_is_given_labelled_crops_of_the_training_and_no_label_of_the_test(
    forging: Recipe, workspace: jobs.Workspace, tmp_path: Path
) -> None:
    """What it was trained on: the genuine stills of the training split, and a swap of each; none of the irises."""
    run, name = trained(forging, workspace), str(written(forging, tmp_path))
    keep_test_crops(forging, workspace)
    assert forging.forgeries is not None
    keep_forgeries(keep_crops(forging.data, workspace), forging.forgeries, kinds=("swap", "iris"))
    splits = [clip.split for clip in find_set(forging.data.set).clips]
    reports: list[Any] = []

    found = evaluate(
        [name], [run], TEST, workspace, tta=True, draws=2, on_progress=lambda *report: reports.append(report)
    )

    swaps = len(splits[::2])
    assert splits.count("train") == 3
    assert ("adapting", 1, 1, {"labels": 0, "source": 3 + swaps, "forged": swaps}) in reports
    assert found.figures["auc_video_tta"] == 1 / 2


def test_the_source_of_an_adaptation_has_an_end(
    forging: Recipe, workspace: jobs.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluating, "SOURCE", 2)
    run, name = trained(forging, workspace), str(written(forging, tmp_path))
    keep_test_crops(forging, workspace)
    assert forging.forgeries is not None
    keep_forgeries(keep_crops(forging.data, workspace), forging.forgeries)
    reports: list[Any] = []

    evaluate([name], [run], TEST, workspace, tta=True, draws=2, on_progress=lambda *report: reports.append(report))

    assert ("adapting", 1, 1, {"labels": 0, "source": 4, "forged": 2}) in reports


def test_a_network_that_is_not_there(recipe: Recipe, workspace: jobs.Workspace, tmp_path: Path) -> None:
    run, name = trained(recipe, workspace), str(written(recipe, tmp_path))
    (run / "tiny_detector.onnx").unlink()
    keep_crops(like(recipe.data, TEST), workspace, FOUR)

    with pytest.raises(ConfigError, match=r"tiny_\*\.onnx: no network"):
        evaluate([name], [run], TEST, workspace, draws=2)
