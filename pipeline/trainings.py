"""What `train`, `export`, `evaluate` and `ablate` do, once the command line has been read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import ValidationError

from engines import ConfigError
from engines.card import Metric, faults_of
from engines.progress import OnProgress, minutes, timed
from engines.training import WEIGHTS
from operators.cropset import CropSet, open_set
from operators.datasets import find_set
from pipeline import evaluation, jobs, tables
from pipeline.checkpoints import export_run, recipe_of
from pipeline.crop_cache import forged
from pipeline.evaluation import Row
from pipeline.jobs import Cluster, Place
from pipeline.progress import Bars
from pipeline.recipes import Data, Forgeries, Recipe, check_recipe, load_recipe, options_of_trained, part

EVERY_KIND = Forgeries(per_real=3, seed=1)
"""What genuine faces are given for evaluation; other chance than in training."""

SHIFTED = "shifted_"
"""What the figures of degraded pictures begin with."""

SOURCE = 1500
"""So many genuine and so many forged crops of a training are what adaptation draws its labelled batches from."""

Values = Mapping[str, Any]


def recipe_for(
    name: str,
    *,
    data: str | None = None,
    data_options: Mapping[str, Any] = {},
    options: Mapping[str, Any] = {},
    per_clip: int | None = None,
    seed: int | None = None,
) -> Recipe:
    """The recipe of a name or file, with what the command line changes in it."""
    recipe = load_recipe(name)
    changed: dict[str, Any] = {"options": {**recipe.options, **options}}
    cut: dict[str, Any] = {} if per_clip is None else {"per_clip": per_clip}
    if data is not None:
        cut |= {"set": data, "options": dict(data_options)}
    changed["data"] = _changed(recipe.data, cut)
    if seed is not None:
        changed["seed"] = seed
    recipe = recipe.model_copy(update=changed)
    check_recipe(recipe)
    return recipe


def train(recipe: Recipe, place: Place, ray_address: str | None) -> list[Path]:
    """The networks of a whole training, in the folder of its run; prints what each phase took."""
    folder, recipe = place.runs / _name(recipe), _made_of(recipe, place)
    with Cluster(ray_address) as cluster, Bars() as bars:
        jobs.train(recipe, folder, place, cluster, bars.show)
    with timed(folder, "export"):
        written = export_run(folder)
    tables.show_minutes(minutes(folder))
    return written


def export(run: Path, to: Path | None, reports: Sequence[Path]) -> list[Path]:
    """The networks of a run, the figures of some reports on their cards."""
    metrics: dict[str, Metric | float] = {}
    for file in reports:
        try:
            metrics |= tables.card_metrics(json.loads(file.read_text())["figures"])
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"{file}: expected a report of evaluate --json ({error})") from error
    return export_run(run, to, metrics)


def evaluate(
    names: Sequence[str], models: Sequence[Path], data: Values, place: Place, *, shift: float, tta: bool, draws: int,
    ray_address: str | None,
) -> tuple[dict[str, float], list[Row]]:  # fmt: skip
    """Figures and rows of systems on one set, which are printed too.

    Args:
        models: folders of runs, one for each system; without, what is committed beside the systems.
        data: what differs from the data that the first system was trained on.
        shift: how strongly all crops are degraded before they are scored, 0..1.
        tta: systems that can are adapted to each clip besides, with crops of their training as the labelled source.
    """
    chosen = _chosen(names, models)
    recipe = next(iter(chosen.values()))[0]
    wanted = _like(recipe.data, data)
    adapting = _adapting(chosen, models) if tta else {}
    with Cluster(ray_address) as cluster, Bars() as bars:
        crops = evaluated_crops(wanted, recipe, place, cluster, bars.show)
        sources = {use: _source(of, place, cluster, bars.show) for use, of in adapting.items()}
        crops = evaluation.shifted(crops, shift)
        adapted = {
            use.split(".")[-1]: evaluation.adapted_scores(
                use, chosen[use][1].parent / WEIGHTS, options_of_trained(of), crops, sources[use], bars.show
            )
            for use, of in adapting.items()
        }
    weights = place.data / "weights" if place.data else None
    scored = evaluation.score(crops, {use: stem for use, (_, stem) in chosen.items()}, weights)
    made = recipe.forgeries.kinds if recipe.forgeries else ()
    scored = replace(scored, adapted=adapted, learned=[kind for kind in made if kind not in recipe.without])
    rows, kinds = evaluation.table(scored, draws=draws), evaluation.by_kind(scored, draws=draws)
    spoken = {name: float(1 - silent.mean()) for name, silent in scored.silent.items()}
    tables.show_scores(rows, kinds, spoken, f"{wanted.set}, {', '.join(wanted.splits)}: {len(crops)} crops")
    figures = evaluation.figures(scored, rows, kinds, draws=draws)
    if shift:  # other names: on a card they would pass for the figures of pictures as they are
        figures = {f"{SHIFTED}{name}": value for name, value in figures.items()}
    return figures, tables.plain([*rows, *kinds])


def ablate(
    recipe: Recipe, sets: Sequence[str], place: Place, *, leave_kinds_out: bool, only: Sequence[str], draws: int,
    ray_address: str | None,
) -> tuple[dict[str, float], list[Row]]:  # fmt: skip
    """Figures and rows of several trainings that differ in one thing, on the recipe's own test split and other sets."""
    recipe = _made_of(recipe, place)
    variants = _without_each(recipe) if leave_kinds_out else _ablations(recipe)
    wrong = [what for what in only if what not in variants]
    if wrong:
        raise ConfigError(f"--only: no {', '.join(wrong)}; known: {', '.join(variants)}")
    rows: list[Row] = []
    first: dict[str, evaluation.Array] = {}
    with Cluster(ray_address) as cluster, Bars() as bars:
        crops = {
            of: evaluated_crops(_like(recipe.data, {"set": of, "splits": ["test"]}), recipe, place, cluster, bars.show)
            for of in (recipe.data.set, *sets)
        }
        for number, what in enumerate(only or variants):
            bars.show("trainings", number, len(only or variants))
            folder = place.runs / f"{_name(recipe)}-{'without-' if leave_kinds_out else ''}{what.replace(' ', '-')}"
            if jobs.holds(place.runs / _name(recipe), variants[what]):
                folder = place.runs / _name(recipe)  # trained before, by `train`
            jobs.train(variants[what], folder, place, cluster, bars.show)
            export_run(folder)
            for of, shown in crops.items():
                beside = None if leave_kinds_out else first.get(of)
                row, scores = evaluation.row(what, Path(of).name, variants[what], folder, shown, draws, beside)
                rows.append(row)
                first.setdefault(of, scores)
    tables.show_rows(rows, f"{recipe.use}: {'one kind left out' if leave_kinds_out else 'ablations'}")
    return evaluation.row_figures(rows), tables.plain(rows)


def evaluated_crops(data: Data, recipe: Recipe, place: Place, cluster: Cluster, on_progress: OnProgress) -> CropSet:
    """The crops of a set; one of genuine faces alone with forgeries of every kind.

    Of genuine stills, a system that looks at videos makes its own, by a function `rendered` of its recipe.
    """
    folder = jobs.make_crops(data, None, place, cluster, None, on_progress)
    crops = open_set(folder)
    if (crops.labels == 1).any():
        return crops
    rendered = getattr(part(recipe.use, "train"), "rendered", None)
    if rendered is not None and len(np.unique(crops.clips)) == len(crops):
        return cast(CropSet, rendered(crops, **options_of_trained(recipe)))
    return open_set(forged(folder, EVERY_KIND, spread=cluster.spread, on_progress=on_progress))


def _like(data: Data, changes: Values) -> Data:
    """Data for evaluation, cut as in training; what was left out of training is not left out of another set."""
    if changes.get("set", data.set) == data.set:
        return _changed(data, changes)
    everything = {"options": {}, "whole": False, "turned": 1.0, "most": 0, "per_clip": 32}
    return _changed(data, {**everything, **changes})


def _changed(data: Data, changes: Values) -> Data:
    try:
        return Data.model_validate({**data.model_dump(), **changes})
    except ValidationError as error:
        raise ConfigError(f"data: {faults_of(error, 'data')}") from error


def _made_of(recipe: Recipe, place: Place) -> Recipe:
    """The recipe without forgeries to be made, where the set has its own."""
    if recipe.forgeries is None:
        return recipe
    found = find_set(recipe.data.set, place.data, **recipe.data.options)
    own = any(clip.label for clip in found.clips)
    return recipe.model_copy(update={"forgeries": None}) if own else recipe


def _chosen(names: Sequence[str], models: Sequence[Path]) -> dict[str, tuple[Recipe, Path]]:
    """Of each system its recipe, and where its networks lie: in the folder of a run, or beside the system.

    Raises:
        ConfigError: there is not one run of each system, one is named twice, or their crops are cut differently.
    """
    recipes = [load_recipe(name) for name in names]
    if models and len(models) != len(names):
        raise ConfigError(f"--model: expected one for each of {', '.join(names)}, got {len(models)}")
    chosen = {recipe.use: (recipe, evaluation.committed(recipe.use, recipe.variant)) for recipe in recipes}
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
    adapting = {use: recipe for use, (recipe, _) in chosen.items() if evaluation.can_adapt(use)}
    if not adapting:
        raise ConfigError(f"--tta: none of {', '.join(chosen)} has a test-time adaptation; leave it out")
    if not models:
        raise ConfigError("--tta: expected the folder of a training run, --model; an exported network cannot learn")
    return adapting


def _source(recipe: Recipe, place: Place, cluster: Cluster, on_progress: OnProgress) -> CropSet:
    """Some of the crops that a recipe is trained on, as many genuine as forged."""
    crops = open_set(jobs.make_crops(recipe.data, recipe.forgeries, place, cluster, None, on_progress))
    learned = (crops.splits == "train") & ~np.isin(crops.kinds, recipe.without)
    rng = np.random.default_rng(recipe.seed)
    rows = [rng.permutation(np.flatnonzero(learned & (crops.labels == label)))[:SOURCE] for label in (0, 1)]
    return crops.where(np.sort(np.concatenate(rows)))


def _ablations(recipe: Recipe) -> dict[str, Recipe]:
    """What the system's own `ABLATIONS` make of a recipe."""
    found: Mapping[str, Values] = getattr(part(recipe.use, "train"), "ABLATIONS", {})
    if not found:
        raise ConfigError(f"{recipe.use} names no ablations; train it with --option KEY=VALUE instead")
    return {what: recipe.model_copy(update={"options": {**recipe.options, **o}}) for what, o in found.items()}


def _without_each(recipe: Recipe) -> dict[str, Recipe]:
    kinds = recipe.forgeries.kinds if recipe.forgeries else []
    if len(kinds) < 2:
        raise ConfigError("--leave-kinds-out: expected a config with forgeries of several kinds")
    return {kind: recipe.model_copy(update={"without": [kind]}) for kind in kinds}


def _name(recipe: Recipe) -> str:
    return f"{recipe.use.split('.')[-1]}-{recipe.variant}"
