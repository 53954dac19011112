"""The recipe of a system whose training is over at once: it scores by brightness, times a factor that it is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engines.export import Network
from engines.progress import OnProgress, silent
from engines.training import TrainingRun
from operators.cropset import CropSet

ABLATIONS: dict[str, dict[str, object]] = {
    "as configured": {},
    "the other way": {"factor": -1.0},
    "half as bright": {"factor": 0.5},
}
SIZE = 32


class Brightness(torch.nn.Module):
    """`face (n, 3, s, s)` 0..1 -> `fake_prob (n, 1)`: the mean, or one less the mean where the factor is negative."""

    def __init__(self, factor: torch.Tensor) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(factor)

    def forward(self, face: torch.Tensor) -> dict[str, torch.Tensor]:
        mean = face.mean((1, 2, 3))[:, None]
        return {"fake_prob": self.factor * mean + (self.factor < 0)}


def train(run: TrainingRun, data: CropSet, *, factor: float = 1.0, size: int = SIZE, start: Path | None = None) -> None:
    """Keeps the factor, and notes what it was given."""
    for step in run.steps(1):
        run.log(step, crops=len(data))
    begun = {} if start is None else {"start_bytes": float(start.stat().st_size)}
    given = {
        "crops": float(len(data)),
        "forged": float(data.labels.sum()),
        "seed": float(run.seed),
        "size": float(size),
        **begun,
    }
    run.finish({"factor": torch.tensor([factor])}, val_auc=0.5, **given)


def networks(weights: Mapping[str, torch.Tensor], *, size: int = SIZE, **_: object) -> dict[str, Network]:
    if list(weights) != ["factor"]:
        raise RuntimeError(f"expected a factor, got {', '.join(weights)}")
    return {"detector": Network(Brightness(weights["factor"]), {"face": torch.rand(2, 3, size, size)})}


def video_tta(
    weights: Mapping[str, torch.Tensor],
    videos: CropSet,
    source: CropSet,
    *,
    on_progress: OnProgress | None = None,
    **_: object,
) -> NDArray[np.float64]:
    """One less the brightness; what it could see of labels and of the source is in the figures of its progress."""
    sides = {"labels": float(videos.labels.sum()), "source": len(source), "forged": float(source.labels.sum())}
    (on_progress or silent)("adapting", 1, 1, sides)
    return np.asarray(1 - weights["factor"].item() * videos.pixels.mean((1, 2, 3)) / 255)
