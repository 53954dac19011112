from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines.training import Best, TrainingRun, read_weights
from operators import crops
from operators.deepfake.acmf import model, train
from operators.deepfake.pairs import PairBatch, Pairs
from tests.operators.deepfake.faces import crop_set

SMALL: dict[str, Any] = {"trunk": "xception-mini", "size": 40, "dense": 1.0}
QUICK: dict[str, Any] = {"epochs": 20, "batch": 8, "lr": 1e-3, "fac_epochs": 0.5, "ranking": 0.5, "average": 0.5}


LEARNING, AGREEING = 40, 1
"""Steps of the two stages: pairs of eight forgeries in batches of four, 20 times, and half a time."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on eight faces."""
    run = TrainingRun(tmp_path_factory.mktemp("acmf"), device="cpu", threads=1)
    train.train(run, crop_set(), **SMALL, **QUICK)
    return run.folder


def test_it_learns_a_handful_in_two_stages(trained: Path) -> None:
    _, figures = read_weights(trained / "weights.pt")
    log = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]

    assert [line.get("disagreement", 0) > 0 for line in log] == [False] * LEARNING + [True] * AGREEING
    assert figures["val_auc"] == max(figures["val_auc_stage_1"], figures["val_auc_attention"])
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


@pytest.mark.parametrize("dense", [0.0, 1.0])
def test_what_learns_is_shown_masked_images_in_both_stages(
    dense: float, run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own masks, drawn as the options say; what judges it sees whole ones."""
    asked: list[dict[str, Any]] = []
    shown: list[bool] = []

    def grey(x: torch.Tensor, **options: Any) -> torch.Tensor:
        asked.append(options)
        return torch.full_like(x, 0.25)

    class Seen(model.Detector):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self._note(x)
            return super().forward(x)

        def with_evidence(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            self._note(x)
            return super().with_evidence(x)

        def _note(self, x: torch.Tensor) -> None:
            if self.training:
                shown.append(bool((x == 0.25).all()))

    monkeypatch.setattr(model, "mask_frequencies", grey)
    monkeypatch.setattr(model, "Detector", Seen)
    options = {**SMALL, **QUICK, "epochs": 1, "dense": dense, "masking": "spectral", "rate": 0.3, "share": 0.6}
    train.train(run, crop_set(), **options)

    assert shown == [True] * 3 == [True] * len(asked)
    assert {(each["variant"], each["rate"], each["share"]) for each in asked} == {("spectral", 0.3, 0.6)}
    assert len({each["generator"].initial_seed() for each in asked}) == 3


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_attention_that_disagrees_moves_the_network(
    weight: float, run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here by nothing else: the other costs are none, and weights do not decay."""
    pairs = Pairs(crop_set(), 40)
    torch.manual_seed(0)
    net = model.build("xception-mini")
    before = [parameter.clone() for parameter in net.parameters()]
    monkeypatch.setattr(train._HeldPairs, "auc", lambda *_: 0.5)

    def no_cost(net: Any, made: PairBatch, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        masked = model.mask_frequencies(torch.from_numpy(made.faces), rate=0.5, generator=draw)
        return 0 * net(masked).sum(), masked

    train._attend(
        run, net, no_cost, pairs, Best(net), object.__new__(train._HeldPairs),
        epochs=0.5, lr=1e-3, weight=weight, batch=8, weight_decay=0.0,
    )  # fmt: skip

    moved = any(not torch.equal(one, other) for one, other in zip(before, net.parameters(), strict=True))
    assert moved is (weight > 0)


@pytest.fixture
def run(tmp_path: Path) -> TrainingRun:
    return TrainingRun(tmp_path, device="cpu", threads=1)


class Reddish(torch.nn.Module):
    """Logits: the mean of red for a forgery, that of blue against one; and the sizes of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training
        self.batches.append(len(x))
        return torch.stack([x[:, 2].mean((1, 2)), x[:, 0].mean((1, 2))], 1)


@pytest.mark.parametrize("count", [1, 64, 65, 150])
def test_odds_are_fake_against_real_in_small_batches(count: int, run: TrainingRun) -> None:
    faces = np.random.default_rng(0).random((count, 3, 4, 4), np.float32)
    net = Reddish().train()

    odds = train._odds(net, faces, run)

    assert odds == pytest.approx(faces[:, 0].mean((1, 2)) - faces[:, 2].mean((1, 2)), abs=1e-6)
    assert sum(net.batches) == count and max(net.batches) <= 64 and net.training


def test_pictures_come_back_out_of_inputs() -> None:
    pixels = np.arange(2 * 16 * 8 * 3).astype(np.uint8).reshape(1, 16, 16, 3)
    between = crops.to_input(pixels) + np.float32(0.4 / 255)

    np.testing.assert_array_equal(train._images(crops.to_input(pixels)), pixels)
    np.testing.assert_array_equal(train._images(np.clip(between, 0, 1)), pixels)
    np.testing.assert_array_equal(train._images(np.clip(between - np.float32(0.8 / 255), 0, 1)), pixels)


def test_crops_are_taken_by_row_at_the_size_of_the_network() -> None:
    data = crop_set(2, 16)

    faces = train._faces(data, np.array([5, 0]), 8)

    small = data.pixels[[5, 0]].reshape(2, 8, 2, 8, 2, 3).mean((2, 4)) / 255
    assert np.abs(faces.numpy().transpose(0, 2, 3, 1) - small).max() < 0.003


def test_masks_are_drawn_by_name_and_step(run: TrainingRun) -> None:
    keys = (("a", 1), ("a", 1), ("a", 2), ("b", 1))

    drawn = [torch.rand(1, generator=train._chance(run, *key)).item() for key in keys]

    assert drawn[0] == drawn[1] and len(set(drawn)) == 3


@pytest.mark.parametrize(("slope", "moved"), [(3.0, 3.0), (4000.0, 5.0)], ids=["small", "cut"])
def test_a_step_is_never_longer_than_its_limit(slope: float, moved: float) -> None:
    weight = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(weight.weight)
    optimiser = torch.optim.SGD(weight.parameters(), lr=1.0)

    train._step(slope * weight.weight.sum(), weight, optimiser)  # type: ignore[arg-type]

    assert weight.weight.item() == pytest.approx(-moved, rel=1e-3)


def test_progress_over_videos_is_reported(trained: Path) -> None:
    weights, _ = read_weights(trained / "weights.pt")
    reported: list[tuple[object, ...]] = []
    data = crop_set(1)

    train.video_tta(weights, data, data, source_batch=2, on_progress=lambda *step: reported.append(step), **SMALL)

    assert reported == [("adapting", number, 4, {}) for number in (1, 2, 3, 4)]
