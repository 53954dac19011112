"""Who finds people again: attackers that learn on other people's covered tracks and know what these people look like.

ridge        ridge regression from what a recogniser says of the estimate to what it says of the clear face
pixels       kernel ridge regression from the pixels of the estimate to the same
network      a small network from both, trained to tell people apart
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import dlib
import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from bench.leak_figures import alike
from operators.arrays import Array, Image
from pipeline.models.catalog import find_model

COMPONENTS = 64
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Of ridge regression, in mean squares of what it starts from; the one that predicts others of the learners best."""
FOLDS = 5
HIDDEN, EPOCHS, SHARPNESS = 128, 150, 12.0


@dataclass(frozen=True, eq=False, slots=True)
class TrackView:
    """What an attacker sees of tracks: a recogniser's numbers `(n, d)` where they were taken, and pixels `(n, p)`."""

    numbers: Array | None
    pixels: Array


@dataclass(frozen=True, eq=False, slots=True)
class Case:
    """What there is to learn on and to find.

    Attributes:
        learn, learn_clear: `m` tracks of other people, and the numbers `(m, d)` of another, clear picture of each.
        probes: `n` tracks of people to be found.
        gallery: the numbers `(n, d)` of another picture of each, clear, in the same order.
    """

    learn: TrackView
    learn_clear: Array
    probes: TrackView
    gallery: Array


def attack(case: Case) -> dict[str, NDArray[np.float64]]:
    """For each attacker its scores `(n, n)`, see `bench/leak_figures.py`."""
    centre = case.learn_clear.mean(axis=0)
    wanted, gallery = case.learn_clear - centre, case.gallery - centre
    learn, probes = principal(case.learn.pixels, case.probes.pixels)
    found = {"pixels": alike(gallery, kernel_ridge(learn, wanted, probes), "cosine")}
    seen, looked_at = case.learn.numbers, case.probes.numbers
    if seen is not None and looked_at is not None:
        found["ridge"] = alike(gallery, ridge(seen, wanted, looked_at), "cosine")
        guesses = network((seen - centre, learn), wanted, (looked_at - centre, probes))
        found["network"] = alike(gallery, guesses, "cosine")
    return found


def principal(learn: Array, probes: Array) -> tuple[Array, Array]:
    """Both in whitened principal components of the first; none where nothing differs."""
    mean = learn.mean(axis=0)
    _, spread, axes = scipy.linalg.svd(learn - mean, full_matrices=False)
    count = min(COMPONENTS, int((spread > 1e-3 * max(spread[0], 1)).sum()))
    whiten = axes[:count].T / (spread[:count] / np.sqrt(len(learn)))
    return (learn - mean) @ whiten, np.clip((probes - mean) @ whiten, -8, 8)


def ridge(learn: Array, wanted: Array, probes: Array) -> Array:
    """Predicts `wanted (m, k)` of `learn (m, d)` for `probes (n, d)`, linearly."""
    mean = learn.mean(axis=0)
    size = float(((learn - mean) ** 2).mean()) or 1.0
    folds = np.arange(len(learn)) % FOLDS

    def fit(rows: NDArray[np.bool_], strength: float, of: Array) -> Array:
        x = learn[rows] - mean
        weights = scipy.linalg.solve(x.T @ x + strength * size * len(x) / 8 * np.eye(x.shape[1]), x.T @ wanted[rows])
        return np.asarray((of - mean) @ weights)

    errors = [
        sum(float(((fit(folds != f, s, learn[folds == f]) - wanted[folds == f]) ** 2).sum()) for f in range(FOLDS))
        for s in STRENGTHS
    ]
    return fit(np.ones(len(learn), np.bool_), STRENGTHS[int(np.argmin(errors))], probes)


def kernel_ridge(learn: Array, wanted: Array, probes: Array) -> Array:
    """The same with a Gaussian kernel; nothing where there is nothing to learn from."""
    count = learn.shape[1]
    if not count:
        return np.zeros((len(probes), wanted.shape[1]))
    near = np.exp(-0.25 * cdist(learn, learn, "sqeuclidean") / count) + 0.5 * np.eye(len(learn))
    weights = scipy.linalg.solve(near, wanted, assume_a="pos")
    return np.asarray(np.exp(-0.25 * cdist(probes, learn, "sqeuclidean") / count) @ weights)


def network(learn: tuple[Array, Array], wanted: Array, probes: tuple[Array, Array], *, seed: int = 0) -> Array:
    """Guesses `(n, d)` from numbers and components: begins with the numbers as they are, and learns what to change.

    Trained so that of all learners, a guess is most like the person's own clear face.
    """
    torch.manual_seed(seed)
    first = torch.from_numpy(np.concatenate(learn, axis=1)).float()
    clear = torch.nn.functional.normalize(torch.from_numpy(np.asarray(wanted)).float(), dim=1)
    last = torch.nn.Linear(HIDDEN, clear.shape[1])
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    change = torch.nn.Sequential(
        torch.nn.Dropout(0.2), torch.nn.Linear(first.shape[1], HIDDEN), torch.nn.GELU(), torch.nn.Dropout(0.5), last
    )
    optimizer = torch.optim.AdamW(change.parameters(), lr=2e-3, weight_decay=0.1)

    def guesses(of: Any) -> Any:
        return torch.nn.functional.normalize(of[:, : clear.shape[1]] + change(of), dim=1)

    change.train()
    for _ in range(EPOCHS):
        loss = torch.nn.functional.cross_entropy(SHARPNESS * guesses(first) @ clear.T, torch.arange(len(clear)))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    change.eval()
    with torch.no_grad():
        return np.asarray(guesses(torch.from_numpy(np.concatenate(probes, axis=1)).float()).numpy())


@cache
def descriptor() -> Any:
    return dlib.face_recognition_model_v1(str(find_model("face_descriptor")))


def describe(chips: Sequence[Image]) -> NDArray[np.float64]:
    """dlib's descriptors `(n, 128)` of aligned chips `(150, 150, 3)` RGB."""
    return np.array(descriptor().compute_face_descriptor(list(chips))).reshape(-1, 128)
