"""Material for trainings: small models and a system that trains at once, and real faces where the reader has them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

import operators
from engines import ConfigError
from engines.files import sha256_of
from engines.progress import silent
from operators.cropset import open_set
from operators.datasets import DataSet, find_set
from operators.forge.degrade import jpeg
from pipeline.models import catalog
from pipeline.models.catalog import find_model
from pipeline.training.crop_sets import prepared
from pipeline.training.ray_jobs import Workspace
from pipeline.training.recipe import Data, Recipe
from tests.operators.datasets import trees
from tests.pipeline.training.material import FOUR, FRONTAL, PAIRS, SIZE, write_clips

Image = NDArray[np.uint8]


@pytest.fixture
def twin(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a system that scores by brightness, and whose training is over at once."""
    monkeypatch.setattr(operators, "__path__", [*operators.__path__, str(Path(__file__).parent / "systems")])
    yield "twin"
    for module in [name for name in sys.modules if name.startswith("operators.twin")]:
        del sys.modules[module]


@pytest.fixture
def small_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds the models by which faces are found, of a few bytes each, where they can be had nowhere."""
    folder, cache = tmp_path / "known", tmp_path / "cache"
    entries = {}
    for name, file in (("centerface", "centerface.onnx"), ("face_landmarker", "face_landmarker.task")):
        content = name.encode()
        entries[name] = {
            "file": file, "task": "a test", "licence": "CC0-1.0", "sha256": sha256_of(content), "bytes": len(content),
            "sources": [{"url": "http://127.0.0.1:1/none"}],
        }  # fmt: skip
        cache.mkdir(exist_ok=True)
        (cache / file).write_bytes(content)
    folder.mkdir()
    (folder / "models.yaml").write_text(yaml.safe_dump(entries))
    monkeypatch.setattr(catalog, "config_folder", lambda: folder)
    monkeypatch.setenv("FACEWARDEN_CACHE", str(cache))
    return cache


@pytest.fixture
def workspace(tmp_path: Path, small_models: Path) -> Workspace:
    """Where a job of a test finds and leaves everything."""
    del small_models
    return Workspace(None, tmp_path / "runs", "cpu", tmp_path / "crops")


@pytest.fixture
def recipe(tmp_path: Path, twin: str) -> Recipe:
    """Of the system that scores by brightness, on the four clips `FOUR`."""
    clips = {name.split("/")[1]: name.split("/")[0] for name in FOUR}
    return Recipe(use=twin, variant="tiny", data=Data(set=str(write_clips(tmp_path / "four", clips)), size=SIZE))


@pytest.fixture(scope="session")
def fairface(data_dir: Path) -> DataSet:
    try:
        find_model("face_landmarker"), find_model("centerface")
    except ConfigError as error:
        pytest.skip(str(error))
    return find_set("fairface", data_dir)


@pytest.fixture(scope="session")
def genuine(fairface: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The crops of a few people who look at the camera."""
    return prepared(FRONTAL, fairface, cache=tmp_path_factory.mktemp("crops"), on_progress=silent)


@pytest.fixture(scope="session")
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


def room(face: Image, shift: int) -> Image:
    """A face in a grey room."""
    shown = np.full((240, 320, 3), 110, np.uint8)
    shown[40:200, 80 + shift : 240 + shift] = cv2.resize(face, (160, 160))
    return shown
