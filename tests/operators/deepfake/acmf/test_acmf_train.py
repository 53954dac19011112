from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines.training import TrainingRun, read_weights
from operators.deepfake.acmf import train
from tests.operators.deepfake.faces import crop_set

SMALL: dict[str, Any] = {"trunk": "xception-mini", "size": 40, "dense": 1.0}
QUICK: dict[str, Any] = {"epochs": 20, "batch": 8, "lr": 1e-3, "fac_epochs": 0.5, "ranking": 0.5, "average": 0.5}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on eight faces."""
    run = TrainingRun(tmp_path_factory.mktemp("acmf"), device="cpu", threads=1)
    train.train(run, crop_set(), **SMALL, **QUICK)
    return run.folder


def test_it_learns_a_handful(trained: Path) -> None:
    _, figures = read_weights(trained / "weights.pt")

    assert figures["val_auc"] > 0.9
    assert 0 < figures["threshold_real"] <= figures["threshold_fake"] < 1
    assert figures["sharpness_low"] < figures["sharpness_high"]
    assert figures["val_auc_blurred"] > 0.8
    assert 0.2 < figures["val_auc_jpeg_alone"] < 0.8


def test_the_weights_it_leaves_are_the_network_that_is_exported(trained: Path) -> None:
    weights, _ = read_weights(trained / "weights.pt")
    data = crop_set()

    network = train.networks(weights, **SMALL)["detector"]
    with torch.no_grad():
        found = network.module(train._faces(data, np.arange(len(data)), 40))

    fake, labels = found["fake_prob"][:, 0].numpy(), data.labels
    assert fake[labels == 1].mean() > fake[labels == 0].mean() + 0.2
    assert network.example["face"].shape == (2, 3, 40, 40)


def test_adapting_to_each_video_scores_each_by_itself(trained: Path) -> None:
    weights, _ = read_weights(trained / "weights.pt")
    data = crop_set(2)
    first = data.clips == data.clips[0]

    scores = train.video_tta(weights, data, data, source_batch=4, **SMALL)
    alone = train.video_tta(weights, data.where(first), data, source_batch=4, **SMALL)

    assert ((scores > 0) & (scores < 1)).all()
    assert 0 < first.sum() < len(data)
    assert np.array_equal(scores[first], alone)


@pytest.mark.parametrize("name", train.ABLATIONS)
def test_ablations_change_options_that_there_are(name: str) -> None:
    known = inspect.signature(train.train).parameters

    assert train.ABLATIONS[name].keys() <= known.keys()
