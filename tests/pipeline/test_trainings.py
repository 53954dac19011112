"""From videos in a published layout to the table of its protocol, by the commands that whoever holds the set uses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

pytest.importorskip("torch", reason="training needs facewarden[train]")

from engines import ConfigError
from engines.card import read_card
from operators.cropset import open_set
from operators.datasets import DataSet, find_set
from operators.forge.degrade import jpeg
from pipeline.crop_cache import forged, prepared
from pipeline.models import find_model
from pipeline.recipes import Data, Forgeries
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
    root = Path(__file__).parents[2]
    known = {**os.environ, "PYTHONPATH": str(root), "FACEWARDEN_CACHE": str(cache), "COLUMNS": "200"}
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
    return prepared(FRONTAL, fairface, cache=tmp_path_factory.mktemp("crops"), told=quiet)


def test_a_set_is_prepared_once(fairface: DataSet, genuine: Path) -> None:
    crops = open_set(genuine)
    written = (genuine / "pixels.npy").stat().st_mtime_ns

    again = prepared(FRONTAL, fairface, cache=genuine.parent, told=quiet)
    other = prepared(FRONTAL.model_copy(update={"most": 4}), fairface, cache=genuine.parent, told=quiet)

    assert again == genuine and (genuine / "pixels.npy").stat().st_mtime_ns == written
    assert other != genuine and len(open_set(other)) < len(crops)
    assert len(crops) >= 10 and set(crops.splits) == {"test"} and not crops.labels.any()
    inside = (crops.points[:, :468] > -1) & (crops.points[:, :468] < 64)
    assert inside.all()


def test_forgeries_stand_behind_the_genuine(genuine: Path) -> None:
    n = len(open_set(genuine))

    made = open_set(forged(genuine, Forgeries(kinds=["swap", "iris"], per_real=2), told=quiet))

    assert made.labels.tolist() == [0] * n + [1] * (2 * n)
    assert made.origins[:n].tolist() == [-1] * n
    assert (made.clips[made.origins[n:]] == [clip.split("#")[0] for clip in made.clips[n:]]).all()
    assert not made.masks[:n].any() and made.masks[n:].any(axis=(1, 2)).all()


@pytest.mark.usefixtures("fairface")
def test_a_place_without_faces_is_told(tmp_path: Path) -> None:
    trees.pictures(tmp_path / "set/real_test/1/real/0")
    blank = find_set(str(tmp_path / "set"))

    with pytest.raises(ConfigError, match="no face was found in 1 clips"):
        prepared(Data(set="blank"), blank, cache=tmp_path / "crops", told=quiet)


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
        "--draws", "50", "--json", "report.json",
    )  # fmt: skip

    assert all(phase in trained for phase in ("landmarks", "training", "export", "all"))
    card = read_card(tmp_path / "runs/acmf-tiny/tiny_detector.onnx")
    assert card.seed == 0 and "faceforensics" in card.recipe.lower() and card.metrics
    assert "Deepfakes" in told and "FaceSwap" in told and "video" in told
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["figures"]["groups"] == 1 and report["figures"]["crops"] >= 6
    assert {"auc", "auc_low", "auc_video", "eer_video", "auc_kind_FaceSwap"} <= report["figures"].keys()
