"""Indexes are those that pip and uv would ask."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.models.indexes import PYPI, PackageIndexes, package_indexes


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An account without any settings."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "etc"))
    monkeypatch.setattr("sys.prefix", str(tmp_path / "venv"))
    monkeypatch.setattr("pipeline.models.indexes._SYSTEM", tmp_path / "system")
    return tmp_path


def written(file: Path, *lines: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines))
    return file


def test_where_nothing_is_said_it_is_pypi() -> None:
    assert package_indexes() == PackageIndexes((PYPI,), ())


@pytest.mark.parametrize(
    ("variables", "urls"),
    [
        ({"PIP_INDEX_URL": "https://a/simple"}, ["https://a/simple"]),
        ({"PIP_EXTRA_INDEX_URL": "https://b https://c"}, [PYPI, "https://b", "https://c"]),
        ({"PIP_INDEX_URL": "https://a", "PIP_NO_INDEX": "1"}, []),
        ({"UV_DEFAULT_INDEX": "https://u"}, ["https://u"]),
        ({"UV_INDEX": "mine=https://u https://v"}, ["https://u", "https://v"]),
        ({"UV_INDEX_URL": "https://u", "PIP_INDEX_URL": "https://a"}, ["https://a", "https://u"]),
        ({"UV_INDEX": "https://u/simple?a=b"}, ["https://u/simple?a=b"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_variables(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], urls: list[str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert list(package_indexes().urls) == urls


def test_files_of_pip_and_what_goes_over_them(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(home / "etc/pip/pip.conf", "[global]", "index-url = https://all", "cert = /all.pem")
    written(home / ".config/pip/pip.conf", "[global]", "index-url = https://me", "[install]", "find-links = /a", " /b")
    written(home / "venv/pip.conf", "[download]", "extra-index-url = https://venv")

    assert package_indexes() == PackageIndexes(("https://me", "https://venv"), (Path("/a"), Path("/b")), "/all.pem")

    named = written(home / "named.conf", "[global]", "index-url = https://named")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(named))
    assert package_indexes().urls[0] == "https://named"
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert package_indexes() == PackageIndexes((PYPI,), ())


def test_files_of_uv(home: Path) -> None:
    written(
        home / ".config/uv/uv.toml",
        'extra-index-url = ["https://more"]', 'find-links = ["/wheels"]', "[[index]]", 'url = "https://first"',
    )  # fmt: skip

    assert package_indexes() == PackageIndexes(("https://first", "https://more"), (Path("/wheels"),))


def test_folders_come_from_addresses_of_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///opt/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "https://links /opt/wheels")

    assert package_indexes() == PackageIndexes((PYPI, "https://links"), (Path("/opt/wheels"), Path("/opt/simple")))


@pytest.mark.parametrize("name", [".config/pip/pip.conf", ".config/uv/uv.toml"])
def test_settings_that_cannot_be_read_are_named(home: Path, name: str) -> None:
    written(home / name, "[global", "index-url")

    with pytest.raises(ConfigError, match=rf"{name}: (pip|uv)'s settings cannot be read"):
        package_indexes()


def test_an_account_without_a_home_has_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)

    assert package_indexes() == PackageIndexes((PYPI,), ())
