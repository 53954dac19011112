"""Systems on one set: what they score its crops with, and what that says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from engines import ConfigError
from engines.progress import OnProgress, silent
from engines.training import WEIGHTS
from operators.cropset import CropSet, open_set
from pipeline.training import ray_jobs, scoring, summaries
from pipeline.training.crop_sets import forged
from pipeline.training.export import recipe_of
from pipeline.training.ray_jobs import Cluster, Workspace
from pipeline.training.recipe import Data, Forgeries, Recipe, changed_data, load_module, load_recipe, options_of_trained
from pipeline.training.summaries import Row

EVERY_KIND = Forgeries(per_real=3, seed=1)
"""What genuine faces are given for evaluation; other chance than in training."""
SHIFTED = "shifted_"
"""What the figures of degraded pictures begin with."""
SOURCE = 1500
"""So many genuine and so many forged crops of a training are what adaptation draws its labelled batches from."""
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        title: what was scored, for people.
        figures: single numbers by stable names.
        rows: of each that scored, all metrics.
        kinds: of each kind of forgery, the AUC of each that scored.
        spoken: by system, the share of the crops that it would speak of at run time.
    """

    title: str
    figures: Mapping[str, float]
    rows: Sequence[Row]
    kinds: Sequence[Row]
    spoken: Mapping[str, float]


def evaluate(
    names: Sequence[str],
    models: Sequence[Path],
    data: Values,
    workspace: Workspace,
    *,
    shift: float = 0.0,
    tta: bool = False,
    draws: int,
    ray_address: str | None = None,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Figures and rows of systems on one set.

    Args:
        models: folders of runs, one for each system; without, what is committed with the systems.
        data: what differs from the data that the first system was trained on.
        shift: how strongly all crops are degraded before they are scored, 0..1.
        tta: systems that can are adapted to each clip besides, with crops of their training as the labelled source.
    """
    chosen = _chosen(names, models)
    recipe = next(iter(chosen.values()))[0]
    wanted = like(recipe.data, data)
    adapting = _adapting(chosen, models) if tta else {}
    with Cluster(ray_address) as cluster:
        crops = evaluated_crops(wanted, recipe, workspace, cluster, on_progress)
        sources = {use: _source(of, workspace, cluster, on_progress) for use, of in adapting.items()}
        crops = scoring.shifted(crops, shift)
        adapted = {
            use.split(".")[-1]: scoring.adapted_scores(
                use, chosen[use][1].parent / WEIGHTS, options_of_trained(of), crops, sources[use], on_progress
            )
            for use, of in adapting.items()
        }
    weights = workspace.data / "weights" if workspace.data else None
    scored = scoring.score(crops, {use: stem for use, (_, stem) in chosen.items()}, weights)
    made = recipe.forgeries.kinds if recipe.forgeries else ()
    scored = replace(scored, adapted=adapted, learned=[kind for kind in made if kind not in recipe.without])
    rows, kinds = summaries.table(scored, draws=draws), summaries.by_kind(scored, draws=draws)
    spoken = {name: float(1 - silent.mean()) for name, silent in scored.silent.items()}
    title = f"{wanted.set}, {', '.join(wanted.splits)}: {len(crops)} crops"
    figures = summaries.figures(scored, rows, kinds, draws=draws)
    if shift:  # other names: on a card they would pass for the figures of pictures as they are
        figures = {f"{SHIFTED}{name}": value for name, value in figures.items()}
    return Evaluation(title, figures, rows, kinds, spoken)


def evaluated_crops(
    data: Data, recipe: Recipe, workspace: Workspace, cluster: Cluster, on_progress: OnProgress
) -> CropSet:
    """The crops of a set; one of genuine faces alone with forgeries of every kind.

    Of genuine stills, a system that looks at videos makes its own, by a function `rendered` of its recipe.
    """
    folder = ray_jobs.make_crops(data, None, workspace, cluster, None, on_progress)
    crops = open_set(folder)
    if (crops.labels == 1).any():
        return crops
    rendered = getattr(load_module(recipe.use, "train"), "rendered", None)
    if rendered is not None and len(np.unique(crops.clips)) == len(crops):
        return cast(CropSet, rendered(crops, **options_of_trained(recipe)))
    return open_set(forged(folder, EVERY_KIND, spread=cluster.spread, on_progress=on_progress))


def like(data: Data, changes: Values) -> Data:
    """Data for evaluation, cut as in training; what was left out of training is not left out of another set.

    >>> like(Data(set="dfdc", size=96, turned=0.5), {"set": "celebdf"}).turned
    1.0
    """
    if changes.get("set", data.set) == data.set:
        return changed_data(data, changes)
    everything = {"options": {}, "whole": False, "turned": 1.0, "most": 0, "per_clip": 32}
    return changed_data(data, {**everything, **changes})


def _chosen(names: Sequence[str], models: Sequence[Path]) -> dict[str, tuple[Recipe, Path]]:
    """Of each system its recipe, and where its networks lie: in the folder of a run, or in the system's.

    Raises:
        ConfigError: there is not one run of each system, one is named twice, or their crops are cut differently.
    """
    recipes = [load_recipe(name) for name in names]
    if models and len(models) != len(names):
        raise ConfigError(f"--model: expected one for each of {', '.join(names)}, got {len(models)}")
    chosen = {recipe.use: (recipe, scoring.committed(recipe.use, recipe.variant)) for recipe in recipes}
    for meant, folder in zip(recipes, models, strict=False):
        recipe = recipe_of(folder)
        if recipe.use != meant.use:
            raise ConfigError(f"--model {folder}: expected a run of {meant.use}, got one of {recipe.use}")
        chosen[meant.use] = recipe, folder / recipe.variant
    if len(chosen) < len(names):
        raise ConfigError(f"{', '.join(names)}: expected different systems; evaluate one after the other")
    cuts = {(recipe.data.margin, recipe.data.level) for recipe, _ in chosen.values()}
    if len(cuts) > 1:
        raise ConfigError(
            f"{', '.join(names)}: expected systems that look at the same crops, got margins and levelling of "
            f"{', '.join(map(str, sorted(cuts)))}; evaluate one after the other"
        )
    return chosen


def _adapting(chosen: Mapping[str, tuple[Recipe, Path]], models: Sequence[Path]) -> dict[str, Recipe]:
    """The recipes of those systems that can be adapted.

    Raises:
        ConfigError: there are none, or no weights of theirs.
    """
    adapting = {use: recipe for use, (recipe, _) in chosen.items() if scoring.can_adapt(use)}
    if not adapting:
        raise ConfigError(f"--tta: none of {', '.join(chosen)} has a test-time adaptation; leave it out")
    if not models:
        raise ConfigError("--tta: expected the folder of a training run, --model; an exported network cannot learn")
    return adapting


def _source(recipe: Recipe, workspace: Workspace, cluster: Cluster, on_progress: OnProgress) -> CropSet:
    """Some of the crops that a recipe is trained on, as many genuine as forged."""
    crops = open_set(ray_jobs.make_crops(recipe.data, recipe.forgeries, workspace, cluster, None, on_progress))
    learned = (crops.splits == "train") & ~np.isin(crops.kinds, recipe.without)
    rng = np.random.default_rng(recipe.seed)
    rows = [rng.permutation(np.flatnonzero(learned & (crops.labels == label)))[:SOURCE] for label in (0, 1)]
    return crops.where(np.sort(np.concatenate(rows)))
