"""What systems score crops of a set with, and what Meso4 does on the same crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

import operators
from engines import ConfigError, Engine, open_engine
from engines.progress import OnProgress
from operators.arrays import Array
from operators.cropset import CropSet
from operators.deepfake.scores import known_to
from operators.forge.degrade import degrade
from pipeline.training.export import networks
from pipeline.training.recipe import load_module
from pipeline.training.summaries import Scored

MESONETS = ("Meso4_DF", "Meso4_F2F")
FUSION = "fusion"
EDGE = 1e-6


def score(crops: CropSet, engines: Mapping[str, Path], weights: Path | None) -> Scored:
    """Scores the crops by systems whose networks are given, and by Meso4 where its weights are.

    Args:
        engines: by a system's whole name, where its networks lie: a path to which `_NETWORK.onnx` is added.
        weights: the folder of Meso4's weights.
    """
    systems, silent, called = {}, {}, {}
    for use, stem in engines.items():
        name = use.split(".")[-1]
        opened = open_networks(stem)
        systems[name] = scores_of(use, opened, crops)
        silent[name] = silent_of(use, opened, crops, systems[name])
        called[name] = called_forged(opened, systems[name])
    if len(systems) > 1:
        systems[FUSION] = fused(list(systems.values()))
    return Scored(crops, systems, _mesonets(crops, weights), silent, called)


def shifted(crops: CropSet, strength: float, seed: int = 0) -> CropSet:
    """The crops after light, size, blur, noise, JPEG and H.264 have been at them, each in its own way."""
    if not strength:
        return crops
    pixels = np.array(crops.pixels)
    for row in range(len(crops)):
        rng = np.random.default_rng((seed, row))
        pixels[row] = degrade([pixels[row]], rng, strength=strength, codec=True)[0]
    return replace(crops, pixels=pixels)


def scores_of(use: str, opened: Mapping[str, Engine], crops: CropSet) -> Array:
    """The scores `(n,)` of a system by its networks, NaN where it keeps silent."""
    return np.asarray(load_module(use, "operator").score(opened, crops), np.float64)


def silent_of(use: str, opened: Mapping[str, Engine], crops: CropSet, scores: Array) -> Array:
    """Where a system that gave these scores would abstain at run time, `(n,)` bool.

    The operator's module says so by a function `abstains`, if it has one.
    """
    abstains = getattr(load_module(use, "operator"), "abstains", None)
    silent = np.asarray(abstains(opened, crops, scores), bool) if abstains else np.zeros(len(crops), bool)
    return np.asarray(silent | ~np.isfinite(scores))


def called_forged(opened: Mapping[str, Engine], scores: Array) -> Array:
    """Where a system that gave these scores would call the face forged, `(n,)` bool: from its card's threshold on."""
    limits, _ = known_to(next(iter(opened.values())))  # the cards of a system's networks say the same
    return np.asarray(scores >= limits.fake)


def adapted_scores(
    use: str,
    weights: Path,
    options: Mapping[str, Any],
    crops: CropSet,
    source: CropSet,
    on_progress: OnProgress | None = None,
) -> Array:
    """The scores `(n,)` of a system that is adapted to each clip before it scores it; it is shown no label of theirs.

    The system's recipe does it by a function `video_tta`.

    Args:
        weights: what the training left; an exported network cannot learn.
        options: of the recipe, but for models.
        source: labelled crops of the training set.

    Raises:
        ConfigError: the system cannot be adapted, or there are no weights.
    """
    from engines.training import read_weights

    if not can_adapt(use):
        raise ConfigError(f"--tta: {use} has no test-time adaptation; leave it out")
    unlabelled = replace(crops, labels=np.zeros_like(crops.labels), kinds=np.full(len(crops), "unknown"))
    return np.asarray(
        load_module(use, "train").video_tta(
            read_weights(weights)[0], unlabelled, source, on_progress=on_progress, **options
        )
    )


def can_adapt(use: str) -> bool:
    """Whether the system's recipe has a test-time adaptation."""
    return hasattr(load_module(use, "train"), "video_tta")


def open_networks(stem: Path) -> dict[str, Engine]:
    """The networks of a system, which are `<stem>_<network>.onnx`, by their names.

    Raises:
        ConfigError: there are none.
    """
    return {name: open_engine(file) for name, file in networks(stem).items()}


def committed(use: str, variant: str) -> Path:
    """Where the networks of a variant lie in their system's folder, without `_NETWORK.onnx`."""
    return Path(operators.__file__).parent.joinpath(*use.split("."), variant)


def fused(scores: Sequence[Array]) -> Array:
    """The mean of the logits of those that spoke; fixed beforehand, with nothing to be fitted.

    >>> fused([np.array([0.9, 0.8]), np.array([0.1, np.nan])]).round(3).tolist()
    [0.5, 0.8]
    """
    stacked = logit(np.clip(np.stack(scores), EDGE, 1 - EDGE))
    known = np.isfinite(stacked)
    count = known.sum(axis=0)
    total = np.where(known, stacked, 0).sum(axis=0)
    return np.asarray(expit(np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)))


def _mesonets(crops: CropSet, weights: Path | None) -> dict[str, Array]:
    files = {name: weights / f"{name}.h5" for name in MESONETS} if weights else {}
    if not all(file.is_file() for file in files.values()):
        return {}
    from operators.deepfake.mesonet import model

    return {name: model.score(model.load(file), crops) for name, file in files.items()}
