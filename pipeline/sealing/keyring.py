"""A keyring: key periods, each with a random secret that is wrapped under the master key.

What is sealed in a period needs both, so that whoever destroys a period's entry makes its seals unrecoverable for the
holder of the master key too. Entries are overwritten before they make way for a tombstone; copies of the file, such as
backups, have to be destroyed by whoever made them.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field, ValidationError, model_validator

from engines import ConfigError
from engines.section import Section
from pipeline.sealing import NotAuthentic, RecoveryRefused
from pipeline.sealing.keys import KEY_BYTES, NONCE_BYTES, MasterKey, StreamKeys, joined
from pipeline.sealing.private import create_private, locked, opened_private, read_private, replace_private

KEYRING_BYTES = 1 << 20
LONGEST_REASON = 500

Hex = Annotated[str, Field(pattern="^([0-9a-f]{2})*$")]


class KeyPeriod(Section):
    """One period: its wrapped secret, or a tombstone."""

    period: int = Field(ge=1, description="Counts up; a number is never used again.")
    created: str = Field(description="UTC.")
    nonce: Hex = Field(default="", description="Of the wrapping.")
    wrapped: Hex = Field(default="", description="The secret under AES-256-GCM, with the tag; gone once destroyed.")
    destroyed: str = Field(default="", description="UTC; empty while it lives.")
    reason: str = Field(default="", description="Why it was destroyed.")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        lengths = (2 * NONCE_BYTES, 2 * (KEY_BYTES + 16)) if not self.destroyed else (0, 0)
        if (len(self.nonce), len(self.wrapped)) != lengths:
            raise ValueError("expected a wrapped secret, or the time at which it was destroyed")
        return self


class KeyringFile(Section):
    """What a keyring file holds."""

    format: Literal["facewarden-keyring/1"] = "facewarden-keyring/1"
    id: str = Field(pattern="^[0-9a-f]{32}$", description="Random: the salt of all that is derived by way of it.")
    key_id: str = Field(pattern="^[0-9a-f]{8}$", description="Of the master key that it needs.")
    periods: tuple[KeyPeriod, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _counts_up(self) -> Self:
        numbers = [entry.period for entry in self.periods]
        if numbers != sorted(set(numbers)):
            raise ValueError("expected periods that count up")
        return self

    def to_json(self) -> bytes:
        return self.model_dump_json(indent=1, exclude_defaults=False).encode() + b"\n"


class Keyring:
    """A keyring as it stands in its file.

    Attributes:
        path: the file.
        file: what it holds.
    """

    def __init__(self, path: Path, file: KeyringFile) -> None:
        self.path, self.file = path, file

    def __repr__(self) -> str:
        return f"Keyring({str(self.path)!r}, key {self.file.key_id}, {len(self.file.periods)} periods)"

    @property
    def newest(self) -> KeyPeriod:
        """The period that is sealed with.

        Raises:
            RecoveryRefused: it was destroyed.
        """
        return self._living(self.file.periods[-1].period)

    def stream_keys(self, master: MasterKey, stream: str, period: int | None = None) -> StreamKeys:
        """The keys of a stream in a period: to seal with in the newest, to open with in any that lives.

        Raises:
            RecoveryRefused: the master key is another one, or the period was destroyed or never was.
            NotAuthentic: the period's entry was changed.
        """
        self.require(master)
        entry = self.newest if period is None else self._living(period)
        salt = bytes.fromhex(self.file.id)
        root = master.derived("stream", salt=salt, fields=(stream, entry.period), more=self._unwrapped(master, entry))
        return StreamKeys(root, stream=stream, key_id=master.id, keyring=self.file.id, period=entry.period)

    def require(self, master: MasterKey) -> None:
        """Raises RecoveryRefused: the keyring needs another master key."""
        if master.id != self.file.key_id:
            raise RecoveryRefused(f"{self.path}: needs the master key {self.file.key_id}; this is {master.id}")

    def _living(self, period: int) -> KeyPeriod:
        entry = next((each for each in self.file.periods if each.period == period), None)
        if entry is None:
            raise RecoveryRefused(f"{self.path}: has no key period {period}; it belongs to other seals")
        if entry.destroyed:
            raise RecoveryRefused(
                f"{self.path}: key period {period} was destroyed on {entry.destroyed} ({entry.reason}); "
                "nothing that was sealed in it comes back, and new seals need `facewarden keys rotate`"
            )
        return entry

    def _unwrapped(self, master: MasterKey, entry: KeyPeriod) -> bytes:
        cipher, about = _wrapping(master, self.file.id, entry.period, entry.created)
        try:
            return cipher.decrypt(bytes.fromhex(entry.nonce), bytes.fromhex(entry.wrapped), about)
        except InvalidTag:
            raise NotAuthentic(
                f"{self.path}: the entry of key period {entry.period} is not as this key made it"
            ) from None


def new_keyring(path: Path, master: MasterKey) -> Keyring:
    """Writes a new keyring with one period.

    Raises:
        ConfigError: there is such a file, or it cannot be written.
    """
    id_ = secrets.token_hex(16)
    file = KeyringFile(id=id_, key_id=master.id, periods=(_new_period(master, id_, 1),))
    with locked(path):
        create_private(path, file.to_json())
    return Keyring(path, file)


def read_keyring(path: Path) -> Keyring:
    """Reads a keyring file.

    Raises:
        ConfigError: others may read it, or it is none.
    """
    try:
        return Keyring(path, KeyringFile.model_validate_json(read_private(path, KEYRING_BYTES)))
    except ValidationError:
        raise ConfigError(f"{path}: expected a keyring that `facewarden keys new` made") from None


def rotate(path: Path, master: MasterKey) -> Keyring:
    """Begins a new period: from now on it is sealed with that one, and earlier ones only open.

    Raises:
        ConfigError: the file cannot be read or written.
        RecoveryRefused: it needs another master key.
    """
    with locked(path):
        keyring = read_keyring(path)
        keyring.require(master)
        file = keyring.file
        entry = _new_period(master, file.id, file.periods[-1].period + 1)
        return _replaced(path, file.model_copy(update={"periods": (*file.periods, entry)}))


def destroy(path: Path, period: int, reason: str) -> Keyring:
    """Makes all that was sealed in a period unrecoverable. It needs no key.

    Raises:
        ConfigError: the file cannot be read or written, or no reason is given.
        RecoveryRefused: there is no such period any more.
    """
    reason = reason_of(reason)
    with locked(path):
        keyring = read_keyring(path)
        entry = keyring._living(period)
        _overwrite(path, entry)
        grave = KeyPeriod(period=period, created=entry.created, destroyed=now(), reason=reason)
        periods = tuple(grave if each.period == period else each for each in keyring.file.periods)
        return _replaced(path, keyring.file.model_copy(update={"periods": periods}))


def reason_of(text: str) -> str:
    """A reason as it is written down.

    Raises:
        ConfigError: it says nothing, or too much.

    >>> reason_of(" order of the court ")
    'order of the court'
    """
    reason = text.strip().encode(errors="replace").decode()
    if not 0 < len(reason) <= LONGEST_REASON:
        raise ConfigError(f"--reason: expected 1 to {LONGEST_REASON} characters that say why, got {len(reason)}")
    return reason


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _new_period(master: MasterKey, keyring: str, period: int) -> KeyPeriod:
    created, nonce = now(), secrets.token_bytes(NONCE_BYTES)
    cipher, about = _wrapping(master, keyring, period, created)
    wrapped = cipher.encrypt(nonce, secrets.token_bytes(KEY_BYTES), about)
    return KeyPeriod(period=period, created=created, nonce=nonce.hex(), wrapped=wrapped.hex())


def _wrapping(master: MasterKey, keyring: str, period: int, created: str) -> tuple[AESGCM, bytes]:
    """What a period's secret is wrapped with, and what is authenticated with it."""
    cipher = AESGCM(master.derived("wrapping", salt=bytes.fromhex(keyring), fields=()))
    return cipher, joined("facewarden-keyring/1", keyring, master.id, period, created)


def _replaced(path: Path, file: KeyringFile) -> Keyring:
    replace_private(path, file.to_json())
    return Keyring(path, file)


def _overwrite(path: Path, entry: KeyPeriod) -> None:
    """Puts zeros in the place of a wrapped secret, where it lies on the disk: a new file alone would leave the old
    one's blocks. Killed in between, the entry opens nothing, and is destroyed again.
    """
    with opened_private(path, os.O_RDWR) as descriptor:
        content = os.pread(descriptor, KEYRING_BYTES, 0)
        for secret in (entry.wrapped.encode(), entry.nonce.encode()):
            os.pwrite(descriptor, b"0" * len(secret), content.index(secret))
        os.fsync(descriptor)
