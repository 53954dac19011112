"""The folder is the registry: what is in it is found by name, and what is not is refused with what there is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import operators
from engines import ConfigError
from operators import Concludes, LooksAhead, MayRest, Remembers, available, find
from operators.detect.cascade import Cascade
from operators.detect.yunet import YuNet
from operators.detect.zones import Zones
from operators.track import Track

OPERATOR = "class Nothing:\n    def __call__(self, frames):\n        return list(frames)\n\n\nOPERATOR = Nothing\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A second folder of operators; what was imported from it is dropped again."""
    known = set(sys.modules)
    monkeypatch.setattr(operators, "__path__", [*operators.__path__, str(tmp_path)])
    yield tmp_path
    for name in {name for name in sys.modules if name.startswith("operators.")} - known:
        found = getattr(sys.modules[name], "__file__", None)
        if found is not None and Path(found).is_relative_to(tmp_path):
            del sys.modules[name]
            delattr(operators, name.split(".")[1]) if hasattr(operators, name.split(".")[1]) else None


def test_what_is_available() -> None:
    names = available()

    assert names == sorted(names)
    assert {"detect.cascade", "detect.centerface", "detect.zones", "track", "deidentify.cover"} <= set(names)
    assert {"deepfake.acmf", "deepfake.gazeforensics"} <= set(names)  # folders, each with an operator.py
    assert not {"frame", "boxes", "detect", "detect.looks", "detect.pair", "deepfake.acmf.operator"} & set(names)


def test_a_file_and_a_folder_are_found_by_their_name(folder: Path) -> None:
    (folder / "plain.py").write_text(OPERATOR)
    (folder / "system").mkdir()
    (folder / "system" / "__init__.py").touch()
    (folder / "system" / "operator.py").write_text(OPERATOR)

    assert {"plain", "system"} <= set(available())
    assert find("plain").__module__ == "operators.plain"
    assert find("system").__module__ == "operators.system.operator"
    assert find("detect.zones") is Zones


def test_listing_operators_imports_none(folder: Path) -> None:
    (folder / "needy.py").write_text(f"import no_such_library\n\n{OPERATOR}")

    assert "needy" in available()
    assert "operators.needy" not in sys.modules


def test_one_that_lacks_a_library_names_it(folder: Path) -> None:
    (folder / "needy.py").write_text(f"import no_such_library.part\n\n{OPERATOR}")

    with pytest.raises(ConfigError, match="operator 'needy' needs the package 'no_such_library'; install it"):
        find("needy")


@pytest.mark.parametrize("name", ["nothing", "detect.nothing", "nothing.at.all", "frame", "detect", "track.operator"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"no operator '{name}'; known: .*detect\.zones.*track"):
        find(name)


def test_a_mistake_in_an_operator_is_not_taken_for_a_missing_one(folder: Path) -> None:
    (folder / "wrong.py").write_text("raise ValueError('a mistake')\n")

    with pytest.raises(ValueError, match="a mistake"):
        find("wrong")


def test_protocols_are_recognized_by_their_methods() -> None:
    zones, track, yunet = Zones(boxes=[]), Track(), YuNet(lambda **_: {})
    cascade = Cascade(lambda **_: {}, lambda **_: {})

    assert isinstance(track, Remembers) and isinstance(track, LooksAhead)
    assert not isinstance(zones, (Remembers, LooksAhead, MayRest, Concludes))
    assert isinstance(cascade, MayRest) and isinstance(cascade, Remembers)
    assert not isinstance(cascade, LooksAhead)
    assert not isinstance(yunet, (Remembers, MayRest))
