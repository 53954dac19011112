"""A whole training: crops, forgeries, the recipe, and the networks that come of it."""

from __future__ import annotations

from pathlib import Path

from engines.progress import OnProgress, timed
from operators.datasets import find_set
from pipeline.training import ray_jobs
from pipeline.training.export import export_run
from pipeline.training.ray_jobs import Cluster, Workspace
from pipeline.training.recipe import Recipe


def train(recipe: Recipe, workspace: Workspace, ray_address: str | None, on_progress: OnProgress) -> list[Path]:
    """The networks of a whole training, in the folder of its run, with what each phase took."""
    folder, recipe = workspace.run_of(recipe), with_own_forgeries(recipe, workspace)
    with Cluster(ray_address) as cluster:
        ray_jobs.train(recipe, folder, workspace, cluster, on_progress)
    with timed(folder, "export"):
        return export_run(folder)


def with_own_forgeries(recipe: Recipe, workspace: Workspace) -> Recipe:
    """The recipe without forgeries to be made, where the set has its own."""
    if recipe.forgeries is None:
        return recipe
    found = find_set(recipe.data.set, workspace.data, **recipe.data.options)
    own = any(clip.label for clip in found.clips)
    return recipe.model_copy(update={"forgeries": None}) if own else recipe
