"""Trainings as they are written down: every packaged one can be meant, and what cannot is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="recipes need facewarden[train]")

from engines import ConfigError
from operators.cutting import Cutting
from operators.forge import KINDS
from pipeline.config import config_folder
from pipeline.training.recipe import (
    Data,
    Forgeries,
    Recipe,
    changed_data,
    check_recipe,
    load_module,
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
    assert {"proface_s-small", "proface_s-paper"} <= set(PACKAGED)
    assert {"deepfake.acmf", "deepfake.gazeforensics", "reversible.proface_s"} <= set(systems())


@pytest.mark.parametrize("name", PACKAGED)
def test_every_packaged_one_can_be_meant(name: str) -> None:
    recipe = load_recipe(name)

    assert recipe.use in systems()
    assert name.endswith(f"-{recipe.variant}")


def test_a_system_alone_stands_for_its_small_one() -> None:
    assert load_recipe("acmf") == load_recipe("acmf-small")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("use: deepfake.acmf", "data: expected a mapping with set, .*, got nothing"),
        ("use: deepfake.nothing\ndata: {set: fairface}", "has no train.py; systems that have: deepfake"),
        ("use: deepfake.acmf\ndata: {set: x}\noptions: {colour: red}", "acmf: colour: unknown; known: trunk"),
        ("use: deepfake.acmf\ndata: {set: x}\noptions: {epochs: many}", "acmf: epochs: expected a number, got 'many'"),
        ("use: deepfake.acmf\ndata: {set: x}\noptions: {size: 64.5}", "acmf: size: expected an integer, got 64.5"),
        ("use: deepfake.acmf\ndata: {set: x}\noptions: {backbone: 3}", "backbone: expected null or a path, got 3"),
        ("use: deepfake.acmf\ndata: {set: x}\noptions: {masking: none}", "masking: expected .* or .*, got 'none'"),
        ("use: deepfake.acmf\ndata: {set: x}\nforgeries: {kinds: [magic]}", "no magic; known: self_blend"),
        ("use: deepfake.acmf\ndata: {set: x, sise: 3}", "data.sise: unknown; known: set, options, size"),
        ("- a list", "expected a mapping"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(written: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "made.yaml"
    file.write_text(written)

    with pytest.raises(ConfigError, match=message):
        load_recipe(file)


def test_models_that_a_training_begins_from() -> None:
    assert models_of(load_recipe("acmf-small")) == models_of(load_recipe("gazeforensics-small")) == ["mobilenet_v2"]
    assert models_of(load_recipe("acmf-paper")) == models_of(load_recipe("proface_s")) == []


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
    ("changes", "message"),
    [
        ({"options": {"epochs": "ten"}}, "epochs: expected a number, got 'ten'"),
        ({"options": {"masking": "all"}}, "options of deepfake.acmf: masking: .*spatial_signed"),
        ({"per_clip": -1}, "data: per_clip: expected an integer of at least 0, got -1"),
    ],
)
def test_what_the_command_line_cannot_mean(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe_for("acmf", **changes)


def test_what_the_command_line_changes_and_what_it_leaves() -> None:
    before = load_recipe("acmf")

    made = recipe_for("acmf", data="celebdf", data_options={"fps": 5}, options={"epochs": 1}, per_clip=8, seed=9)

    assert (made.data.set, made.data.options, made.data.per_clip, made.seed) == ("celebdf", {"fps": 5}, 8, 9)
    assert made.options == {**before.options, "epochs": 1}
    cut = ("size", "margin", "whole", "turned")
    assert [getattr(made.data, name) for name in cut] == [getattr(before.data, name) for name in cut]
    assert (made.use, made.variant, made.forgeries) == (before.use, before.variant, before.forgeries)
    assert recipe_for("acmf") == before


def test_another_set_does_not_inherit_the_options_of_the_first(tmp_path: Path) -> None:
    """They are for another reader, which would refuse them."""
    file = tmp_path / "made.yaml"
    file.write_text("use: deepfake.acmf\ndata: {set: ff, options: {compression: c40}}")

    assert recipe_for(str(file)).data.options == {"compression": "c40"}
    assert recipe_for(str(file), data="celebdf").data.options == {}


@pytest.mark.parametrize(("seed", "per_clip"), [(0, 0), (5, 3)])
def test_a_zero_is_a_value_too(seed: int, per_clip: int, tmp_path: Path) -> None:
    file = tmp_path / "made.yaml"
    file.write_text("use: deepfake.acmf\nseed: 4\ndata: {set: x, per_clip: 7}")

    made = recipe_for(str(file), seed=seed, per_clip=per_clip)

    assert (made.seed, made.data.per_clip) == (seed, per_clip)


def test_what_is_laid_over_a_file_wins(tmp_path: Path) -> None:
    file = tmp_path / "made.yaml"
    file.write_text("use: deepfake.acmf\ndata: {set: x}\nseed: 1\noptions: {epochs: 2}")

    made = load_recipe(file, {"seed": 3, "options": {}})

    assert (made.seed, made.options, made.name) == (3, {}, "acmf-small")


def test_a_file_comes_before_a_packaged_training_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("acmf").write_text("use: deepfake.acmf\ndata: {set: own}")

    assert load_recipe("acmf").data.set == "own"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 31}, "data: size: expected an integer from 32 to 512, got 31"),
        ({"size": 513}, "data: size: expected an integer from 32 to 512, got 513"),
        ({"margin": 0.5}, "data: margin: expected a number above 0.5 and at most 3, got 0.5"),
        ({"turned": 0}, "data: turned: expected a number above 0, got 0"),
        ({"most": -1}, "data: most: expected an integer of at least 0, got -1"),
        ({"splits": "test"}, "data: splits: expected a list"),
        ({"sise": 3}, "data: sise: unknown; known: set, options, size"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
def test_data_that_cannot_be_meant(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        changed_data(Data(set="x"), changes)


def test_how_crops_are_cut() -> None:
    data = Data(set="x", size=64, margin=1.4, level=False, per_clip=3, whole=True, turned=0.5)

    assert data.cutting == Cutting(size=64, margin=1.4, level=False, per_clip=3, whole=True, turned=0.5)
    assert Data(set="x").cutting == Cutting()


def test_forgeries_are_of_all_kinds_where_none_is_named() -> None:
    assert Forgeries().kinds == list(KINDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": True}, "acmf: epochs: expected a number, got True"),
        ({"batch": 1.5}, "acmf: batch: expected an integer, got 1.5"),
        ({"trunk": 3}, "acmf: trunk: expected a string, got 3"),
        ({"data": "x"}, "options of deepfake.acmf: data: unknown; known: trunk"),
        ({"colour": 1, "size": 64, "shape": 2}, "colour: unknown; known: .*; shape: unknown; known: "),
    ],
    ids=["bool", "fraction", "number", "data", "two unknown"],
)
def test_options_that_a_recipe_does_not_take(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_recipe(Recipe(use="deepfake.acmf", data=Data(set="x"), options=options))


@pytest.mark.parametrize("options", [{"epochs": 1}, {"epochs": 0.5}, {"backbone": "own.h5"}, {"backbone": None}])
def test_options_that_a_recipe_takes(options: dict[str, Any]) -> None:
    check_recipe(Recipe(use="deepfake.acmf", data=Data(set="x"), options=options))


def test_modules_that_a_system_lacks_or_cannot_import(
    twin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "train.py").write_text("import a_library_that_is_not_there")
    monkeypatch.setattr("operators.__path__", [str(tmp_path), *__import__("operators").__path__])

    assert load_module(twin, "train").__name__ == "operators.twin.train"
    with pytest.raises(ConfigError, match=r"deepfake.nobody has no train.py; systems that have: deepfake.acmf, "):
        load_module("deepfake.nobody", "train")
    with pytest.raises(ConfigError, match=r"acmf has no clips.py"):
        load_module("deepfake.acmf", "clips")
    with pytest.raises(ConfigError, match=r"broken needs the package 'a_library_that_is_not_there'; install"):
        load_module("broken", "train")
