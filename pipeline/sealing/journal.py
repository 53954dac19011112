"""The log of recoveries and refusals: JSON lines, each with a SHA-256 over itself and the line before.

The chain shows edits, deletions and moved lines. That the end was cut off only something outside of the file can show:
the anchor, a second file that holds how many lines there are and the hash of the last.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from engines import ConfigError
from engines.section import Section
from pipeline.sealing import NotAuthentic
from pipeline.sealing.keyring import now
from pipeline.sealing.private import create_private, lock, locked, opened_private, read_private, replace_private

FORMAT = "facewarden-recoveries/1"
BEGINNING = hashlib.sha256(FORMAT.encode()).hexdigest()
LONGEST_LOG = 1 << 30
_ANCHOR_BYTES = 4096

Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
RecoveryOutcome = Literal["opened", "recovered", "refused", "interrupted"]


class JournalEntry(Section):
    """One line."""

    format: Literal["facewarden-recoveries/1"] = "facewarden-recoveries/1"
    number: int = Field(default=0, ge=0, description="Counts up from 0, which opens the log.")
    utc: str = Field(default="", description="When it was written.")
    user: str = Field(default="", description="Name of the user of the operating system.")
    uid: int = Field(default=0, description="Number of that user.")
    outcome: RecoveryOutcome = Field(description="`opened`: the log begins.")
    reason: str = Field(default="", description="Why the user asked.")
    detail: str = Field(default="", description="Of a refusal: why. Of the first line: where the anchor is.")
    video_sha256: str = Field(default="", description="Of the masked video.")
    output_sha256: str = Field(default="", description="Of what was recovered.")
    key_id: str = Field(default="", description="Of the key that was used.")
    tracks: tuple[int, ...] | None = Field(default=None, description="Those that were asked for; null for all.")
    from_s: float | None = Field(default=None, description="The span that was asked for; null for no limit.")
    to_s: float | None = None
    faces: int = Field(default=0, description="So many boxes were put back.")
    before: Hash = Field(default=BEGINNING, description="`hash` of the line before.")
    hash: str = Field(default="", description="SHA-256 of the line without it.")

    def following(self, number: int, before: str) -> JournalEntry:
        """As it is written into a log with so many lines, of which the last has that hash."""
        name, uid = _user()
        said = {"reason": _text(self.reason), "detail": _text(self.detail)}
        about = {"number": number, "utc": now(), "user": name, "uid": uid, "before": before}
        entry = self.model_copy(update=about | said)
        return entry.model_copy(update={"hash": entry._sum()})

    @property
    def is_whole(self) -> bool:
        return self.hash == self._sum()

    def line(self) -> bytes:
        return _canonical(self.model_dump(mode="json")) + b"\n"

    def _sum(self) -> str:
        return hashlib.sha256(_canonical(self.model_dump(mode="json", exclude={"hash"}))).hexdigest()


class Anchor(Section):
    """What is kept of a log outside of it.

    Attributes:
        following: the hash of a line that was about to be written: it may be there or not.
    """

    format: Literal["facewarden-anchor/1"] = "facewarden-anchor/1"
    log: str = Field(description="Which log it is of.")
    count: int = Field(ge=1, description="So many lines it has.")
    head: Hash = Field(description="`hash` of the last.")
    following: str = Field(default="", pattern="^([0-9a-f]{64})?$", description="Of a line that is being written.")


class Journal:
    """A log that is opened to be written to. Only while `opened_journal` holds it.

    Attributes:
        path: of the log.
        anchor: of its anchor.
        count, head: how many lines it has, and the hash of the last.
    """

    def __init__(self, path: Path, anchor: Path, descriptor: int, count: int, head: str) -> None:
        self.path, self.anchor, self.count, self.head = path, anchor, count, head
        self._descriptor = descriptor

    def append(self, entry: JournalEntry) -> JournalEntry:
        """Writes a line: to the disk, and into the anchor, before it returns.

        Args:
            entry: what is to be said; number, time, user and chain are filled in.

        Raises:
            ConfigError: it cannot be written.
        """
        written = entry.following(self.count, self.head)
        with locked(self.anchor):
            # First what is about to come: killed between the two writes, neither state is a fault.
            self._anchor(following=written.hash)
            try:
                _write_all(self._descriptor, written.line())
            except OSError as error:
                raise ConfigError(f"{self.path}: cannot be written ({error.strerror})") from error
            self.count, self.head = self.count + 1, written.hash
            self._anchor()
        return written

    def _anchor(self, following: str = "") -> None:
        anchor = Anchor(log=_text(str(self.path)), count=self.count, head=self.head, following=following)
        replace_private(self.anchor, anchor.model_dump_json(indent=1).encode() + b"\n")


@contextlib.contextmanager
def opened_journal(path: Path, anchor: Path | None = None) -> Iterator[Journal]:
    """The log, verified and locked; a new one where there is none.

    Args:
        anchor: where its anchor is; None for where its first line says, or, of a new one, `default_anchor`.

    Raises:
        NotAuthentic: it was changed, or is gone although its anchor is there.
        ConfigError: it or its anchor cannot be read or written.
    """
    path = path.absolute()
    if not path.exists() and not path.is_symlink():
        _begin(path, (anchor or default_anchor(path)).absolute())
    with opened_private(path, os.O_RDWR | os.O_APPEND) as descriptor:
        lock(descriptor, path)
        found = verify_log(path, anchor)
        _drop_unfinished(descriptor, found)
        yield Journal(path, found.anchor, descriptor, found.count, found.head)


class LogState(Section):
    """A log that is whole.

    Attributes:
        anchor: the file that vouches for its end.
        torn: bytes of a line at the end that a killed process did not finish.
    """

    anchor: Path
    count: int
    head: str
    torn: int = 0


def verify_log(path: Path, anchor: Path | None = None) -> LogState:
    """Follows a log from its first line to its last, and compares the end with its anchor.

    Args:
        anchor: a file elsewhere; None for the one that the first line names.

    Raises:
        NotAuthentic: it was edited, cut off, or has lines missing, moved or put in; the sentence says where.
        ConfigError: it or its anchor cannot be read.
    """
    content = read_private(path, LONGEST_LOG)
    *lines, rest = content.split(b"\n")
    head, where = BEGINNING, anchor
    for number, line in enumerate(lines):
        entry = _entry_of(path, number, line, head)
        head = entry.hash
        if number == 0 and where is None:
            where = Path(entry.detail)
    if where is None or not lines:
        raise NotAuthentic(f"{path}: has no first line: it was cut off, or is no log of recoveries")
    known = _read_anchor(where)
    vouched = {(known.count, known.head), (known.count + 1, known.following or known.head)}
    if (len(lines), head) not in vouched or (rest and not known.following):
        raise NotAuthentic(
            f"{path}: has {len(lines)} lines and ends with {head[:16]}, its anchor {where} says {known.count} and "
            f"{known.head[:16]}: lines were cut off or added at the end"
        )
    return LogState(anchor=where, count=len(lines), head=head, torn=len(rest))


def default_anchor(path: Path) -> Path:
    """Where the anchor of a log is kept if nobody says: in the user's own folder, whatever folder the log is in."""
    name = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
    return Path.home() / ".local/state/facewarden" / f"{name}.anchor"


def _begin(path: Path, anchor: Path) -> None:
    if anchor.exists():
        raise NotAuthentic(f"{path}: is gone, its anchor {anchor} knows of it; bring the log back, or name another one")
    if anchor.parent == path.parent:
        raise ConfigError(
            f"--anchor {anchor}: expected a file in another folder than the log's, better of another machine"
        )
    first = JournalEntry(outcome="opened", detail=_text(str(anchor))).following(0, BEGINNING)
    try:
        anchor.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"{anchor.parent}: cannot be made ({error.strerror}); name a file by --anchor") from error
    create_private(path, first.line())
    made = Anchor(log=_text(str(path)), count=1, head=first.hash)
    create_private(anchor, made.model_dump_json(indent=1).encode() + b"\n")


def _entry_of(path: Path, number: int, line: bytes, before: str) -> JournalEntry:
    where = f"{path}, line {number + 1}"
    try:
        entry = JournalEntry.model_validate_json(line)
    except ValidationError:
        raise NotAuthentic(f"{where}: is no line of a log of recoveries; it was changed") from None
    if not entry.is_whole or entry.line() != line + b"\n":
        raise NotAuthentic(f"{where}: was edited")
    if entry.number != number or entry.before != before:
        raise NotAuthentic(f"{where}: does not follow the line before: lines were removed, put in or moved")
    return entry


def _read_anchor(path: Path) -> Anchor:
    try:
        return Anchor.model_validate_json(read_private(path, _ANCHOR_BYTES))
    except ValidationError:
        raise ConfigError(f"{path}: expected the anchor of a log of recoveries") from None


def _drop_unfinished(descriptor: int, state: LogState) -> None:
    """Cuts off what a killed process wrote of a line that its anchor still calls unwritten."""
    if state.torn:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - state.torn)
        os.fsync(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def _user() -> tuple[str, int]:
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name, uid
    except KeyError:
        return "", uid


def _text(words: str) -> str:
    """What can be written as UTF-8: the names of files need not be."""
    return words.encode(errors="replace").decode()


def _canonical(fields: dict[str, object]) -> bytes:
    """One line of ASCII: a reader sees every character."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
