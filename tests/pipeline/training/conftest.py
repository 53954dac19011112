"""Real faces for trainings, where the reader has them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines import ConfigError
from engines.progress import silent
from operators.cropset import open_set
from operators.datasets import DataSet, find_set
from operators.forge.degrade import jpeg
from pipeline.models.catalog import find_model
from pipeline.training.crop_sets import prepared
from tests.operators.datasets import trees
from tests.pipeline.training.material import FRONTAL, PAIRS

Image = NDArray[np.uint8]


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
