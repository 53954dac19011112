"""Trainings as they are written down: every packaged one can be meant, and what cannot is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="recipes need facewarden[train]")

from engines import ConfigError
from pipeline.config import config_folder
from pipeline.training.recipe import (
    Data,
    Recipe,
    load_recipe,
    models_of,
    options_of,
    options_of_trained,
    recipe_for,
    systems,
)

PACKAGED = sorted(file.stem for file in (config_folder() / "train").glob("*.yaml"))


def test_there_are_some() -> None:
    assert {"acmf-small", "acmf-paper", "gazeforensics-small", "gazeforensics-paper"} <= set(PACKAGED)
    assert {"deepfake.acmf", "deepfake.gazeforensics"} <= set(systems())


@pytest.mark.parametrize("name", PACKAGED)
def test_every_packaged_one_can_be_meant(name: str) -> None:
    recipe = load_recipe(name)

    assert recipe.use in systems()
    assert name.endswith(f"-{recipe.variant}")


def test_a_system_alone_stands_for_its_small_one() -> None:
    assert load_recipe("acmf") == load_recipe("acmf-small")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("use: deepfake.acmf", "data: Field required"),
        ("use: deepfake.nothing\ndata: {set: fairface}", "has no train.py; systems that have: deepfake"),
        ("use: deepfake.acmf\ndata: {set: fairface}\noptions: {colour: red}", "has no colour; known: trunk"),
        ("use: deepfake.acmf\ndata: {set: x}\nforgeries: {kinds: [magic]}", "no magic; known: self_blend"),
        ("use: deepfake.acmf\ndata: {set: x, sise: 3}", "data.sise: Extra inputs"),
        ("- a list", "expected a mapping"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(written: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "made.yaml"
    file.write_text(written)

    with pytest.raises(ConfigError, match=told):
        load_recipe(file)


def test_models_that_a_training_begins_from() -> None:
    assert models_of(load_recipe("acmf-small")) == models_of(load_recipe("gazeforensics-small")) == ["mobilenet_v2"]
    assert models_of(load_recipe("acmf-paper")) == []


def test_what_was_trained_needs_no_model_to_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEWARDEN_CACHE", str(tmp_path))
    named, own = (
        Recipe(use="deepfake.acmf", data=Data(set="x"), options={"backbone": backbone, "size": 64})
        for backbone in ("mobilenet_v2", "weights/own.h5")
    )

    assert options_of_trained(named) == options_of_trained(own) == {"size": 64}
    assert options_of(own) == {"size": 64, "backbone": Path("weights/own.h5")} and models_of(own) == []
    with pytest.raises(ConfigError, match="mobilenet_v2"):
        options_of(named)


def test_a_name_that_is_not_known() -> None:
    with pytest.raises(ConfigError, match="acmf-small"):
        load_recipe("nothing")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"options": {"epochs": "ten"}}, "options.epochs: .*number, got 'ten'"),
        ({"options": {"masking": "all"}}, "options.masking: .*spatial_signed"),
        ({"per_clip": -1}, "per_clip: .*greater than or equal to 0"),
    ],
)
def test_what_the_command_line_cannot_mean(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        recipe_for("acmf", **changes)
