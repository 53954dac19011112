"""From videos in a published layout to the table of its protocol, by the commands that whoever holds the set uses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch", reason="training needs facewarden[train]")

import torch

from engines.card import read_card
from engines.progress import minutes, silent
from pipeline.models.catalog import find_model
from pipeline.training import ray_jobs as jobs
from pipeline.training.recipe import Data, Forgeries, Recipe
from pipeline.training.train import train, with_own_forgeries
from tests.operators.datasets import trees
from tests.pipeline.training.material import PAIRS, RECIPE, write_clips, write_genuine, write_run


def facewarden(folder: Path, *arguments: str | Path) -> str:
    """Runs a command with a cache of its own, in which the models are but links."""
    cache = folder / "cache"
    cache.mkdir(exist_ok=True)
    for model in ("face_landmarker", "centerface"):
        if not (cache / find_model(model).name).exists():
            (cache / find_model(model).name).symlink_to(find_model(model))
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    root = Path(__file__).parents[3]
    known = {**os.environ, "PYTHONPATH": str(root), "FACEWARDEN_CACHE": str(cache), "COLUMNS": "200"}
    known["OMP_NUM_THREADS"] = "1"  # several threads of PyTorch wait for each other where the machine is busy
    done = subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_set_with_forgeries_of_its_own_is_given_no_others(tmp_path: Path) -> None:
    trees.faceforensics(tmp_path, PAIRS)
    data = Data(set=str(tmp_path), options={"kinds": ["FaceSwap"]})
    recipe = RECIPE.model_copy(update={"data": data, "forgeries": Forgeries()})

    assert with_own_forgeries(recipe, jobs.Workspace(None, tmp_path)).forgeries is None


def test_forgeries_are_made_where_a_set_has_none(tmp_path: Path) -> None:
    workspace, forgeries = jobs.Workspace(tmp_path, tmp_path), Forgeries(kinds=["swap"])
    write_genuine(tmp_path / "faces_fairface", ["train/1.jpg"])
    write_clips(tmp_path / "own", {"a_1": "real", "a_2": "fake"})

    def wanted(of: str, forgeries: Forgeries | None) -> Forgeries | None:
        recipe = Recipe(use="deepfake.acmf", data=Data(set=of), forgeries=forgeries)
        return with_own_forgeries(recipe, workspace).forgeries

    assert wanted("fairface", forgeries) == forgeries
    assert wanted("own", forgeries) is None
    assert wanted("nowhere", None) is None  # it is not even looked for


def test_a_training_that_is_over_is_exported_with_its_minutes(tmp_path: Path, twin: str) -> None:
    write_clips(tmp_path / "set", {"a_1": "real", "a_2": "fake"})
    recipe = Recipe(use=twin, variant="tiny", data=Data(set=str(tmp_path / "set")), forgeries=Forgeries(kinds=["swap"]))
    workspace = jobs.Workspace(None, tmp_path / "runs", "cpu")
    left = recipe.model_copy(update={"forgeries": None})  # the set has its own
    run = write_run(tmp_path / "runs/twin-tiny", left, {"factor": torch.tensor([1.0])})

    written = train(recipe, workspace, None, silent)

    assert written == [run / "tiny_detector.onnx"] and written[0].is_file()
    assert list(minutes(run)) == ["export"] and minutes(run)["export"] > 0


def test_from_videos_to_the_table(faceforensics: Path, tmp_path: Path) -> None:
    recipe = {
        "use": "deepfake.acmf",
        "variant": "tiny",
        "data": {"set": "faceforensics", "size": 64, "per_clip": 3},
        "options": {"trunk": "mobilenet", "size": 64, "epochs": 1, "batch": 4, "fac_epochs": 0, "lr": 1.0e-3},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    kinds = "kinds=[Deepfakes, FaceSwap]"

    trained = facewarden(tmp_path, "train", "tiny.yaml", "--data", faceforensics, "--data-option", kinds)
    printed = facewarden(
        tmp_path, "evaluate", "acmf", "--model", "runs/acmf-tiny", "--data", faceforensics, "--data-option", kinds,
        "--draws", "50", "--tta", "--json", "report.json",
    )  # fmt: skip

    assert all(phase in trained for phase in ("landmarks", "training", "export", "all"))
    card = read_card(tmp_path / "runs/acmf-tiny/tiny_detector.onnx")
    assert card.seed == 0 and "faceforensics" in card.recipe.lower() and card.metrics
    assert "Deepfakes" in printed and "FaceSwap" in printed and "video" in printed and "adapted to" in printed
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["figures"]["groups"] == 1 and report["figures"]["crops"] >= 6
    expected = {"auc", "auc_low", "auc_video", "eer_video", "auc_video_tta", "auc_kind_FaceSwap", "error_spoken"}
    assert expected <= report["figures"].keys()
