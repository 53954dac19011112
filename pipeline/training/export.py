"""From the folder of a run to networks with their cards, in the run's folder or in their system's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from engines import ConfigError
from engines.card import Card, CardMetric
from pipeline.provenance import commit, read_report
from pipeline.training.ray_jobs import RECIPE
from pipeline.training.recipe import Recipe, load_module, options_of_trained
from pipeline.training.summaries import card_metrics

SHA256_TO_COME = "0" * 64
FAIRFACE = "FairFace (Karkkainen and Joo 2021, CC BY 4.0), genuine faces alone"
MADE_OF_FAIRFACE = f"{FAIRFACE}; forgeries were made of them: "
TASK = "forgery of a face"
"""Of networks whose recipe does not say otherwise by a `TASK` of its own."""
SHIPPED_LICENCE = "Apache-2.0"
UNKNOWN_LICENCE = "as the data it was trained on allows"


def recipe_of(run: Path) -> Recipe:
    """The recipe that a run was started with.

    Raises:
        ConfigError: the folder holds no run.
    """
    file = run / RECIPE
    try:
        return Recipe.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{run}: expected the folder of a training run ({error}); train first") from error


def export_run(
    run: Path, to: Path | None = None, metrics: Mapping[str, CardMetric | float] | None = None
) -> list[Path]:
    """Writes the networks of a run as `<variant>_<network>.onnx` with their cards.

    Args:
        to: the folder; the run's own if None.
        metrics: held-out figures for the cards, besides those that the recipe chose its weights by.

    Raises:
        ConfigError: the run did not end, or an older Facewarden left it.
        EngineError: ONNX Runtime does not compute what PyTorch does.
    """
    from engines.export import export
    from engines.training import WEIGHTS, read_weights

    recipe = recipe_of(run)
    weights, figures = read_weights(run / WEIGHTS)
    try:
        trained = load_module(recipe.use, "train").networks(weights, **options_of_trained(recipe))
    except RuntimeError as error:
        raise ConfigError(f"{run}: its weights are not those of its recipe here ({error}); train again") from error
    digest, written = digest_of(weights), []
    for name, network in trained.items():
        file = (to or run) / f"{recipe.variant}_{name}.onnx"
        export(network, file, _card(recipe, name, {**figures, **(metrics or {})}, digest))
        written.append(file)
    return written


def networks(stem: Path) -> dict[str, Path]:
    """The files of a system's networks by their names.

    Raises:
        ConfigError: there are none.
    """
    found = {file.stem.removeprefix(f"{stem.name}_"): file for file in sorted(stem.parent.glob(f"{stem.name}_*.onnx"))}
    if not found:
        raise ConfigError(f"{stem}_*.onnx: no network; train one, or name the folder of its run with --model")
    return found


def digest_of(weights: Mapping[str, Any]) -> str:
    """SHA-256 of named tensors: the same for the same numbers, however a file keeps them."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name].numpy())
        digest.update(f"{name} {array.dtype} {array.shape};".encode() + array.tobytes())
    return digest.hexdigest()


def _card(recipe: Recipe, network: str, metrics: Mapping[str, CardMetric | float], weights: str = "") -> Card:
    fairface, forged = recipe.data.set == "fairface", _forged(recipe)
    module = load_module(recipe.use, "train")
    own: str | None = getattr(module, "TASK", None)
    return Card(
        name=f"{recipe.use}/{recipe.variant}_{network}",
        task=own or TASK,
        licence=SHIPPED_LICENCE if fairface else UNKNOWN_LICENCE,
        sha256=SHA256_TO_COME,
        source=f"facewarden train {recipe.use.split('.')[-1]}-{recipe.variant} --seed {recipe.seed}",
        data=_data(recipe, forged, judges=own is None),
        recipe=recipe.model_dump_json(),
        commit=commit(),
        seed=recipe.seed,
        metrics=dict(metrics),
        failures=list(getattr(module, "FAILURES", ())),
        weights=weights,
    )


def _data(recipe: Recipe, forged: str, *, judges: bool) -> str:
    """What was learned from; of systems that judge forgeries also what those were."""
    if recipe.data.set != "fairface":
        return f"{recipe.data.set} {forged}".rstrip()
    return f"{MADE_OF_FAIRFACE}{forged or 'none'}" if judges else FAIRFACE


def _forged(recipe: Recipe) -> str:
    """What was made of the genuine faces, in words."""
    made = recipe.forgeries
    if made is None:  # a system that looks at videos renders its own, where there are stills alone
        kinds = recipe.options.get("kinds") or getattr(load_module(recipe.use, "train"), "KINDS", ())
        return f"clips in the kinds {', '.join(kinds)}" if kinds and recipe.data.set == "fairface" else ""
    kinds = [kind for kind in made.kinds if kind not in recipe.without]
    return f"{made.per_real} of each in the kinds {', '.join(kinds)}" if made.per_real and kinds else ""


def export_with_reports(run: Path, to: Path | None, reports: Sequence[Path]) -> list[Path]:
    """The networks of a run, the figures of some reports of `evaluate` on their cards.

    Raises:
        ConfigError: one of the files is no such report, or what `export_run` raises.
    """
    metrics: dict[str, CardMetric | float] = {}
    for file in reports:
        try:
            metrics |= card_metrics(read_report(file).figures)
        except (OSError, ValidationError) as error:
            raise ConfigError(f"{file}: expected a report of evaluate --json ({error})") from error
    return export_run(run, to, metrics)
