"""The master key, and what is derived from it. Neither is ever shown, copied or sent: a key's id stands for it.

All derivation is HKDF-SHA256 (RFC 5869). A stream's keys need the master key and the secret of a key period, so that
either of them alone opens nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools
import os
import secrets
import shlex
import signal
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from engines import ConfigError
from pipeline.sealing.private import create_private, read_private

KEY_BYTES = SALT_BYTES = 32
NONCE_BYTES = 12
COMMAND_TIMEOUT_S = 30.0
LONGEST_ANSWER = 4096
MOST_SEALS = 1 << 32
"""With one salt: then a new one is drawn."""
_DOMAIN = b"facewarden v1 "
EXPECTED = "expected 64 hexadecimal digits, and nothing else"


def hkdf_sha256(secret: bytes, *, salt: bytes, info: bytes, length: int = KEY_BYTES) -> bytes:
    """So many bytes of RFC 5869's function: extract, then expand.

    >>> hkdf_sha256(bytes([11] * 22), salt=bytes(range(13)), info=bytes(range(240, 250)), length=4).hex()
    '3cb25f25'
    """
    return HKDF(SHA256(), length, salt, info).derive(secret)


def joined(*fields: str | int | bytes) -> bytes:
    """Fields as bytes of which no two different lists give the same: each is preceded by its length.

    >>> joined("a", 1) == joined("a1"), joined(b"ab").hex()
    (False, '000000026162')
    """
    parts = [field if isinstance(field, bytes) else str(field).encode() for field in fields]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _refuse(self: object, _: object = None) -> NoReturn:
    raise TypeError(f"a {type(self).__name__} is not copied, pickled or sent; read the key where it is needed")


class MasterKey:
    """32 secret bytes. What is printed of it is `id`, which says nothing about them.

    Raises:
        ValueError: other than 32 bytes.
    """

    __slots__ = ("_secret", "id")
    __reduce_ex__ = _refuse

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a master key has {KEY_BYTES} bytes")
        self._secret = secret
        self.id = hashlib.sha256(_DOMAIN + b"key id" + secret).hexdigest()[:8]

    def __repr__(self) -> str:
        return f"MasterKey({self.id})"

    @classmethod
    def new(cls) -> Self:
        """A key that never was."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def reveal(self) -> bytes:
        """The secret itself: for splitting it and writing it down, and nothing else."""
        return self._secret

    def derived(self, branch: str, *, salt: bytes, fields: tuple[str | int | bytes, ...], more: bytes = b"") -> bytes:
        """32 bytes for one purpose, of this secret and, where given, of another 32 bytes."""
        return hkdf_sha256(self._secret + more, salt=salt, info=_DOMAIN + joined(branch, *fields))

    def write(self, path: Path) -> None:
        """Writes a new key file.

        Raises:
            ConfigError: there is one, or it cannot be written.
        """
        create_private(path, f"{self._secret.hex()}\n".encode())


def key_from_file(path: Path) -> MasterKey:
    """Reads a key file.

    Raises:
        ConfigError: others may read it, or it holds no key.
    """
    return _expect(_parsed(read_private(path, LONGEST_ANSWER)), str(path))


def key_from_environment(name: str) -> MasterKey:
    """Takes a key out of the environment, so that no child of this process inherits it.

    Raises:
        ConfigError: there is none.
    """
    if name not in os.environ:
        raise ConfigError(f"{name}: no such environment variable; expected one that holds a master key")
    return _expect(_parsed(os.environ.pop(name).encode()), f"environment variable {name}")


def key_from_command(command: str, timeout_s: float = COMMAND_TIMEOUT_S) -> MasterKey:
    """Runs a program, such as a secret store's, that prints the key. No shell reads the line, and no input comes.

    Raises:
        ConfigError: it cannot be run, fails, prints no key, or takes longer than that.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"--key-command: expected a command line ({error})") from None
    if not words:
        raise ConfigError("--key-command: expected a command line, got an empty one")
    name = words[0]
    with _started(words) as process:
        try:
            return _expect(_answer(process, name, timeout_s), f"--key-command {name}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its children too, if it left any


@contextlib.contextmanager
def _started(words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, close_fds=True
        )
    except OSError as error:
        raise ConfigError(f"--key-command {words[0]}: cannot be run ({error.strerror})") from None
    with process:
        yield process


def _answer(process: subprocess.Popen[bytes], name: str, timeout_s: float) -> MasterKey | None:
    """The key that a program prints, None if it prints something else. Its answer is not in any error."""
    expired = False
    try:
        said, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        expired = True
    if expired:
        raise ConfigError(f"--key-command {name}: took longer than {timeout_s:g} s, and was ended")
    if process.returncode:
        raise ConfigError(f"--key-command {name}: failed with exit code {process.returncode}")
    return _parsed(said)


def _parsed(text: bytes) -> MasterKey | None:
    """None for what is no key: whoever complains about it does not have it in reach."""
    digits = text.strip()
    if len(digits) != 2 * KEY_BYTES or not set(digits) <= set(string.hexdigits.encode()):
        return None
    return MasterKey(bytes.fromhex(digits.decode()))


def _expect(key: MasterKey | None, where: str) -> MasterKey:
    if key is None:
        raise ConfigError(f"{where}: {EXPECTED}")
    return key


class StreamKeys:
    """The keys of one stream in one key period: for encryption, for key maps, and for authentication.

    Args:
        root: 32 bytes that all three are derived from.
        stream: the stream's name.
        key_id: of the master key.
        keyring: the keyring's id.
        period: the key period.
    """

    __slots__ = ("_authentication", "_root", "_run", "key_id", "keyring", "period", "stream")
    __reduce_ex__ = _refuse

    def __init__(self, root: bytes, *, stream: str, key_id: str, keyring: str, period: int) -> None:
        self.stream, self.key_id, self.keyring, self.period = stream, key_id, keyring, period
        self._root = root
        self._authentication = self.branch("authentication")
        self._run = _SealingRun()

    def __repr__(self) -> str:
        return f"StreamKeys({self.stream!r}, key {self.key_id}, period {self.period})"

    def branch(self, name: str, *fields: str | int | bytes) -> bytes:
        """32 bytes for one purpose."""
        return HKDFExpand(SHA256(), KEY_BYTES, _DOMAIN + joined(name, *fields)).derive(self._root)

    def cipher(self, salt: bytes) -> AESGCM:
        """What seals with that salt are encrypted with."""
        return AESGCM(self.branch("encryption", salt))

    def map_key(self, salt: bytes) -> bytes:
        """32 bytes that the key maps of seals with that salt are made of; each has a nonce of its own."""
        return self.branch("key map", salt)

    def mac(self, *fields: str | int | bytes) -> bytes:
        """HMAC-SHA-256 over the fields, by the key for authentication."""
        return hmac.digest(self._authentication, joined(*fields), "sha256")

    def next_nonce(self) -> tuple[bytes, bytes]:
        """Salt and nonce for one seal; no two are alike.

        Nonces count up from a random one. The salt, and with it the key, is another one in each process: a worker that
        was killed and begins again, or that forked, never uses a nonce twice with one key.
        """
        while (made := self._run.next_nonce()) is None:
            self._run = _SealingRun()
        return made


class _SealingRun:
    """One process that seals with one salt."""

    __slots__ = ("_count", "_first", "_process", "_salt")

    def __init__(self) -> None:
        self._process, self._salt = os.getpid(), secrets.token_bytes(SALT_BYTES)
        self._first, self._count = secrets.randbits(8 * NONCE_BYTES), itertools.count()

    def next_nonce(self) -> tuple[bytes, bytes] | None:
        number = next(self._count)  # one step for whichever thread comes first
        if self._process != os.getpid() or number >= MOST_SEALS:
            return None
        nonce = (self._first + number) % (1 << 8 * NONCE_BYTES)
        return self._salt, nonce.to_bytes(NONCE_BYTES, "big")
