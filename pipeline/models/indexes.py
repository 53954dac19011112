"""Where packages are looked for on this machine: as pip and uv are set up, without needing either.

A package's archive is known by its hash, so that it does not matter which of them gives it, nor by which protocol.
"""

from __future__ import annotations

import configparser
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from engines import ConfigError

_SYSTEM = Path("/etc")
PYPI = "https://pypi.org/simple"
_SECTIONS = ("global", "install", "download")
_UV_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")


@dataclass(frozen=True, slots=True)
class PackageIndexes:
    """What is asked for a package.

    Attributes:
        urls: of indexes, the first first; may hold a user name and a password.
        folders: with archives in them.
        certificate: a file with the authorities that are believed; None is the system's.
    """

    urls: tuple[str, ...]
    folders: tuple[Path, ...]
    certificate: str | None = None


def package_indexes() -> PackageIndexes:
    """Those that pip and uv would ask; PyPI where nothing else is said.

    Raises:
        ConfigError: one of their files cannot be read.
    """
    pip, uv = _pip_settings(), _uv_settings()
    first = [pip.get("index-url", ""), *uv["urls"]]
    urls = [url for url in first if url] or [PYPI]
    if pip.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        urls = []
    else:
        urls += pip.get("extra-index-url", "").split()
    places = [*pip.get("find-links", "").split(), *uv["places"]]
    folders = [folder for place in (*places, *urls) if (folder := _folder(place)) is not None]
    remote = [url for url in (*urls, *places) if urlsplit(url).scheme in ("http", "https")]
    return PackageIndexes(tuple(dict.fromkeys(remote)), tuple(dict.fromkeys(folders)), pip.get("cert") or None)


def _folder(place: str) -> Path | None:
    """The folder that a place means; None if it is an address.

    >>> _folder("file:///opt/my%20wheels"), _folder("/opt/wheels"), _folder("https://example.org/simple")
    (PosixPath('/opt/my wheels'), PosixPath('/opt/wheels'), None)
    """
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(place).expanduser() if not parts.scheme else None


def _pip_settings() -> dict[str, str]:
    """What pip's files say, and over them its variables."""
    settings: dict[str, str] = {}
    for file in _pip_files():
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError) as error:
            raise ConfigError(f"{file}: pip's settings cannot be read: {' '.join(str(error).split())}") from error
        for section in _SECTIONS:
            if parser.has_section(section):
                settings.update(parser.items(section))
    prefix = "PIP_"
    variables = {
        name.removeprefix(prefix).lower().replace("_", "-"): value
        for name, value in os.environ.items()
        if name.startswith(prefix)
    }
    return settings | variables


def _pip_files() -> Iterator[Path]:
    if (given := os.environ.get("PIP_CONFIG_FILE")) == os.devnull:
        return
    for folder in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep):
        yield Path(folder) / "pip/pip.conf"
    yield _SYSTEM / "pip.conf"
    for home in _homes():
        yield home / ".pip/pip.conf"
        yield _settings_folder(home) / "pip/pip.conf"
    yield Path(sys.prefix) / "pip.conf"
    if given:
        yield Path(given)


def _uv_settings() -> dict[str, list[str]]:
    """Indexes and other places, from uv's files and variables."""
    urls: list[str] = []
    for variable in _UV_VARIABLES:
        urls += [name.rpartition("=")[2] if "=" in name.partition("://")[0] else name for name in _words(variable)]
    places = _words("UV_FIND_LINKS", ",")
    for file in (*(_settings_folder(home) / "uv/uv.toml" for home in _homes()), _SYSTEM / "uv/uv.toml"):
        said = _toml(file)
        said = {**said, **said.get("pip", {})}
        urls += [index["url"] for index in said.get("index", []) if "url" in index]
        urls += [said["index-url"]] if "index-url" in said else []
        urls += said.get("extra-index-url", [])
        places += said.get("find-links", [])
    return {"urls": urls, "places": places}


def _words(variable: str, separator: str | None = None) -> list[str]:
    return [word.strip() for word in os.environ.get(variable, "").split(separator) if word.strip()]


def _toml(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: uv's settings cannot be read: {error}") from error


def _settings_folder(home: Path) -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")


def _homes() -> list[Path]:
    try:
        return [Path.home()]
    except RuntimeError:  # an account without one
        return []
