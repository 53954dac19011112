"""Shares of a master key: any k of n people together have it, fewer learn nothing of it.

Shamir's scheme over GF(2^128) is PyCryptodome's, on each half of the key. It detects nothing by itself: here each
share has a checksum, and what shares give is compared with what was split.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from Crypto.Protocol.SecretSharing import Shamir
from pydantic import Field, ValidationError

from engines import ConfigError
from engines.section import Section
from pipeline.sealing import RecoveryRefused
from pipeline.sealing.keys import KEY_BYTES, MasterKey, joined
from pipeline.sealing.private import create_private, read_private

FEWEST, MOST_SHARES = 2, 32
_HALF = 16
_SHARE_BYTES = 4096


class KeyShare(Section):
    """One share, as it stands in its file."""

    format: Literal["facewarden-share/1"] = "facewarden-share/1"
    set: str = Field(pattern="^[0-9a-f]{32}$", description="Random: shares that were made together.")
    key_id: str = Field(pattern="^[0-9a-f]{8}$", description="Of the key that was split.")
    threshold: int = Field(ge=FEWEST, le=MOST_SHARES, description="So many of them are needed.")
    shares: int = Field(ge=FEWEST, le=MOST_SHARES, description="So many there are.")
    number: int = Field(ge=1, le=MOST_SHARES, description="Which one this is.")
    value: str = Field(pattern="^[0-9a-f]{64}$", repr=False, description="Secret.")
    check: str = Field(pattern="^[0-9a-f]{64}$", description="What the key is recognised by, once it is there again.")
    checksum: str = Field(default="", pattern="^([0-9a-f]{64})?$", description="SHA-256 of all of the above.")

    def summed(self) -> KeyShare:
        """With its checksum."""
        return self.model_copy(update={"checksum": self._sum()})

    @property
    def is_whole(self) -> bool:
        return hmac.compare_digest(self.checksum, self._sum())

    def _sum(self) -> str:
        fields = self.model_dump(exclude={"checksum"})
        return hashlib.sha256(joined(*(part for pair in fields.items() for part in pair))).hexdigest()


def split(master: MasterKey, threshold: int, shares: int) -> list[KeyShare]:
    """Shares of a key, of which so many give it back.

    Raises:
        ConfigError: numbers that cannot be meant.
    """
    if not FEWEST <= threshold <= shares <= MOST_SHARES:
        raise ConfigError(
            f"expected {FEWEST} or more shares to be needed, of at most {MOST_SHARES}; got {threshold} of {shares}"
        )
    set_, secret = secrets.token_hex(16), master.reveal()
    halves = [Shamir.split(threshold, shares, secret[at : at + _HALF]) for at in range(0, KEY_BYTES, _HALF)]
    values = {number: bytes(first) + bytes(second) for (number, first), (_, second) in zip(*halves, strict=True)}
    return [
        KeyShare(
            set=set_, key_id=master.id, threshold=threshold, shares=shares, number=number, value=value.hex(),
            check=_check(set_, secret),
        ).summed()
        for number, value in values.items()
    ]  # fmt: skip


def combine(shares: Sequence[KeyShare]) -> MasterKey:
    """The key that shares were made of.

    Raises:
        RecoveryRefused: they are damaged, of different keys, too few, or do not give the key.
    """
    by_number: dict[int, KeyShare] = {}
    for share in shares:
        if not share.is_whole:
            raise RecoveryRefused(
                f"share {share.number} is damaged: its checksum does not fit; use another copy or share"
            )
        if by_number.setdefault(share.number, share).value != share.value:
            raise RecoveryRefused(f"there are two different shares {share.number}; expected shares of one splitting")
    if len({(share.set, share.key_id, share.threshold, share.check) for share in shares}) > 1:
        raise RecoveryRefused(
            "these shares are of different keys, or of different splittings of one; bring those of one"
        )
    needed = shares[0].threshold if shares else FEWEST
    if len(by_number) < needed:
        raise RecoveryRefused(
            f"{needed} different shares are needed, {len(by_number)} came; bring {needed - len(by_number)} more"
        )
    chosen = list(by_number.values())[:needed]
    points = [(share.number, bytes.fromhex(share.value)) for share in chosen]
    secret = b"".join(
        Shamir.combine([(number, value[at : at + _HALF]) for number, value in points])
        for at in range(0, KEY_BYTES, _HALF)
    )
    if not hmac.compare_digest(_check(chosen[0].set, secret), chosen[0].check):
        raise RecoveryRefused("these shares do not give the key that was split: one of them was changed; try others")
    return MasterKey(secret)


def write_share(share: KeyShare, path: Path) -> None:
    """Writes a new share file.

    Raises:
        ConfigError: there is one, or it cannot be written.
    """
    create_private(path, share.model_dump_json(indent=1).encode() + b"\n")


def read_share(path: Path) -> KeyShare:
    """Reads a share file.

    Raises:
        ConfigError: others may read it, or it is none.
    """
    try:
        return KeyShare.model_validate_json(read_private(path, _SHARE_BYTES))
    except ValidationError:
        raise ConfigError(f"{path}: expected a share that `facewarden keys split` made, undamaged") from None


def _check(set_: str, secret: bytes) -> str:
    return hashlib.sha256(joined("facewarden-share/1", set_, secret)).hexdigest()
