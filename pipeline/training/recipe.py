"""What a training is: a system, its data, the forgeries made of it, and the options of its recipe. Reads the YAML.

A recipe is the function `train` in `operators/<role>/<system>/train.py`; its keyword-only parameters are the schema of
`options`. One annotated `Path` names a model of `configs/models.yaml`, or a file.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from pydantic import Field, ValidationError

import operators
from engines import ConfigError
from engines.faults import faults_of
from engines.section import Section
from operators.cutting import Cutting
from operators.forge import KINDS
from operators.options import names_file, options_model, read_options
from pipeline.config import config_folder
from pipeline.models.catalog import file_of, is_file

DEFAULT_VARIANT = "small"


class Data(Section):
    """What is learned from: a set and its reader's options, and how crops are cut (see `Cutting`).

    Attributes:
        splits: only these, all if there are none.
        most: so many clips of each split and kind at most, 0 for all: for tries.
    """

    set: str
    options: dict[str, Any] = Field(default_factory=dict)
    size: int = Field(default=160, ge=32, le=512)
    margin: float = Field(default=1.1, gt=0.5, le=3)
    level: bool = True
    per_clip: int = Field(default=1, ge=0)
    whole: bool = False
    turned: float = Field(default=1.0, gt=0)
    splits: list[str] = Field(default_factory=list)
    most: int = Field(default=0, ge=0)

    @property
    def cutting(self) -> Cutting:
        return Cutting(self.size, self.margin, self.level, self.per_clip, self.whole, self.turned)


class Forgeries(Section):
    """What is made of the genuine crops of a set: the kinds, and how many of each crop."""

    kinds: list[str] = Field(default_factory=lambda: list(KINDS))
    per_real: int = Field(default=2, ge=0)
    seed: int = 0


class Recipe(Section):
    """A whole training.

    Attributes:
        without: kinds of forgery that are made, and kept from the training: to see how it does on what it never saw.
    """

    use: str
    variant: str = DEFAULT_VARIANT
    seed: int = 0
    data: Data
    forgeries: Forgeries | None = None
    without: list[str] = Field(default_factory=list)
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """The system's own name and the variant: that of the recipe's runs."""
        return f"{self.use.split('.')[-1]}-{self.variant}"


def load_recipe(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Reads a file, or a packaged one by its bare name; a system's name alone stands for its `small` one.

    Raises:
        ConfigError: it cannot be read, or says something that cannot be meant.
    """
    folder = config_folder() / "train"
    candidates = [Path(path), folder / f"{path}.yaml", folder / f"{path}-{DEFAULT_VARIANT}.yaml"]
    file = next((each for each in candidates if each.is_file()), None)
    if file is None:
        known = ", ".join(sorted(each.stem for each in folder.glob("*.yaml")))
        raise ConfigError(f"no training {str(path)!r}: give a YAML file, or one of: {known or 'none'}")
    try:
        recipe = Recipe.model_validate({**yaml.safe_load(file.read_text()), **(overrides or {})})
    except (yaml.YAMLError, TypeError) as error:
        raise ConfigError(f"{file}: expected a mapping with use and data ({error})") from error
    except ValidationError as error:
        raise ConfigError(f"{file}: {faults_of(error, Recipe)}") from error
    check_recipe(recipe)
    return recipe


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
    changed["data"] = changed_data(recipe.data, cut)
    if seed is not None:
        changed["seed"] = seed
    recipe = recipe.model_copy(update=changed)
    check_recipe(recipe)
    return recipe


def check_recipe(recipe: Recipe) -> None:
    """Looks at the names and options in a recipe.

    Raises:
        ConfigError: no such system, kind of forgery or option, or an option of another type or value.
    """
    unknown = [kind for kind in (recipe.forgeries.kinds if recipe.forgeries else ()) if kind not in KINDS]
    if unknown:
        raise ConfigError(f"forgeries.kinds: no {', '.join(unknown)}; known: {', '.join(KINDS)}")
    read_options(_train(recipe.use), recipe.options, where=f"options of {recipe.use}")


def load_module(use: str, name: str) -> ModuleType:
    """The module `train` or `operator` of a system.

    Raises:
        ConfigError: there is no such system, or a library that it needs is missing.
    """
    module = f"operators.{use}.{name}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            raise ConfigError(f"{use} has no {name}.py; systems that have: {', '.join(systems())}") from error
        raise ConfigError(f"{use} needs the package {error.name!r}; install facewarden[train]") from error


def systems() -> list[str]:
    """Names of all systems with a recipe."""
    root = Path(operators.__file__).parent
    return sorted(".".join(file.relative_to(root).parts[:-1]) for file in root.rglob("train.py"))


def options_of(recipe: Recipe) -> dict[str, Any]:
    """The recipe's options with models instead of their names.

    Raises:
        ConfigError: a model is not known, or not in the cache.
    """
    named = _named_models(recipe)
    return {name: file_of(value) if name in named else value for name, value in recipe.options.items()}


def options_of_trained(recipe: Recipe) -> dict[str, Any]:
    """The recipe's options but for models: what a network is built by that takes its weights from a training."""
    named = _named_models(recipe)
    return {name: value for name, value in recipe.options.items() if name not in named}


def models_of(recipe: Recipe) -> list[str]:
    """Names of the models that the recipe begins from, sorted; files are none."""
    return sorted(name for name in _named_models(recipe).values() if not is_file(name))


def _train(use: str) -> Callable[..., None]:
    """A system's recipe."""
    return load_module(use, "train").train  # type: ignore[no-any-return]


def _named_models(recipe: Recipe) -> dict[str, str]:
    """Of the options that are models, what they say."""
    fields = options_model(_train(recipe.use)).model_fields
    options = {name: value for name, value in recipe.options.items() if value is not None}
    return {name: str(value) for name, value in options.items() if names_file(fields[name].annotation)}


def changed_data(data: Data, changes: Mapping[str, Any]) -> Data:
    """The data with other values.

    Raises:
        ConfigError: one of them cannot be meant.

    >>> changed_data(Data(set="dfdc", size=160), {"size": 96}).size
    96
    """
    try:
        return Data.model_validate({**data.model_dump(), **changes})
    except ValidationError as error:
        raise ConfigError(f"data: {faults_of(error, Data)}") from error
