"""Sets of crops: made once, known by everything that decides them, and given forgeries where they have none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engines import ConfigError
from engines.progress import silent
from operators.cropset import open_set
from operators.datasets import DataSet, find_set
from pipeline.training.crop_sets import content_of, forged, prepared
from pipeline.training.recipe import Data, Forgeries
from tests.operators.datasets import trees
from tests.pipeline.training.material import FRONTAL, PAIRS


def test_a_set_is_prepared_once(fairface: DataSet, genuine: Path) -> None:
    crops = open_set(genuine)
    written = (genuine / "pixels.npy").stat().st_mtime_ns

    again = prepared(FRONTAL, fairface, cache=genuine.parent, on_progress=silent)
    other = prepared(FRONTAL.model_copy(update={"most": 4}), fairface, cache=genuine.parent, on_progress=silent)

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


@pytest.mark.usefixtures("fairface")
def test_a_place_without_faces_is_told(tmp_path: Path) -> None:
    trees.pictures(tmp_path / "set/real_test/1/real/0")
    blank = find_set(str(tmp_path / "set"))

    with pytest.raises(ConfigError, match="no face was found in 1 clips"):
        prepared(Data(set="blank"), blank, cache=tmp_path / "crops", on_progress=silent)


def test_forgeries_stand_behind_the_genuine(genuine: Path) -> None:
    n = len(open_set(genuine))

    made = open_set(forged(genuine, Forgeries(kinds=["swap", "iris"], per_real=2), on_progress=silent))

    assert made.labels.tolist() == [0] * n + [1] * (2 * n)
    assert made.origins[:n].tolist() == [-1] * n
    assert (made.clips[made.origins[n:]] == [clip.split("#")[0] for clip in made.clips[n:]]).all()
    assert not made.masks[:n].any() and made.masks[n:].any(axis=(1, 2)).all()
