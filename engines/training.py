"""What any recipe needs around its loop: chance that can be repeated, checkpoints, averaging, a schedule, progress.

The loop itself stands in each system's `train.py`:

    run = Run(folder, seed=0)
    average = averaged(model, 0.995)
    for step in run.steps(total, model=model, optimiser=optimiser, schedule=schedule, average=average):
        rows = run.rng("batch", step).integers(0, len(crops), 32)
        ...
        run.log(step, loss=loss)
    run.finish(average.module.state_dict(), val_auc=auc)

A run that was killed goes on from its last checkpoint and ends with the same weights as one that was not: all
chance is drawn from (seed, name, step), never from a state that would have to be kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from engines import ConfigError
from engines.files import write_whole
from engines.memory import keep_memory
from engines.progress import OnProgress, silent, timed

CHECKPOINT, WEIGHTS, LOG = "checkpoint.pt", "weights.pt", "log.jsonl"


class Stateful(Protocol):
    """A module, an optimiser, a schedule: whatever gives its state and takes it back."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class TrainingRun:
    """One training run in a folder of its own.

    Args:
        folder: holds the checkpoint, the log, the minutes of each phase, and in the end the weights.
        seed: of all chance.
        device: `cpu`, `cuda`, or `auto` for a GPU where there is one.
        checkpoint_s: seconds between checkpoints.
        threads: how many threads PyTorch may use on the CPU; 0 leaves that to PyTorch.
        on_progress: see `OnProgress`.

    Attributes:
        folder, seed, device: as given; `device` is a `torch.device`.

    Raises:
        ConfigError: the device is not there, or the folder holds a run with another seed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 0,
        device: str = "auto",
        checkpoint_s: float = 60,
        threads: int = 0,
        on_progress: OnProgress = silent,
    ) -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(f"device {device}: PyTorch sees no GPU; leave it out, or write cpu")
        self.folder, self.seed, self.device = folder, seed, torch.device(device)
        self._checkpoint_s, self._on_progress = checkpoint_s, on_progress
        self._latest: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if threads:
            torch.set_num_threads(threads)
        keep_memory()
        torch.manual_seed(seed)  # the weights that modules begin with
        torch.use_deterministic_algorithms(True, warn_only=True)

    def rng(self, name: str, step: int = 0) -> np.random.Generator:
        """Chance of numpy for one purpose in one step: the same whenever it is asked for."""
        return np.random.default_rng(self._key(name, step))

    def generator(self, name: str, step: int = 0) -> torch.Generator:
        """Chance of PyTorch for one purpose in one step, on the run's device."""
        return torch.Generator(self.device).manual_seed(self._key(name, step))

    def reseed(self, name: str, step: int = 0) -> None:
        """Seeds what PyTorch draws by itself from here on, such as dropout, or the weights that a module begins with:
        the same whatever was drawn before, or was not because a checkpoint had it."""
        torch.manual_seed(self._key(name, step))

    def steps(self, total: int, what: str = "training", **parts: Stateful) -> Iterator[int]:
        """Steps from where the last checkpoint of this name left off up to `total`, with progress.

        The parts' states are restored before the first step, and kept when `checkpoint_s` have passed and at the end.
        What PyTorch draws by itself, such as dropout, is seeded anew in each step.

        Raises:
            ConfigError: the checkpoint is of other parts, or of another seed.
        """
        done = self._restore(what, parts)
        with self.phase(what) as note:
            saved_at = time.monotonic()
            for step in range(done, total):
                self.reseed(what, step)
                yield step
                self._on_progress(what, step + 1, total, self._latest)
                if step + 1 == total or time.monotonic() - saved_at >= self._checkpoint_s:
                    self._keep(what, step + 1, parts)
                    note()
                    saved_at = time.monotonic()

    def log(self, step: int, **figures: float | torch.Tensor) -> None:
        """Writes a line into the log, and shows the figures with the progress. Reads tensors off their device."""
        self._latest = {name: float(value) for name, value in figures.items()}
        with (self.folder / LOG).open("a") as file:
            file.write(json.dumps({"step": step, **self._latest}) + "\n")

    def phase(self, name: str) -> AbstractContextManager[Callable[[], None]]:
        """Adds the minutes that it takes to `minutes.json`, over interruptions."""
        return timed(self.folder, name)

    def finish(self, weights: Mapping[str, torch.Tensor], **figures: float) -> Path:
        """Writes `weights.pt`, which export takes: tensors on the CPU, and the figures the recipe chose them by."""
        return self.leave(WEIGHTS, weights, **figures)

    def leave(self, name: str, weights: Mapping[str, torch.Tensor], **figures: float) -> Path:
        """Writes such a file by another name: a part of it all that other trainings can begin from."""
        content = {"weights": {name: value.detach().cpu() for name, value in weights.items()}, "figures": figures}
        return self._write(name, content)

    def _key(self, name: str, step: int) -> int:
        digest = hashlib.sha256(f"{self.seed}/{name}/{step}".encode()).digest()
        return int.from_bytes(digest[:7], "little")

    def _checkpoint(self, what: str) -> Path:
        return self.folder / f"{what.replace(' ', '_')}.{CHECKPOINT}"

    def _keep(self, what: str, step: int, parts: Mapping[str, Stateful]) -> None:
        states = {name: part.state_dict() for name, part in parts.items()}
        self._write(self._checkpoint(what).name, {"step": step, "seed": self.seed, "parts": states})

    def _restore(self, what: str, parts: Mapping[str, Stateful]) -> int:
        file = self._checkpoint(what)
        if not file.exists():
            return 0
        kept = torch.load(file, map_location=self.device, weights_only=True)
        if kept["seed"] != self.seed or kept["parts"].keys() != parts.keys():
            raise ConfigError(
                f"{file}: expected seed {self.seed} and {sorted(parts)}, got seed {kept['seed']} and "
                f"{sorted(kept['parts'])}; train into another folder, or delete this one"
            )
        for name, part in parts.items():
            part.load_state_dict(kept["parts"][name])
        return int(kept["step"])

    def _write(self, name: str, content: Mapping[str, Any]) -> Path:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_whole(self.folder / name, buffer.getvalue())
        return self.folder / name


class Best:
    """The weights with the best AUC so far; kept in checkpoints."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.auc = 0.0
        self._weights = _copied(module)

    def offer(self, module: torch.nn.Module, auc: float) -> None:
        if auc >= self.auc:
            self.auc, self._weights = auc, _copied(module)

    def give(self, module: torch.nn.Module) -> None:
        module.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"auc": self.auc, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.auc, self._weights = state["auc"], state["weights"]


def _copied(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def read_weights(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """The weights and figures that `TrainingRun.finish` wrote.

    Raises:
        ConfigError: it is no such file.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        return content["weights"], content["figures"]
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{file}: expected the weights of a training run ({error}); train again") from error


def averaged(model: torch.nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel:
    """A moving average of a model, buffers too: `update_parameters(model)` after each step; `.module` is the model."""
    rule = torch.optim.swa_utils.get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=rule, use_buffers=True)


def warm_cosine(
    optimiser: torch.optim.Optimizer, total: int, warm_up: float = 0.05, floor: float = 0.0
) -> torch.optim.lr_scheduler.LambdaLR:
    """The learning rate up a line for a fraction `warm_up` of all steps, then down a cosine to `floor` times itself."""
    rise = max(1, round(warm_up * total))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        way = (step - rise) / max(1, total - rise)
        return floor + (1 - floor) * (1 + math.cos(math.pi * min(1.0, way))) / 2

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
