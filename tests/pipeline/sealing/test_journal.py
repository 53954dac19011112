"""The log of recoveries: whatever is done to it is found, and a killed process is no fault."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines import ConfigError
from pipeline.sealing import NotAuthentic, journal
from pipeline.sealing.journal import Journal, JournalEntry, default_anchor, opened_journal, verify_log

LINES = 5


def entry(number: int) -> JournalEntry:
    return JournalEntry(outcome="recovered", reason=f"reason {number}", tracks=(1,), video_sha256="00" * 32)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """`log` with its anchor `elsewhere/anchor`."""
    (tmp_path / "elsewhere").mkdir()
    for number in range(1, LINES):  # each opened anew, as by commands
        with opened_journal(tmp_path / "log", tmp_path / "elsewhere/anchor") as opened:
            opened.append(entry(number))
    return tmp_path / "log"


def test_who_did_what_and_when(log: Path) -> None:
    entries = [JournalEntry.model_validate_json(line) for line in log.read_bytes().splitlines()]

    assert [each.number for each in entries] == list(range(LINES))
    assert [each.outcome for each in entries] == ["opened", *["recovered"] * 4]
    assert {(each.user, each.uid) for each in entries} == {(getpass.getuser(), os.getuid())}
    assert entries[2].reason == "reason 2" and entries[2].utc.endswith("Z")
    state = verify_log(log)
    assert (state.count, state.head, state.anchor) == (LINES, entries[-1].hash, log.parent / "elsewhere/anchor")
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (log, state.anchor))


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bit_that_is_flipped_is_found(log: Path, data: st.DataObject) -> None:
    whole = log.read_bytes()
    changed = bytearray(whole)
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    log.write_bytes(changed)

    with pytest.raises(NotAuthentic):
        verify_log(log, log.parent / "elsewhere/anchor")
    log.write_bytes(whole)


def edited(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b"reason 2", b"reason 9") for line in lines]


def edited_with_its_hash(lines: list[bytes]) -> list[bytes]:
    changed = JournalEntry.model_validate_json(lines[2]).model_copy(update={"reason": "another"})
    return [*lines[:2], changed.model_copy(update={"hash": changed._sum()}).line(), *lines[3:]]


def last_edited_with_its_hash(lines: list[bytes]) -> list[bytes]:
    changed = JournalEntry.model_validate_json(lines[-1]).model_copy(update={"reason": "another"})
    return [*lines[:-1], changed.model_copy(update={"hash": changed._sum()}).line()]


def spaced(lines: list[bytes]) -> list[bytes]:
    return [json.dumps(json.loads(lines[0])).encode() + b"\n", *lines[1:]]


def added(lines: list[bytes]) -> list[bytes]:
    last = JournalEntry.model_validate_json(lines[-1])
    return [*lines, entry(9).following(LINES, last.hash).line()]


@pytest.mark.parametrize(
    "change",
    [
        edited, edited_with_its_hash, last_edited_with_its_hash, spaced, added,
        lambda lines: lines[:2] + lines[3:], lambda lines: lines[1:], lambda lines: lines[:-1], lambda lines: lines[:1],
        lambda _: [], lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], lambda lines: lines[:2] + lines[1:],
        lambda lines: [*lines, b"\n"], lambda lines: [*lines, b"{"], lambda lines: [*lines[:-1], lines[-1][:-1]],
    ],
    ids=[
        "edited", "edited with its hash", "last edited with its hash", "spaced", "added", "one removed",
        "first removed", "last removed", "all but the first removed", "emptied", "swapped", "doubled", "blank line",
        "begun", "no newline",
    ],
)  # fmt: skip
def test_what_was_done_to_it_is_found(log: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    log.write_bytes(b"".join(change(log.read_bytes().splitlines(keepends=True))))

    with pytest.raises(NotAuthentic):
        verify_log(log, log.parent / "elsewhere/anchor")
    with pytest.raises(NotAuthentic), opened_journal(log, log.parent / "elsewhere/anchor"):
        pass


def test_a_log_that_is_gone_is_not_begun_anew(log: Path) -> None:
    log.unlink()

    with pytest.raises(NotAuthentic, match="is gone, its anchor"), opened_journal(log, log.parent / "elsewhere/anchor"):
        pass


def test_an_anchor_that_is_gone_or_of_another_log(log: Path) -> None:
    other = log.parent / "elsewhere/other"
    with opened_journal(log.parent / "second", other):
        pass
    with pytest.raises(NotAuthentic, match="lines were cut off or added"):
        verify_log(log, other)

    (log.parent / "elsewhere/anchor").unlink()
    with pytest.raises(ConfigError, match="cannot be opened"):
        verify_log(log)
    other.write_text("{}")
    with pytest.raises(ConfigError, match="expected the anchor"):
        verify_log(log, other)


@pytest.mark.parametrize("write", ["nothing", "half a line", "the line", "all but the anchor"])
def test_a_process_that_was_killed_while_it_wrote(log: Path, monkeypatch: pytest.MonkeyPatch, write: str) -> None:
    """First the anchor says what comes, then comes the line, then the anchor says that it is there."""
    real, anchored = journal._write_all, Journal._anchor
    calls = []

    def killed(descriptor: int, data: bytes) -> None:
        real(descriptor, {"nothing": b"", "half a line": data[:40]}.get(write, data))
        raise KeyboardInterrupt

    def killed_later(self: Journal, following: str = "") -> None:
        calls.append(following)
        if not following:
            raise KeyboardInterrupt
        anchored(self, following)

    with pytest.raises(KeyboardInterrupt), opened_journal(log) as opened:
        if write == "all but the anchor":
            monkeypatch.setattr(Journal, "_anchor", killed_later)
        else:
            monkeypatch.setattr(journal, "_write_all", killed)
        opened.append(entry(9))
    monkeypatch.undo()

    reached = LINES + (write in ("the line", "all but the anchor"))
    assert verify_log(log).count == reached
    with opened_journal(log) as again:
        again.append(entry(10))
    assert verify_log(log).count == reached + 1


def test_nobody_else_writes_meanwhile(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.sealing import private

    monkeypatch.setattr(private, "LOCK_WAIT_S", 0.1)
    with opened_journal(log), pytest.raises(ConfigError, match="another process"), opened_journal(log):
        pass


def test_anchors_are_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(ConfigError, match="in another folder"), opened_journal(tmp_path / "log", tmp_path / "anchor"):
        pass

    with opened_journal(tmp_path / "log") as opened:
        assert opened.anchor == default_anchor(tmp_path / "log")
    assert opened.anchor.is_relative_to(tmp_path / "home") and verify_log(tmp_path / "log").count == 1


@pytest.mark.parametrize("reason", ["two\nlines", "\ud800", 'quotes " and \\', "ß€\u2028"])
def test_any_reason_is_one_line(tmp_path: Path, reason: str) -> None:
    with opened_journal(tmp_path / "log", tmp_path / "elsewhere/anchor") as opened:
        opened.append(JournalEntry(outcome="refused").model_copy(update={"reason": reason, "detail": reason}))

    assert verify_log(tmp_path / "log").count == 2


def test_a_log_that_others_may_write(log: Path) -> None:
    log.chmod(0o660)

    with pytest.raises(ConfigError, match="others may read or change it"):
        verify_log(log)
