from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from engines import ConfigError
from engines.progress import minutes
from engines.training import TrainingRun, read_weights
from operators.cropset import CropSet
from operators.deepfake.gazeforensics import model, train
from operators.deepfake.gazeforensics.clips import ClipSource
from tests.operators.deepfake.faces import crop_set

SHAPE: dict[str, Any] = {"trunk": "resnet10", "head": "small", "size": 32}
QUICK: dict[str, Any] = {
    "centre": 1.0, "epochs": 25, "clips": 16, "batch": 16, "lr": 4e-3, "held": 12, "mu": 0.1, "teacher_epochs": 0.5,
    "teacher_batch": 4, "redraw": 0.0, "gate": 0.0, "kinds": ("swap",),
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = TrainingRun(tmp_path_factory.mktemp("gaze"), device="cpu", threads=1)
    train.train(run, crop_set(8, 64), **SHAPE, **QUICK)
    return run.folder


def test_it_learns_a_handful_after_its_teacher(trained: Path) -> None:
    losses = [json.loads(line)["loss"] for line in (trained / "log.jsonl").read_text().splitlines()]
    _, figures = read_weights(trained / "weights.pt")

    assert min(losses[-5:]) < 0.3
    assert 0 < figures["threshold_real"] <= figures["threshold_fake"] < 1


@dataclass
class Begun:
    """What a clip model was made of, and what its costs were taken of."""

    trunk: dict[str, torch.Tensor] = field(default_factory=dict)
    costs: list[tuple[torch.Tensor, float]] = field(default_factory=list)
    made: list[model.GazeForensics] = field(default_factory=list)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Begun:
    noted, cost = Begun(), model.clip_loss

    def make(trunk: model.ResNet, **options: Any) -> model.GazeForensics:
        noted.trunk = {name: value.clone() for name, value in trunk.state_dict().items()}
        noted.made.append(model.GazeForensics(trunk, **options))
        return noted.made[-1]

    def weighed(
        logits: torch.Tensor, real: torch.Tensor, g: torch.Tensor, target: torch.Tensor, mu: float
    ) -> torch.Tensor:
        noted.costs.append((target.clone(), mu))
        return cost(logits, real, g, target, mu)

    monkeypatch.setattr(train, "GazeForensics", make)
    monkeypatch.setattr(model, "clip_loss", weighed)
    return noted


@pytest.mark.parametrize("start", ["gaze", "backbone"])
def test_the_clip_model_begins_from_its_teacher_unless_it_is_not_to(
    start: Literal["gaze", "backbone"], trained: Path, begun: Begun, tmp_path: Path
) -> None:
    run = TrainingRun(tmp_path, device="cpu", threads=1)
    taught, _ = read_weights(trained / train.TEACHER)

    few = {**QUICK, "epochs": 1, "clips": 4, "batch": 4}
    train.train(run, crop_set(8, 64), **SHAPE, **few, start=start, teacher=trained / train.TEACHER)

    same = [torch.equal(value, taught[f"trunk.{name}"]) for name, value in begun.trunk.items() if value.dim() > 1]
    assert len(same) > 5 and set(same) == {start == "gaze"}


def test_what_the_teacher_sees_is_asked_for_less_from_epoch_to_epoch(
    trained: Path, begun: Begun, tmp_path: Path
) -> None:
    run = TrainingRun(tmp_path, device="cpu", threads=1)
    taught, _ = read_weights(trained / train.TEACHER)
    teacher = model.build_trunk("resnet10").eval()
    teacher.load_state_dict({n.removeprefix("trunk."): v for n, v in taught.items() if n.startswith("trunk.")})
    shown: list[np.ndarray] = []

    def remember(clips: np.ndarray, *given: Any) -> torch.Tensor:
        shown.append(clips)
        return prepared(clips, *given)

    prepared = train._input
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "_input", remember)
        few = {**QUICK, "epochs": 2, "clips": 4, "batch": 4, "mu": 3.0}
        train.train(run, crop_set(8, 64), **SHAPE, **few, teacher=trained / train.TEACHER)

    assert [mu for _, mu in begun.costs] == pytest.approx([3.0, 0.3])
    clips = next(clips for clips in shown if clips.shape[0] == 4)
    with torch.no_grad():
        wanted = teacher(prepared(clips, 32, 1.0, run).flatten(0, 1)).view(4, 8, -1)
    order = run.rng("order", 0).permutation(4)
    assert torch.allclose(begun.costs[0][0], wanted[order], atol=1e-5)


def test_it_says_what_it_leans_on(trained: Path) -> None:
    _, figures = read_weights(trained / "weights.pt")

    assert {"val_auc_opposed", "val_auc_gaze_without_eyes", "probe_g", "probe_leaky", "teacher_ratio"} <= figures.keys()


def test_the_two_networks_are_what_was_trained(trained: Path) -> None:
    weights, _ = read_weights(trained / "weights.pt")
    clips = torch.randn((2, 8, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    left = train.Trained(model.GazeForensics(model.build_trunk("resnet10"), sizes=model.SMALL))
    left.load_state_dict(weights)

    networks = train.networks(weights, **SHAPE)
    with torch.no_grad():
        emb = networks["frame"].module(clips.flatten(0, 1))["emb"].view(2, 8, -1)
        found = networks["clip"].module(emb)
        logits, _ = left.net.eval()(clips)

    assert torch.allclose(found["logits"], logits, atol=1e-5)
    assert torch.allclose(found["fake_prob"], left.calibrated(logits), atol=1e-5)


def test_a_teacher_teaches_again(trained: Path, tmp_path: Path) -> None:
    """The same begins from it as from one that is trained on the way."""
    run = TrainingRun(tmp_path, device="cpu", threads=1)

    train.train(run, crop_set(8, 64), **SHAPE, **{**QUICK, "epochs": 1}, teacher=trained / train.TEACHER)

    again, before = (read_weights(folder / train.TEACHER) for folder in (tmp_path, trained))
    assert again[1] == before[1]
    assert all(torch.equal(again[0][name], before[0][name]) for name in before[0])
    assert "gaze teacher" not in minutes(tmp_path)


def test_a_teacher_of_another_trunk_is_refused(trained: Path, tmp_path: Path) -> None:
    run, other = TrainingRun(tmp_path, device="cpu", threads=1), {**SHAPE, "trunk": "resnet18"}

    with pytest.raises(ConfigError, match="with the same trunk"):
        train.train(run, crop_set(8, 64), **other, **QUICK, teacher=trained / train.TEACHER)


def filmed(people: int = 6, frames: int = 8) -> CropSet:
    """For each split, a genuine and a forged video of each person, named as sets of videos name theirs."""
    stills = crop_set(people, 64)
    rows = np.repeat(np.arange(len(stills)), frames)
    folders = np.where(stills.labels == 1, "Celeb-synthesis/", "Celeb-real/")
    videos = replace(stills.where(rows), clips=np.char.add(folders, stills.groups)[rows])
    return replace(videos, frames=np.tile(np.arange(frames), len(stills)))


def test_real_videos_are_chosen_by_some_people_and_calibrated_on_others() -> None:
    source = ClipSource(filmed().split("val"), frames=8, size=32)

    held, shown = train._HeldParts(source, 12, 32, 1.0), source.held(12, np.random.default_rng(0))

    calibrates = held._calibrates
    assert set(shown.labels[calibrates]) == set(shown.labels[~calibrates]) == {0, 1}
    assert not set(shown.groups[calibrates]) & set(shown.groups[~calibrates])


def test_it_is_trained_on_real_videos(tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, device="cpu", threads=1)

    train.train(run, filmed(), **SHAPE, **{**QUICK, "epochs": 1})

    _, figures = read_weights(tmp_path / "weights.pt")
    assert 0 <= figures["val_auc"] <= 1
    assert "val_auc_gaze" not in figures  # whose mechanism is shown on rendered clips


@pytest.mark.parametrize(
    ("correlation", "ratio", "gate", "passes"),
    [(0.85, 1.2, 0.8, True), (0.75, 1.2, 0.8, False), (0.85, 0.9, 0.8, False), (0.1, 0.1, 0, True)],
)
def test_a_teacher_must_tell_gaze_and_gaze_more_than_light(
    correlation: float, ratio: float, gate: float, passes: bool
) -> None:
    assert train.passes({"teacher_correlation": correlation, "teacher_ratio": ratio}, gate) is passes


def test_a_teacher_that_has_not_learned_is_refused(tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, device="cpu", threads=1)

    with pytest.raises(ConfigError, match="teacher_epochs"):
        train.train(run, crop_set(4, 64), **SHAPE, **{**QUICK, "gate": 0.99})


def test_a_probe_reads_off_what_is_there() -> None:
    rng = np.random.default_rng(0)
    target, people = rng.normal(size=200), np.repeat(np.arange(20), 10)

    there = np.column_stack([target, rng.normal(size=200)])
    assert train.probe(there, target, people) > 0.95
    assert train.probe(rng.normal(size=(200, 2)), target, people) < 0.1


def test_stills_alone_or_videos_of_both_classes() -> None:
    with pytest.raises(ConfigError, match="stills"):
        ClipSource(crop_set(1, 48).split("train"), frames=8, size=32)


@pytest.mark.parametrize("name", train.ABLATIONS)
def test_ablations_change_options_that_there_are(name: str) -> None:
    known = inspect.signature(train.train).parameters

    assert train.ABLATIONS[name].keys() <= known.keys()


@pytest.mark.parametrize(
    ("head", "leaky", "frames", "numbers"), [("paper", None, 14, 32), ("small", None, 8, 16), ("small", 0, 8, 0)]
)
def test_sizes_of_heads(head: Any, leaky: int | None, frames: int, numbers: int) -> None:
    sizes = train._sizes(head, leaky)

    assert (sizes.frames, sizes.leaky) == (frames, numbers)


def test_a_head_that_is_not_known() -> None:
    with pytest.raises(ConfigError, match="expected paper or small, got 'large'"):
        train._sizes("large", None)  # type: ignore[arg-type]


def test_probabilities_are_those_of_a_forgery_whatever_the_mode(tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, device="cpu", threads=1)
    torch.manual_seed(0)
    net = model.GazeForensics(model.build_trunk("resnet10"), sizes=model.SMALL).train()
    clips = np.random.default_rng(0).integers(0, 256, (9, 8, 32, 32, 3), np.uint8)

    found = train.probabilities(net, clips, 32, 1.0, run)

    assert net.training and found.shape == (9,)
    with torch.no_grad():
        logits, _ = net.eval()(train._input(clips, 32, 1.0, run))
    assert found == pytest.approx(torch.softmax(logits, 1)[:, model.FAKE].numpy(), abs=1e-5)
