"""Third-party models: which there are (`configs/models.yaml`) and where they lie. Nothing here fetches or opens one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, HttpUrl, ValidationError, model_validator

from engines import SUFFIXES, ConfigError
from engines.card import Card, Sha256, read_card, require_card
from engines.files import sha256_of
from engines.section import Section
from pipeline.config import INSTALLED, Step, config_folder


class ModelSource(Section):
    """Where a model's bytes can be had: the maker's `url`, or the `member` of an `archive` of a Python `package`,
    name==version. The archive is known by its hash, so that nothing of another one is ever used."""

    url: HttpUrl | None = None
    package: Annotated[str, Field(pattern=r"^([\w.-]+==[\w.]+)?$")] = ""
    archive: Annotated[str, Field(pattern=r"^([\w.-]+\.(whl|zip|tar\.gz))?$")] = ""
    archive_sha256: Sha256 | Literal[""] = ""
    member: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> ModelSource:
        about_package = [bool(value) for value in (self.package, self.archive, self.archive_sha256, self.member)]
        if any(about_package) != all(about_package) or any(about_package) == (self.url is not None):
            raise ValueError("expected either url, or package with archive, archive_sha256 and member")
        return self

    @property
    def name(self) -> str:
        """Of the package, as indexes call it: `face_models==1.0` is at `face-models`."""
        return re.sub(r"[-_.]+", "-", self.package.partition("==")[0]).lower()

    def __str__(self) -> str:
        return str(self.url or self.package)


class Patch(Section):
    """Bytes to be changed in what a source gives, after it was found to have `sha256`."""

    sha256: Sha256
    at: dict[int, Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$")]]

    def apply(self, content: bytes) -> bytes:
        patched = bytearray(content)
        for offset, new in self.at.items():
            patched[offset : offset + len(new) // 2] = bytes.fromhex(new)
        return bytes(patched)


class Model(Section):
    """One entry of `configs/models.yaml`, which explains the fields."""

    name: str
    file: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    task: str
    licence: str
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]
    training: bool = False
    sources: Annotated[list[ModelSource], Field(min_length=1)]
    patch: Patch | None = None
    card: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _card_is_one(self) -> Model:
        _ = self.full_card
        return self

    @property
    def full_card(self) -> Card:
        """What is laid next to the file: `card` with what the entry itself says."""
        source = ", or ".join(map(str, self.sources)) + (" (patched)" if self.patch else "")
        entry = {"name": self.name, "task": self.task, "licence": self.licence, "sha256": self.sha256, "source": source}
        return Card.model_validate({**entry, **self.card})

    @property
    def path(self) -> Path:
        """Where it lies, or will lie, in the user's cache."""
        return cache_folder() / self.file

    @property
    def present(self) -> bool:
        """It lies there with the right size; whether every byte is right, `verify` says."""
        return self.path.is_file() and self.path.stat().st_size == self.bytes


def cache_folder() -> Path:
    """Where models are kept: FACEWARDEN_CACHE, or `~/.cache/facewarden/models`.

    Raises:
        ConfigError: this account has no home folder, and none is named.
    """
    try:
        return Path(os.environ.get("FACEWARDEN_CACHE") or Path.home() / ".cache/facewarden/models")
    except RuntimeError as error:
        raise ConfigError("no home folder for the models; name one by FACEWARDEN_CACHE") from error


def list_models() -> list[Model]:
    """All known models, in the order of the file."""
    return list(_known(config_folder() / "models.yaml").values())


def is_file(model: str) -> bool:
    """Whether that is a file, not the name of a model.

    >>> is_file("models/yunet.onnx"), is_file("yunet")
    (True, False)
    """
    return "/" in model or Path(model).suffix in SUFFIXES or Path(model).is_file()


def file_of(model: str) -> Path:
    """The file that is meant by a file or a model's name. A relative file that is not here may lie where Facewarden is
    installed: so networks that come with a system are found wherever that is.

    Raises:
        ConfigError: as `find_model`.
    """
    if not is_file(model):
        return find_model(model)
    installed = INSTALLED / model
    return installed if installed.is_file() and not Path(model).exists() else Path(model)


def whole_file_of(model: str) -> Path:
    """As `file_of`, after every byte of the file was compared: a known model's with the list's hash, another's with its
    card, where it has one. Nothing of it is remembered, for a file may change between two looks at it.

    Raises:
        ConfigError: as `find_model`, the file is not the one that the list means, or it is a `.pt2`, which holds code.
        EngineError: the file is not the one that its card describes, or the card is damaged.
    """
    file = file_of(model)
    if file.suffix == ".pt2":
        raise ConfigError(f"{file}: a .pt2 may run code of whoever made it, and is not run on videos; use its .onnx")
    base, _, precision = ("", "", "") if is_file(model) else model.partition(".")
    wanted = pick([base])[0].sha256 if base else ""
    if base and not precision:
        found = sha256_of(file.read_bytes())
    else:
        weights = file.with_suffix(".onnx") if file.suffix == ".plan" else file  # what a plan is built from
        if weights.suffix == ".onnx" and weights.is_file():
            require_card(weights, weights.read_bytes())
        found = read_card(file).made_from if precision else ""
    if found != wanted:
        what = "it to be made from SHA-256" if precision else "SHA-256"
        raise ConfigError(
            f"{file}: expected {what} {wanted}, got {found}; it is damaged or another one, "
            f"and `facewarden models pull {model}` fetches it again"
        )
    return file


def find_model(name: str) -> Path:
    """The file of a model that has been pulled; `centerface.int8` is centerface at another precision.

    Raises:
        ConfigError: no model of that name is known, or it has not been pulled.
    """
    base, _, precision = name.partition(".")
    model = pick([base])[0]
    path = model.path.with_suffix(f".{precision}.onnx") if precision else model.path
    if not (path.is_file() if precision else model.present):
        raise ConfigError(f"{name}: not in {cache_folder()}; `facewarden models pull {name}` fetches it")
    return path


def models_of(steps: Iterable[Step]) -> list[str]:
    """Names of the models that steps need, sorted; files are none.

    >>> models_of([Step(use="detect.yunet", engines={"detector": "yunet", "other": "own/net.onnx"})])
    ['yunet']
    """
    return sorted({model for step in steps for model in step.engines.values() if not is_file(model)})


@cache
def _known(file: Path) -> Mapping[str, Model]:
    try:
        entries = yaml.safe_load(file.read_text())
        return {name: Model(name=name, **entry) for name, entry in entries.items()}
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{file}: {error}") from error


def pick(names: Sequence[str] = ()) -> list[Model]:
    """The models of these names, or all.

    Raises:
        ConfigError: no model of that name is known.
    """
    known = {model.name: model for model in list_models()}
    for name in names:
        if name not in known:
            raise ConfigError(f"no model {name!r}; known: {', '.join(known)}")
    return [known[name] for name in names or known]
