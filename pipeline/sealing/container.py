"""`NAME.seal`: the seals of one masked video, in one file beside it. docs/reversible.md describes the format.

Each record carries a SHA-256 over itself and all before it, so that no byte can be changed, left out, put in or moved
without the end noticing; the end is authenticated by a key, so that nobody without it can write another one. Only what
a killed writer left unfinished at the very end may be cut off.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from engines import ConfigError, StreamError
from engines.undo import undone_on_failure
from pipeline.sealing import NotAuthentic, RecoveryRefused
from pipeline.sealing.keys import StreamKeys
from pipeline.sealing.private import OWNER_ONLY, lock, opened_private
from pipeline.sealing.seal import about, parsed
from pipeline.wire import Seal, SealFileEnd, SealFileHead

MAGIC = b"facewarden seals 1\n"
HEAD, SEAL, END = 1, 2, 3
LARGEST_RECORD = 256 << 20
"""Bytes. A picture of 8192x4352 in 4:4:4 and 10 bit is not larger before it is packed."""
_LENGTH = struct.Struct(">IB")
_CHAIN = hashlib.sha256().digest_size

ShownRuns = Sequence[tuple[int, int]]
"""First index and count of each run of frames that a masked video shows, in order."""


class SealEntry(NamedTuple):
    """Where a seal lies in its file, and what it is about."""

    frame: int
    track: int
    epoch: int
    pts: int
    period: int
    box: tuple[int, ...]
    offset: int
    length: int


class _ChainedRecord(NamedTuple):
    kind: int
    payload: bytes
    offset: int
    chain: bytes
    before: bytes


class SealWriter:
    """Appends seals to a file, in order. It may be closed or killed at any time; `resume` goes on.

    Args:
        path: a file that is not there yet.
        head: of the file.

    Attributes:
        count: of the seals in it.

    Raises:
        ConfigError: the file is there already, or cannot be written.
    """

    def __init__(self, path: Path, head: SealFileHead) -> None:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, OWNER_ONLY)
        except FileExistsError as error:
            raise ConfigError(f"{path}: is there already, and is not replaced; name another file") from error
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error
        self._take(path, descriptor, hashlib.sha256(MAGIC).digest(), head.stream)
        self._file.write(MAGIC)
        self._append(HEAD, head.SerializeToString(deterministic=True))

    def _take(self, path: Path, descriptor: int, chain: bytes, stream: str) -> None:
        self.path, self.count = path, 0
        self._file = os.fdopen(descriptor, "r+b")
        self._chain, self._stream = chain, stream
        try:
            lock(self._file.fileno(), path)
        except ConfigError:
            self.close()
            raise

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Goes on with a file whose writer was killed: what it left unfinished at the end is cut off.

        Seals are to be added from the one numbered `count` on.

        Raises:
            RecoveryRefused: the file is finished.
            NotAuthentic: it was changed.
            ConfigError: it cannot be opened, or somebody else writes it.
        """
        with opened_private(path, os.O_RDWR) as opened:
            descriptor = os.dup(opened)
        writer = cls.__new__(cls)
        writer._take(path, descriptor, b"", "")
        with undone_on_failure(writer.close):
            writer._recover()
        return writer

    def _recover(self) -> None:
        end = 0
        for record in _records(self._file, self.path, torn=True):
            if record.kind == END:
                raise RecoveryRefused(f"{self.path}: is finished; nothing is added to it")
            if record.kind == HEAD:
                self._stream = parsed(SealFileHead, record.payload).stream
            self.count += record.kind == SEAL
            self._chain = record.chain
            end = record.offset + _LENGTH.size + len(record.payload) + _CHAIN
        if not end:
            raise NotAuthentic(f"{self.path}: ends before it begins; remove it and write it anew")
        self._file.truncate(end)
        self._file.seek(end)

    def add(self, seal: Seal) -> None:
        """Appends a seal of this file's stream.

        Raises:
            StreamError: it is of another stream, or cannot be written.
        """
        if seal.stream != self._stream:
            raise StreamError(f"{self.path}: holds seals of {self._stream}, got one of {seal.stream}")
        self._append(SEAL, seal.SerializeToString(deterministic=True))
        self.count += 1

    def flush(self) -> None:
        """Brings all to the disk."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StreamError(f"{self.path}: cannot be written ({error.strerror})") from error

    def finish(self, keys: StreamKeys, video: Path, shown: ShownRuns) -> None:
        """Closes the file for good, once the masked video is done.

        Args:
            keys: of the stream, in a period that shall be needed to open any seal in it: the newest.
            video: the masked video.
            shown: which frames it shows.
        """
        end = SealFileEnd(
            count=self.count, video_sha256=sha256_of_file(video), shown=[number for run in shown for number in run],
            key_id=keys.key_id, keyring=keys.keyring, period=keys.period,
        )  # fmt: skip
        end.mac = _mac(keys, self._chain, end)
        self._append(END, end.SerializeToString(deterministic=True))
        self.flush()
        self.close()

    def close(self) -> None:
        """Leaves off; what was added stays."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, kind: int, payload: bytes) -> None:
        if len(payload) > LARGEST_RECORD:
            raise StreamError(f"{self.path}: a record of {len(payload)} bytes; at most {LARGEST_RECORD} are written")
        head = _LENGTH.pack(len(payload), kind)
        self._chain = hashlib.sha256(self._chain + head + payload).digest()
        try:
            self._file.write(head + payload + self._chain)
        except OSError as error:
            raise StreamError(f"{self.path}: cannot be written ({error.strerror})") from error


@dataclass(frozen=True, eq=False)
class SealFile:
    """A finished file, gone through once from end to end.

    Attributes:
        path: of it.
        head: what it says it is.
        end: what it was closed with.
        entries: its seals, in order.
    """

    path: Path
    head: SealFileHead
    end: SealFileEnd
    entries: tuple[SealEntry, ...]
    _file: BinaryIO
    _before_end: bytes

    @property
    def shown(self) -> list[tuple[int, int]]:
        """First index and count of each run of frames that its video shows."""
        return list(zip(self.end.shown[::2], self.end.shown[1::2], strict=True))

    def require(self, keys: StreamKeys, video_sha256: bytes) -> None:
        """Compares the file with the keys' MAC and with the video.

        Args:
            keys: of the stream, in the period that `end` names.

        Raises:
            NotAuthentic: it was changed, its keys are others, or it belongs to another video.
        """
        if not hmac.compare_digest(self.end.mac, _mac(keys, self._before_end, self.end)):
            raise NotAuthentic(f"{self.path}: is not authentic: it was changed, or the key is another one")
        if not hmac.compare_digest(self.end.video_sha256, video_sha256):
            raise NotAuthentic(
                f"{self.path}: belongs to another video, or the video was changed since; "
                "expected the file that was written together with it"
            )

    def read(self, entry: SealEntry) -> Seal:
        """The seal of an entry.

        Raises:
            NotAuthentic: it is another one by now.
        """
        self._file.seek(entry.offset)
        seal = parsed(Seal, self._file.read(entry.length))
        if _entry(seal, entry.offset, entry.length) != entry:
            raise NotAuthentic(f"{self.path}: was changed while it was read")
        return seal

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_seals(path: Path) -> SealFile:
    """Opens a finished file of seals, after following its chain from end to end.

    Raises:
        ConfigError: it cannot be read.
        NotAuthentic: it is none, is cut off, or was changed.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected the video's file of seals") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ConfigError(f"{path}: expected a file of seals; this is something else")
    file = os.fdopen(descriptor, "rb")
    with undone_on_failure(file.close):
        return _gone_through(file, path)


def sha256_of_file(path: Path) -> bytes:
    """Of its content.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error


def _gone_through(file: BinaryIO, path: Path) -> SealFile:
    head, end, before_end = None, None, b""
    entries: list[SealEntry] = []
    for number, record in enumerate(_records(file, path, torn=False)):
        if end is not None or (record.kind == HEAD) != (number == 0):
            raise NotAuthentic(f"{path}: its records are not in order; it was changed")
        if record.kind == HEAD:
            head = parsed(SealFileHead, record.payload)
        elif record.kind == SEAL:
            seal = parsed(Seal, record.payload)
            entries.append(_entry(seal, record.offset + _LENGTH.size, len(record.payload)))
        elif record.kind == END:
            end, before_end = parsed(SealFileEnd, record.payload), record.before
        else:
            raise NotAuthentic(f"{path}: has a record of an unknown kind; it was changed")
    if head is None or end is None:
        raise NotAuthentic(f"{path}: ends too early: it was cut off, or its writer has not finished it")
    if end.count != len(entries) or len(end.shown) % 2:
        raise NotAuthentic(f"{path}: holds {len(entries)} seals, its end speaks of {end.count}; it was changed")
    return SealFile(path, head, end, tuple(entries), file, before_end)


def _records(file: BinaryIO, path: Path, *, torn: bool) -> Iterator[_ChainedRecord]:
    """Records in order, each compared with its chain.

    Args:
        torn: an unfinished one at the end is no fault.
    """
    changed = NotAuthentic(f"{path}: was changed, or is damaged; expected a file of seals as it was written")
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        raise NotAuthentic(f"{path}: is no file of seals")
    chain, offset = hashlib.sha256(MAGIC).digest(), len(MAGIC)
    while offset < size:
        head = file.read(_LENGTH.size)
        left = size - offset - _LENGTH.size - _CHAIN
        length, kind = _LENGTH.unpack(head) if len(head) == _LENGTH.size else (0, 0)
        if left < length or kind == 0:
            if torn and (left < length or not any(head + file.read())):
                return
            cut = NotAuthentic(f"{path}: ends too early: it was cut off, or its writer has not finished it")
            raise cut if left < length else changed
        if length > LARGEST_RECORD:
            raise changed
        payload, said = file.read(length), file.read(_CHAIN)
        before, chain = chain, hashlib.sha256(chain + head + payload).digest()
        if not hmac.compare_digest(said, chain):
            raise changed
        yield _ChainedRecord(kind, payload, offset, chain, before)
        offset += _LENGTH.size + length + _CHAIN
        file.seek(offset)  # whoever takes records may have read elsewhere


def _entry(seal: Seal, offset: int, length: int) -> SealEntry:
    return SealEntry(seal.index, seal.track, seal.epoch, seal.pts, seal.period, tuple(seal.box), offset, length)


def _mac(keys: StreamKeys, chain: bytes, end: SealFileEnd) -> bytes:
    return keys.mac("seal file", chain, about(end))
