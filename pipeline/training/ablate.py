"""Trainings of a system that differ in one thing, as rows of one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from engines import ConfigError
from engines.progress import OnProgress, silent
from operators.arrays import Array
from operators.cropset import CropSet
from pipeline.training import ray_jobs
from pipeline.training.evaluate import Values, evaluated_crops, like
from pipeline.training.export import export_run
from pipeline.training.ray_jobs import Cluster, Workspace
from pipeline.training.recipe import Recipe, load_module
from pipeline.training.scoring import open_networks, scores_of
from pipeline.training.summaries import Row, training_row
from pipeline.training.train import with_own_forgeries


def ablate(
    recipe: Recipe,
    sets: Sequence[str],
    workspace: Workspace,
    *,
    leave_kinds_out: bool = False,
    only: Sequence[str] = (),
    draws: int,
    ray_address: str | None = None,
    on_progress: OnProgress = silent,
) -> list[Row]:
    """How several trainings that differ in one thing do on the recipe's own test split and on other sets.

    Args:
        sets: the other sets.
        leave_kinds_out: one kind of forgery is left out of each training, which is then measured on that kind alone
            together with the genuine crops; otherwise the system's own `ABLATIONS` are trained.
        only: these of the trainings; all if none is named.

    Raises:
        ConfigError: the system has no such trainings, or what `ray_jobs.train` raises.
    """
    recipe = with_own_forgeries(recipe, workspace)
    variants = _without_each(recipe) if leave_kinds_out else _ablations(recipe)
    wrong = [what for what in only if what not in variants]
    if wrong:
        raise ConfigError(f"--only: no {', '.join(wrong)}; known: {', '.join(variants)}")
    rows: list[Row] = []
    first: dict[str, Array] = {}
    with Cluster(ray_address) as cluster:
        crops = {
            of: evaluated_crops(
                like(recipe.data, {"set": of, "splits": ["test"]}), recipe, workspace, cluster, on_progress
            )
            for of in (recipe.data.set, *sets)
        }
        for number, what in enumerate(only or variants):
            on_progress("trainings", number, len(only or variants), {})
            variant, own = variants[what], workspace.run_of(recipe)
            folder = own.with_name(f"{own.name}-{'without-' if leave_kinds_out else ''}{what.replace(' ', '-')}")
            if ray_jobs.holds(own, variant):
                folder = own  # trained before, by `train`
            ray_jobs.train(variant, folder, workspace, cluster, on_progress)
            export_run(folder)
            networks = open_networks(folder / variant.variant)
            for of, shown in crops.items():
                seen = _left_out(shown, variant)
                scores = scores_of(variant.use, networks, seen)
                before = None if leave_kinds_out else first.get(of)
                rows.append(training_row(what, Path(of).name, seen, scores, draws, before))
                first.setdefault(of, scores)
    return rows


def _left_out(crops: CropSet, recipe: Recipe) -> CropSet:
    """The kinds that a training left out, with the genuine crops; all where it left none out, or there are none."""
    rows = (crops.labels == 0) | np.isin(crops.kinds, recipe.without)
    return crops.where(np.flatnonzero(rows)) if recipe.without and (crops.labels[rows] == 1).any() else crops


def _ablations(recipe: Recipe) -> dict[str, Recipe]:
    """What the system's own `ABLATIONS` make of a recipe."""
    found: Mapping[str, Values] = getattr(load_module(recipe.use, "train"), "ABLATIONS", {})
    if not found:
        raise ConfigError(f"{recipe.use} names no ablations; train it with --option KEY=VALUE instead")
    return {what: recipe.model_copy(update={"options": {**recipe.options, **o}}) for what, o in found.items()}


def _without_each(recipe: Recipe) -> dict[str, Recipe]:
    kinds = recipe.forgeries.kinds if recipe.forgeries else []
    if len(kinds) < 2:
        raise ConfigError("--leave-kinds-out: expected a config with forgeries of several kinds")
    return {kind: recipe.model_copy(update={"without": [kind]}) for kind in kinds}
