"""What this machine can give is told as it is, and a jailed child is held by it."""

from __future__ import annotations

import sys

import pytest

from pipeline.jail import call_filter, landlock, machine, parent
from pipeline.jail.machine import missing, protections, tried


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has everything."""
    monkeypatch.setattr(landlock, "version", lambda: 7)
    monkeypatch.setattr(machine, "filters_calls", lambda: True)
    monkeypatch.setattr(machine, "program", lambda _: b"program")


def in_force() -> dict[str, bool]:
    return {protection.name: protection.in_force for protection in protections()}


@pytest.mark.usefixtures("shut")
def test_where_nothing_is_missing_nothing_is_said() -> None:
    assert set(in_force().values()) == {True}
    assert missing() == ""


@pytest.mark.usefixtures("shut")
@pytest.mark.parametrize(
    ("version", "lacking"),
    [
        (0, {"files", "TCP ports", "signals and local sockets"}),
        (1, {"TCP ports", "signals and local sockets"}),
        (4, {"signals and local sockets"}),
        (6, set()),
    ],
)
def test_an_older_landlock_lacks_what_came_later(
    monkeypatch: pytest.MonkeyPatch, version: int, lacking: set[str]
) -> None:
    monkeypatch.setattr(landlock, "version", lambda: version)

    assert {name for name, found in in_force().items() if not found} == lacking
    assert bool(missing()) is bool(lacking)
    assert "\n" not in missing()


@pytest.mark.usefixtures("shut")
@pytest.mark.parametrize(
    ("name", "found", "sentence"),
    [
        ("program", b"", "system calls: libseccomp or pyseccomp is missing"),
        ("filters_calls", False, "system calls: this kernel runs no filters"),
    ],
)
def test_without_a_filter_it_says_why(monkeypatch: pytest.MonkeyPatch, name: str, found: object, sentence: str) -> None:
    monkeypatch.setattr(machine, name, lambda *_: found)

    assert not in_force()["system calls"]
    assert sentence in missing()


def test_a_library_that_is_not_there_makes_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)

    assert call_filter.program.__wrapped__("closed") == b""


@pytest.mark.skipif(bool(missing()), reason="this machine lacks something")
def test_all_that_is_tried_is_refused() -> None:
    assert set(tried().values()) == {"refused"}


def test_what_is_not_in_force_is_seen_by_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "filters_calls", lambda: False)
    monkeypatch.setattr(landlock, "version", lambda: 0)

    outcomes = tried()

    assert {"read a file", "make a local socket", "signal its parent"} <= {
        deed for deed, outcome in outcomes.items() if outcome == "done"
    }
