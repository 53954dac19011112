"""Bytes at rest that nobody can read any more once they are done with, wherever copies of them lie.

Every value has a key of its own. The keys are a chain: each is made of the one before, and none leads back. A file
holds the first one that is still needed; moving it on destroys all keys before it, and with them what a database, its
write-ahead log or the disk below may keep of those values.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.private.files import create_new

_LINK = struct.Struct(">Q32s")
INDEX = struct.Struct(">Q")
"""What a sealed value begins with: the number of its key."""
_NONCE = 12


class Unreadable(Exception):
    """The key of a sealed value is destroyed, or the value is not what was sealed."""


def next_key(key: bytes) -> bytes:
    """The chain's next key.

    >>> len(next_key(bytes(32))), next_key(bytes(32)) == next_key(bytes(32))
    (32, True)
    """
    return hashlib.sha256(b"next" + key).digest()


class KeyChains:
    """The chains of several streams, a file of mode 0600 each in one folder, shared by the processes that use them. An
    object belongs to one thread.

    Args:
        folder: made where it is missing, with mode 0700.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._at: dict[str, tuple[int, bytes]] = {}

    def begin(self, stream: str) -> int:
        """Makes the stream's chain if there is none; returns the number of its first key that is not destroyed.

        Raises:
            OSError: it cannot be made or read.
        """
        with suppress(FileNotFoundError):
            return self._stored(stream)[0]
        self._folder.mkdir(mode=0o700, exist_ok=True)
        name = f".{secrets.token_hex(8)}"
        with open(create_new(self._folder / name), "wb") as file:  # noqa: PTH123
            file.write(_LINK.pack(0, secrets.token_bytes(32)))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was faster
            os.link(self._folder / name, self._path(stream))
        (self._folder / name).unlink()
        self._at.pop(stream, None)
        return self._stored(stream)[0]

    def seal(self, stream: str, number: int, value: bytes) -> bytes:
        """Encrypts with the key of that number, after `begin`.

        Raises:
            OSError, Unreadable: the key cannot be had.
        """
        head, nonce = INDEX.pack(number), secrets.token_bytes(_NONCE)
        return head + nonce + AESGCM(self._key(stream, number)).encrypt(nonce, value, head)

    def open(self, stream: str, sealed: bytes) -> bytes:
        """What was sealed.

        Raises:
            OSError, Unreadable: the key cannot be had, or is another.
        """
        head, nonce, secret = sealed[: INDEX.size], sealed[INDEX.size :][:_NONCE], sealed[INDEX.size + _NONCE :]
        if len(secret) < 16:
            raise Unreadable(f"{stream}: {len(sealed)} bytes, which are nothing that was sealed")
        number = number_of(sealed)
        for _ in range(2):
            try:
                return AESGCM(self._key(stream, number)).decrypt(nonce, secret, head)
            except InvalidTag:
                self._at.pop(stream, None)  # the stream may have begun anew since
        raise Unreadable(f"{stream}: value {number} is not what was sealed")

    def destroy(self, stream: str, below: int) -> None:
        """Destroys all keys below that number, which must be one that the stream has reached."""
        with suppress(FileNotFoundError), self._locked(stream, fcntl.LOCK_EX) as file:
            number, key = _LINK.unpack(os.pread(file, _LINK.size, 0))
            if number < below:
                while number < below:
                    number, key = number + 1, next_key(key)
                os.pwrite(file, _LINK.pack(number, key), 0)
            at = self._at.get(stream)
            if at is not None and at[0] < number:
                self._at[stream] = number, key

    def drop(self, stream: str) -> None:
        """Destroys the whole chain."""
        self._at.pop(stream, None)
        _shred(self._path(stream))

    def drop_all(self) -> None:
        """Destroys every chain, and removes the folder."""
        self._at.clear()
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                _shred(path)
            self._folder.rmdir()

    def _key(self, stream: str, number: int) -> bytes:
        at, key = self._at.get(stream, (number + 1, b""))
        if at > number:
            at, key = self._stored(stream)
            if at > number:
                raise Unreadable(f"{stream}: the key of value {number} is destroyed, the first that is left is {at}")
        while at < number:
            at, key = at + 1, next_key(key)
        self._at[stream] = at, key
        return hashlib.sha256(b"seal" + key).digest()

    def _stored(self, stream: str) -> tuple[int, bytes]:
        with self._locked(stream, fcntl.LOCK_SH) as file:
            number, key = _LINK.unpack(os.pread(file, _LINK.size, 0))
        return int(number), bytes(key)

    @contextmanager
    def _locked(self, stream: str, kind: int) -> Iterator[int]:
        file = os.open(self._path(stream), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(file, kind)
            yield file
        finally:
            os.close(file)

    def _path(self, stream: str) -> Path:
        return self._folder / hashlib.sha256(stream.encode()).hexdigest()[:32]


def number_of(sealed: bytes) -> int:
    """The number of the key of a sealed value, of which the beginning is enough.

    >>> number_of(bytes([0, 0, 0, 0, 0, 0, 0, 7]) + b"...")
    7
    """
    return int(INDEX.unpack_from(sealed)[0])


def _shred(path: Path) -> None:
    """Overwrites a file before its name goes."""
    with suppress(FileNotFoundError):
        file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.pwrite(file, bytes(os.fstat(file).st_size), 0)
            os.fsync(file)
        finally:
            os.close(file)
        path.unlink(missing_ok=True)
