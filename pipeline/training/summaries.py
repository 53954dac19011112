"""What is said about scores of crops: metrics with intervals by groups, by frames, clips and kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engines.card import CardMetric
from operators import metrics
from operators.arrays import Array
from operators.cropset import CropSet
from operators.metrics import Figure

Row = dict[str, Any]
ADAPTED = ", adapted to each"
"""Follows the name of a system whose scores are transductive: it has seen the unlabelled clips that it scores."""
LEARNED = ", kinds it has learned"
"""Follows the name of a system: without the forgeries of kinds that its training had none of."""


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
    """The AUC of each kind of forgery against all genuine crops, of each that scored."""
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
    """Single numbers with names that stay: of the first system plainly, of others followed by their name.

    The gain is over the better Meso4, on the crops that the system spoke of.
    """
    first = next(iter(scored.systems))
    found: dict[str, float] = {"crops": len(scored.crops), "groups": len(np.unique(scored.crops.groups))}
    for name in scored.adapted:
        row = next(row for row in rows if row["what"] == f"{name}{ADAPTED}")
        found |= _ends(f"auc_video_tta{'' if name == first else f'_{name}'}", row["auc"])
    for row in rows:
        if row["what"] == f"{first}{LEARNED}":
            for name in metrics.SUMMARY:
                found |= _ends(f"{name}_learned", row[name])
        if row["what"] not in scored.systems:
            continue
        suffix = ("" if row["what"] == first else f"_{row['what']}") + ("_video" if row["unit"] == "video" else "")
        found[f"coverage{suffix}"] = row["coverage"]
        for name in metrics.SUMMARY:
            found |= _ends(f"{name}{suffix}", row[name])
    for row in kinds:
        found |= _ends(f"auc_kind_{row['kind']}", row[first])
    for name, silent in scored.silent.items():
        suffix = "" if name == first else f"_{name}"
        found |= _spoken(scored.crops, scored.systems[name], scored.called[name], ~silent, suffix)
    if scored.baselines:
        ours = scored.systems[first]
        spoke = np.isfinite(ours)
        labels = scored.crops.labels[spoke]
        aucs = {name: metrics.auc(labels, values[spoke]) for name, values in scored.baselines.items()}
        best = max(aucs, key=lambda name: aucs[name])
        found["auc_mesonet"] = aucs[best]
        found |= _ends("auc_gain", _gain(scored.crops, ours, scored.baselines[best], draws))
    return found


def training_row(what: str, of: str, crops: CropSet, scores: Array, draws: int, first: Array | None = None) -> Row:
    """How a training does on a set.

    Args:
        what: what is special about the training.
        of: the set's name.
        first: the scores of another training on the same crops, over which `auc_over_first` is the gain.
    """
    videos = _videos(crops, scores)
    found = _summary(*_frames(crops, scores), ("auc", "eer", "ece"), draws)
    found["auc_video"] = _summary(*videos, ("auc",), draws)["auc"]
    if first is not None and len(first) == len(scores):
        found["auc_over_first"] = _gain(crops, scores, first, draws)
    clips, coverage = int(np.isfinite(videos[1]).sum()), float(np.isfinite(scores).mean())
    return {"what": what, "set": of, "cases": len(crops), "clips": clips, "coverage": coverage, **found}


def row_figures(rows: Sequence[Row]) -> dict[str, float]:
    """The AUC of each row with its interval, by stable names, and its gain; and its mean over the rows of each set.

    >>> figures = row_figures([{"what": "plain", "set": "dfdc", "auc": Figure(0.9, 0.8, 0.95)}])
    >>> figures["auc_dfdc_plain_low"], figures["auc_dfdc_mean"]
    (0.8, 0.9)
    """
    found: dict[str, float] = {}
    for each in rows:
        name = f"{each['set']}_{each['what']}".replace(" ", "_")
        found |= _ends(f"auc_{name}", each["auc"])
        if "auc_over_first" in each:
            found |= _ends(f"auc_over_first_{name}", each["auc_over_first"])
    for of in {each["set"] for each in rows}:
        found[f"auc_{of}_mean"] = float(np.mean([each["auc"].value for each in rows if each["set"] == of]))
    return found


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows for a report: intervals as lists of value, low and high.

    >>> plain([{"what": "all", "auc": Figure(0.9, 0.8, 0.95)}])
    [{'what': 'all', 'auc': [0.9, 0.8, 0.95]}]
    """
    return [
        {key: [cell.value, cell.low, cell.high] if isinstance(cell, Figure) else cell for key, cell in each.items()}
        for each in rows
    ]


def card_metrics(figures: Mapping[str, float | None]) -> dict[str, CardMetric | float]:
    """A report's figures for a card: those with an interval as one, and those that are not defined not at all.

    >>> card_metrics({"crops": 40, "auc": 0.9, "auc_low": 0.8, "auc_high": 0.95, "eer": None})
    {'crops': 40, 'auc': CardMetric(value=0.9, low=0.8, high=0.95)}
    """
    found: dict[str, CardMetric | float] = {}
    for name, value in figures.items():
        if value is None or name.endswith(("_low", "_high")):
            continue
        low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
        found[name] = value if low is None or high is None else CardMetric(value=value, low=low, high=high)
    return found


def _measured(what: str, unit: str, columns: tuple[Array, Array, Array], draws: int, seed: int) -> Row:
    """A row of the table, of labels, scores and groups `(n,)`."""
    found = _summary(*columns, metrics.SUMMARY, draws, seed)
    _, values, _ = columns
    return {"what": what, "unit": unit, "cases": len(values), "coverage": float(np.isfinite(values).mean()), **found}


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


def _spoken(crops: CropSet, scores: Array, called: Array, spoke: Array, suffix: str) -> dict[str, float]:
    """How many crops a system would have spoken of at run time, and how it does on these by what it would have said."""
    labels, wrong = crops.labels[spoke], called[spoke] != (crops.labels[spoke] == 1)
    return {
        f"spoken{suffix}": float(spoke.mean()),
        f"auc_spoken{suffix}": metrics.auc(labels, scores[spoke]),
        f"error_spoken{suffix}": float(wrong.mean()) if len(wrong) else np.nan,
    }


def _frames(crops: CropSet, scores: Array) -> tuple[Array, Array, Array]:
    return np.asarray(crops.labels), scores, np.asarray(crops.groups)


def _videos(crops: CropSet, scores: Array) -> tuple[Array, Array, Array]:
    """A clip's score is the mean over its frames that were spoken of."""
    names, labels, values = metrics.by_clip(crops.clips, crops.labels, scores)
    _, first = np.unique(crops.clips, return_index=True)
    assert len(first) == len(names)  # noqa: S101 - both are the sorted names
    return labels.astype(int), values, np.asarray(crops.groups)[first]


def _ends(name: str, figure: Figure) -> dict[str, float]:
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
