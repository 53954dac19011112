"""What was asked for, how a setting did, and the labelled faces that say so."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from engines import ConfigError
from pipeline.live.dry_run import PacketClip
from pipeline.tuning.goals import Slo, read_truth, recall
from pipeline.wire import Head
from tests.pipeline.tuning.landscape import BOX

CLIP = PacketClip("clip.mp4", Head(width=64, height=64), (b"",) * 3)


def test_recall() -> None:
    half = BOX - [0, 6, 0, 6]
    truth = {"a": {0: BOX, 1: np.concatenate([BOX, BOX + 50])}, "b": {0: BOX}}

    assert recall(truth, {"a": {0: BOX + 1, 1: BOX + 50}, "b": {0: half}}) == (0.5, 4)
    assert recall(truth, {"a": {}, "b": {}}) == (0, 4)
    assert math.isnan(recall({"a": {}}, {"a": {}})[0])


@pytest.mark.parametrize("text", ["recall", "recall=much", "speed=3", "recall=1.5", "fps=-1"])
def test_a_wish_that_cannot_be_meant(text: str) -> None:
    with pytest.raises(ConfigError, match="--slo"):
        Slo.parse([text])


def test_labels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    lines = ["file,frame,xmin,ymin,xmax,ymax", "a/clip.mp4,2,1,2,3,4", "clip.mp4,2,5,6,7,8", "clip.mp4,3,0,0,1,1"]
    path.write_text("\n".join([*lines, "other.mp4,0,0,0,1,1"]))

    truth = read_truth(path, [CLIP])

    assert np.array_equal(truth["clip.mp4"][2], [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert list(truth["clip.mp4"]) == [2]  # the clip has three frames


@pytest.mark.parametrize("text", ["", "file,frame\nclip.mp4,0", "file,frame,xmin,ymin,xmax,ymax\nother.mp4,0,0,0,1,1"])
def test_labels_that_say_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)

    with pytest.raises(ConfigError, match=r"labels\.csv"):
        read_truth(path, [CLIP])
