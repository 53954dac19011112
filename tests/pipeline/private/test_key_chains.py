"""Bytes at rest: each with a key of its own, which is gone for good once it is destroyed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pipeline.private.key_chains import KeyChains, Unreadable, number_of


@pytest.fixture
def chains(tmp_path: Path) -> KeyChains:
    chains = KeyChains(tmp_path / "keys")
    chains.begin("cam")
    return chains


def test_what_was_sealed_is_opened_by_another_process(chains: KeyChains, tmp_path: Path) -> None:
    sealed = [chains.seal("cam", number, b"picture %d" % number) for number in range(5)]

    other = KeyChains(tmp_path / "keys")

    for number in (3, 0, 4, 1, 2):  # in any order
        assert other.open("cam", sealed[number]) == b"picture %d" % number
    assert [number_of(value) for value in sealed] == list(range(5))
    assert not any(b"picture" in value for value in sealed)


def test_what_is_destroyed_stays_so(chains: KeyChains, tmp_path: Path) -> None:
    sealed = [chains.seal("cam", number, b"x") for number in range(6)]
    before = {path: path.read_bytes() for path in (tmp_path / "keys").iterdir()}

    chains.destroy("cam", 4)
    chains.destroy("cam", 2)  # a slower process

    for reader in (chains, KeyChains(tmp_path / "keys")):
        for value in sealed[:4]:
            with pytest.raises(Unreadable, match="the first that is left is 4"):
                reader.open("cam", value)
        assert reader.open("cam", sealed[4]) == b"x"
        assert reader.begin("cam") == 4
    ((path, old),) = before.items()
    assert len(path.read_bytes()) == len(old) and old[8:] not in path.read_bytes()  # in its place


def test_streams_have_chains_of_their_own(chains: KeyChains) -> None:
    chains.begin("dog")

    with pytest.raises(Unreadable, match="not what was sealed"):
        chains.open("dog", chains.seal("cam", 0, b"x"))


DAMAGE = (lambda v: v[:-1], lambda v: v[:20], lambda v: v[:0], lambda v: v[:7] + b"\1" + v[8:])


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told(chains: KeyChains, damage: object) -> None:
    assert callable(damage)
    with pytest.raises(Unreadable):
        chains.open("cam", damage(chains.seal("cam", 0, b"x")))


def test_files_are_their_owners_and_go(chains: KeyChains, tmp_path: Path) -> None:
    chains.begin("dog")
    chains.begin("dog")
    paths = list((tmp_path / "keys").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600} and len(paths) == 2
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700

    chains.drop("dog")
    chains.drop("dog")
    assert len(list((tmp_path / "keys").iterdir())) == 1
    chains.drop_all()
    chains.drop_all()

    assert not (tmp_path / "keys").exists()


def test_a_stream_that_begins_anew_is_read_with_its_new_keys(chains: KeyChains, tmp_path: Path) -> None:
    writer = KeyChains(tmp_path / "keys")
    chains.open("cam", writer.seal("cam", 3, b"old"))
    writer.drop("cam")
    writer.begin("cam")

    assert chains.open("cam", writer.seal("cam", 0, b"new")) == b"new"
    assert chains.open("cam", writer.seal("cam", 5, b"new")) == b"new"
