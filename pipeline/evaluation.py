"""What systems score crops of a set with, beside Meso4 on the same crops, with intervals by groups.

A set with genuine crops alone is given forgeries first: of every kind, so that each gets a figure of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

import operators
from engines import ConfigError, Engine, open_engine
from engines.progress import OnProgress
from operators import metrics
from operators.cropset import CropSet
from operators.deepfake.scores import known_to
from operators.forge.degrade import degrade
from operators.metrics import Figure
from pipeline.checkpoints import networks
from pipeline.recipes import Recipe, part

Array = NDArray[Any]
Row = dict[str, Any]

MESONETS = ("Meso4_DF", "Meso4_F2F")
FUSION = "fusion"
ADAPTED = ", adapted to each"
"""Behind the name of a system: its scores are transductive, for it has seen the unlabelled clips that it scores."""
LEARNED = ", kinds it has learned"
"""Behind the name of a system: without the forgeries of kinds that its training had none of."""
EDGE = 1e-6


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of the same crops by name of what gave them, NaN where it kept silent.

    Attributes:
        crops: what was scored.
        systems: `(n,)` for each system, in the order asked for, then their fusion if there are several.
        baselines: `(n,)` for each Meso4.
        silent: `(n,)` bool for each system, where it would have abstained at run time.
        called: `(n,)` bool for each system, where it would have called the face forged, had it spoken.
        adapted: `(n,)` for systems that were adapted to each clip before they scored it.
        learned: kinds of forgery that the first system was trained on; empty if nobody knows.
    """

    crops: CropSet
    systems: Mapping[str, Array]
    baselines: Mapping[str, Array]
    silent: Mapping[str, Array] = field(default_factory=dict)
    called: Mapping[str, Array] = field(default_factory=dict)
    adapted: Mapping[str, Array] = field(default_factory=dict)
    learned: Sequence[str] = ()

    @property
    def rows(self) -> Mapping[str, Array]:
        return {**self.systems, **self.baselines}


def score(crops: CropSet, engines: Mapping[str, Path], weights: Path | None) -> Scored:
    """Scores the crops by systems whose networks are given, and by Meso4 where its weights are.

    Args:
        engines: by a system's whole name, where its networks lie: a path that `_NETWORK.onnx` is put behind.
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
    return np.asarray(part(use, "operator").score(opened, crops), np.float64)


def silent_of(use: str, opened: Mapping[str, Engine], crops: CropSet, scores: Array) -> Array:
    """Where a system that gave these scores would abstain at run time, `(n,)` bool.

    The operator's module tells it by a function `abstains`, if it has one.
    """
    abstains = getattr(part(use, "operator"), "abstains", None)
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
        part(use, "train").video_tta(read_weights(weights)[0], unlabelled, source, on_progress=on_progress, **options)
    )


def can_adapt(use: str) -> bool:
    """Whether the system's recipe has a test-time adaptation."""
    return hasattr(part(use, "train"), "video_tta")


def open_networks(stem: Path) -> dict[str, Engine]:
    """The networks of a system, which are `<stem>_<network>.onnx`, by their names.

    Raises:
        ConfigError: there are none.
    """
    return {name: open_engine(file) for name, file in networks(stem).items()}


def committed(use: str, variant: str) -> Path:
    """Where the networks of a variant lie beside their system, without `_NETWORK.onnx`."""
    return Path(operators.__file__).parent.joinpath(*use.split("."), variant)


def fused(scores: Sequence[Array]) -> Array:
    """The mean of the logits of those that spoke; fixed beforehand, with nothing to be fitted."""
    stacked = logit(np.clip(np.stack(scores), EDGE, 1 - EDGE))
    known = np.isfinite(stacked)
    count = known.sum(axis=0)
    total = np.where(known, stacked, 0).sum(axis=0)
    return np.asarray(expit(np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)))


def table(scored: Scored, *, draws: int = metrics.DRAWS, seed: int = 0) -> list[Row]:
    """For each that scored, by frames and by clips (where clips have several): all metrics with their intervals."""
    crops, rows = scored.crops, []
    kept = {f"{name}{ADAPTED}": scores for name, scores in scored.adapted.items()}
    by_video = {**scored.rows, **kept} if len(np.unique(crops.clips)) < len(crops) else kept
    for unit, columns, scores_by_name in (("frame", _frames, scored.rows), ("video", _videos, by_video)):
        for name, scores in scores_by_name.items():
            rows.append(_measured(name, unit, columns(crops, scores), draws, seed))
    known = (crops.labels == 0) | np.isin(crops.kinds, scored.learned)
    if not known.all() and (crops.labels[known] == 1).any():
        first, scores = next(iter(scored.systems.items()))
        labels, values, groups = (column[known] for column in _frames(crops, scores))
        rows.append(_measured(f"{first}{LEARNED}", "frame", (labels, values, groups), draws, seed))
    return rows


def by_kind(scored: Scored, *, draws: int = metrics.DRAWS, seed: int = 0) -> list[Row]:
    """The AUC of each kind of forgery against all genuine crops, for each that scored."""
    crops, rows = scored.crops, []
    for kind in np.unique(crops.kinds[crops.labels == 1]):
        of_it = (crops.labels == 0) | (crops.kinds == kind)
        row: Row = {"kind": str(kind), "cases": int((crops.kinds == kind).sum())}
        for name, scores in scored.rows.items():
            chosen = of_it & np.isfinite(scores)
            row[name] = metrics.interval(
                metrics.auc, crops.labels[chosen], scores[chosen], crops.groups[chosen], draws=draws, seed=seed
            )
        rows.append(row)
    return rows


def figures(
    scored: Scored, rows: Sequence[Row], kinds: Sequence[Row], *, draws: int = metrics.DRAWS
) -> dict[str, float]:
    """Single numbers with names that stay: of the first system plainly, of others with their name behind.

    The gain is over the better Meso4, on the crops that the system spoke of.
    """
    first = next(iter(scored.systems))
    told: dict[str, float] = {"crops": len(scored.crops), "groups": len(np.unique(scored.crops.groups))}
    for name in scored.adapted:
        row = next(row for row in rows if row["what"] == f"{name}{ADAPTED}")
        told |= _ends(f"auc_video_tta{'' if name == first else f'_{name}'}", row["auc"])
    for row in rows:
        if row["what"] == f"{first}{LEARNED}":
            for name in metrics.SUMMARY:
                told |= _ends(f"{name}_learned", row[name])
        if row["what"] not in scored.systems:
            continue
        behind = ("" if row["what"] == first else f"_{row['what']}") + ("_video" if row["unit"] == "video" else "")
        told[f"coverage{behind}"] = row["coverage"]
        for name in metrics.SUMMARY:
            told |= _ends(f"{name}{behind}", row[name])
    for row in kinds:
        told |= _ends(f"auc_kind_{row['kind']}", row[first])
    for name, silent in scored.silent.items():
        behind = "" if name == first else f"_{name}"
        told |= _spoken(scored.crops, scored.systems[name], scored.called[name], ~silent, behind)
    if scored.baselines:
        ours = scored.systems[first]
        spoke = np.isfinite(ours)
        labels = scored.crops.labels[spoke]
        aucs = {name: metrics.auc(labels, values[spoke]) for name, values in scored.baselines.items()}
        best = max(aucs, key=lambda name: aucs[name])
        told["auc_mesonet"] = aucs[best]
        told |= _ends("auc_gain", _gain(scored.crops, ours, scored.baselines[best], draws))
    return told


def row(
    what: str, of: str, recipe: Recipe, run: Path, crops: CropSet, draws: int, first: Array | None = None
) -> tuple[Row, Array]:
    """How a training does on a set; one that left kinds out, on these alone beside the genuine crops.

    Args:
        first: the scores of another training on the same crops, over which `auc_over_first` tells the gain.

    Returns:
        The row, and the scores.
    """
    rows = np.flatnonzero((crops.labels == 0) | np.isin(crops.kinds, recipe.without)) if recipe.without else None
    if rows is not None and (crops.labels[rows] == 1).any():
        crops = crops.where(rows)
    scores = scores_of(recipe.use, open_networks(run / recipe.variant), crops)
    videos = _videos(crops, scores)
    told = _summary(*_frames(crops, scores), ("auc", "eer", "ece"), draws)
    told["auc_video"] = _summary(*videos, ("auc",), draws)["auc"]
    if first is not None and len(first) == len(scores):
        told["auc_over_first"] = _gain(crops, scores, first, draws)
    clips, coverage = int(np.isfinite(videos[1]).sum()), float(np.isfinite(scores).mean())
    return {"what": what, "set": of, "cases": len(crops), "clips": clips, "coverage": coverage, **told}, scores


def row_figures(rows: Sequence[Row]) -> dict[str, float]:
    """The AUC of each row with its interval, by stable names, and its gain; and its mean over the rows of each set."""
    told: dict[str, float] = {}
    for each in rows:
        name = f"{each['set']}_{each['what']}".replace(" ", "_")
        told |= _ends(f"auc_{name}", each["auc"])
        if "auc_over_first" in each:
            told |= _ends(f"auc_over_first_{name}", each["auc_over_first"])
    for of in {each["set"] for each in rows}:
        told[f"auc_{of}_mean"] = float(np.mean([each["auc"].value for each in rows if each["set"] == of]))
    return told


def _measured(what: str, unit: str, columns: tuple[Array, Array, Array], draws: int, seed: int) -> Row:
    """A row of the table, of labels, scores and groups `(n,)`."""
    told = _summary(*columns, metrics.SUMMARY, draws, seed)
    _, values, _ = columns
    return {"what": what, "unit": unit, "cases": len(values), "coverage": float(np.isfinite(values).mean()), **told}


def _summary(
    labels: Array, values: Array, groups: Array, names: Iterable[str], draws: int, seed: int = 0
) -> dict[str, Figure]:
    """These metrics of the cases that were spoken of; NaN where there are none."""
    spoke = np.isfinite(values)
    if not spoke.any():
        return dict.fromkeys(names, Figure(np.nan, np.nan, np.nan))
    chosen = labels[spoke], values[spoke], groups[spoke]
    return metrics.summary(*chosen, names=tuple(names), draws=draws, seed=seed)


def _gain(crops: CropSet, scores: Array, others: Array, draws: int) -> Figure:
    """By how much the AUC is above that of other scores, on the crops that both spoke of."""
    both = np.isfinite(scores) & np.isfinite(others)
    columns = crops.labels[both], scores[both], others[both], crops.groups[both]
    return metrics.gain(metrics.auc, *columns, draws=draws)


def _spoken(crops: CropSet, scores: Array, called: Array, spoke: Array, behind: str) -> dict[str, float]:
    """How many crops a system would have spoken of at run time, and how it does on these by what it would have said."""
    labels, wrong = crops.labels[spoke], called[spoke] != (crops.labels[spoke] == 1)
    return {
        f"spoken{behind}": float(spoke.mean()),
        f"auc_spoken{behind}": metrics.auc(labels, scores[spoke]),
        f"error_spoken{behind}": float(wrong.mean()) if len(wrong) else np.nan,
    }


def _frames(crops: CropSet, scores: Array) -> tuple[Array, Array, Array]:
    return np.asarray(crops.labels), scores, np.asarray(crops.groups)


def _videos(crops: CropSet, scores: Array) -> tuple[Array, Array, Array]:
    """A clip's score is the mean over its frames that were spoken of."""
    names, labels, values = metrics.by_clip(crops.clips, crops.labels, scores)
    _, first = np.unique(crops.clips, return_index=True)
    assert len(first) == len(names)  # noqa: S101 - both are the sorted names
    return labels.astype(int), values, np.asarray(crops.groups)[first]


def _mesonets(crops: CropSet, weights: Path | None) -> dict[str, Array]:
    files = {name: weights / f"{name}.h5" for name in MESONETS} if weights else {}
    if not all(file.is_file() for file in files.values()):
        return {}
    from operators.deepfake.mesonet import model

    return {name: model.score(model.load(file), crops) for name, file in files.items()}


def _ends(name: str, figure: Figure) -> dict[str, float]:
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
