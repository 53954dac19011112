"""A master key, its keyring and a log, for one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.sealing.journal import Journal, opened_journal
from pipeline.sealing.keyring import Keyring, new_keyring
from pipeline.sealing.keys import MasterKey


@pytest.fixture
def master() -> MasterKey:
    return MasterKey(bytes(range(100, 132)))


@pytest.fixture
def keyring(tmp_path: Path, master: MasterKey) -> Keyring:
    return new_keyring(tmp_path / "keyring", master)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    (tmp_path / "elsewhere").mkdir()
    with opened_journal(tmp_path / "log", tmp_path / "elsewhere/anchor") as opened:
        yield opened
