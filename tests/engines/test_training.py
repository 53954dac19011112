"""A run that was interrupted ends as one that was not; chance depends on the seed, the purpose and the step alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs facewarden[train]")

from engines import ConfigError  # noqa: E402
from engines.progress import minutes  # noqa: E402
from engines.training import TrainingRun, averaged, read_weights, warm_cosine  # noqa: E402

STEPS = 12


class Killed(Exception):
    pass


def quiet(*_: object) -> None:
    pass


def learn(folder: Path, *, seed: int = 0, killed_at: int | None = None, checkpoint_s: float = 0) -> dict[str, Any]:
    """A line through points, with dropout, and chance in the batch and on the weights' way."""
    run = TrainingRun(folder, seed=seed, device="cpu", checkpoint_s=checkpoint_s, on_progress=quiet)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
    optimiser = torch.optim.AdamW(model.parameters(), 0.1)
    schedule, average = warm_cosine(optimiser, STEPS), averaged(model, 0.9)
    for step in run.steps(STEPS, model=model, optimiser=optimiser, schedule=schedule, average=average):
        if step == killed_at:
            raise Killed
        x = torch.from_numpy(run.rng("batch", step).normal(size=(8, 3)).astype(np.float32))
        noise = torch.randn(8, generator=run.generator("noise", step))
        loss = ((model(x)[:, 0] - x.sum(1) - 0.1 * noise) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        average.update_parameters(model)
        run.log(step, loss=loss.detach())
    run.finish(average.module.state_dict(), val_auc=0.5)
    return read_weights(folder / "weights.pt")[0]


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_same_seed_same_weights(tmp_path: Path) -> None:
    one, again, other = (learn(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))

    assert same(one, again)
    assert not same(one, other)


@pytest.mark.parametrize("killed_at", [1, 5, STEPS - 1])
def test_killed_and_begun_again_ends_the_same(killed_at: int, tmp_path: Path) -> None:
    whole = learn(tmp_path / "whole")

    with pytest.raises(Killed):
        learn(tmp_path / "killed", killed_at=killed_at)
    resumed = learn(tmp_path / "killed")

    assert same(whole, resumed)
    steps = [json.loads(line)["step"] for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(STEPS))


def test_a_run_that_ended_is_not_trained_again(tmp_path: Path) -> None:
    learn(tmp_path)
    log = (tmp_path / "log.jsonl").read_text()

    learn(tmp_path)

    assert (tmp_path / "log.jsonl").read_text() == log
    assert minutes(tmp_path)["training"] > 0


def test_the_minutes_of_a_run_that_is_killed_are_kept_with_its_checkpoints(tmp_path: Path) -> None:
    """A process that is killed runs nothing on its way out: what it took stands in the file before."""
    steps = TrainingRun(tmp_path, device="cpu", checkpoint_s=0).steps(3)
    next(steps)
    assert not minutes(tmp_path)
    next(steps)
    assert minutes(tmp_path)["training"] > 0


def test_another_seed_is_refused(tmp_path: Path) -> None:
    learn(tmp_path, seed=0)

    with pytest.raises(ConfigError, match="expected seed 1"):
        learn(tmp_path, seed=1)


def test_chance_is_asked_for_by_name(tmp_path: Path) -> None:
    one, other = (TrainingRun(tmp_path, seed=seed, device="cpu").rng for seed in (0, 1))

    assert one("batch", 3).random() == one("batch", 3).random()
    assert (
        len({one("batch", 3).random(), one("batch", 4).random(), one("noise", 3).random(), other("batch", 3).random()})
        == 4
    )


def test_weights_and_figures_come_back(tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, device="cpu")

    file = run.finish({"w": torch.ones(2)}, val_auc=0.75)

    weights, figures = read_weights(file)
    assert weights["w"].tolist() == [1, 1] and figures == {"val_auc": 0.75}
    (tmp_path / "other.pt").write_bytes(b"no weights")
    with pytest.raises(ConfigError, match="expected the weights"):
        read_weights(tmp_path / "other.pt")


def test_the_schedule_rises_and_falls() -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 2.0)
    schedule = warm_cosine(optimiser, 100, warm_up=0.1, floor=0.25)

    rates = []
    for _ in range(100):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()

    assert rates[0] == pytest.approx(0.2) and rates[9] == rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(2.0 * (0.25 + 0.75 / 2))
    assert rates == sorted(rates[:10]) + sorted(rates[10:], reverse=True)


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")

    with pytest.raises(ConfigError, match="PyTorch sees no GPU"):
        TrainingRun(tmp_path, device="cuda")
