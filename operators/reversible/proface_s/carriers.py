"""Faces into 8-bit carriers, and back, with the exported networks; knows no PyTorch and no keys, only their maps.

    codec = open_codec(protect.onnx, recover.onnx)
    made = codec.protect(faces, covers, maps)           # (n, 3, s, s) uint8
    faces = codec.recover(made.carriers, maps, made.digests)

It fails closed: a carrier that does not look like its cover is the cover instead, and carries nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import ConfigError, Engine, FrameError, open_engine
from engines.card import Card, CardMetric, read_card
from operators.fidelity import psnr
from operators.reversible.proface_s.keymap import Signs

LEAST_LIKE_DB = 30.0
"""A carrier less like its cover might show the face."""
GAIN_DB = 1.0
"""So much nearer than the cover may the blind attack come to the face where weights are not private."""

Crops = NDArray[np.uint8]
"""`(n, 3, s, s)`, RGB."""


@dataclass(frozen=True, slots=True, eq=False)
class Carriers:
    """What `protect` made.

    Attributes:
        carriers: `(n, 3, s, s)` uint8, to be kept without loss.
        carries: `(n,)` bool; where not, the carrier is the bare cover.
        digests: SHA-256 of each carrier's bytes, as metadata holds it.
    """

    carriers: Crops
    carries: NDArray[np.bool_]
    digests: tuple[str, ...]


class CarrierCodec:
    """Both directions of one network.

    Args:
        protect: `face, cover (n, 3, s, s), key_map (n, 1, s, s) -> protected`, all in -1..1.
        recover: `protected, key_map -> recovered`.
    """

    def __init__(self, protect: Engine, recover: Engine) -> None:
        self._protect, self._recover = protect, recover

    def protect(self, faces: Crops, covers: Crops, maps: Signs) -> Carriers:
        """Hides faces in their covers, each by its own map `(n, 1, s, s)`.

        Raises:
            FrameError: shapes or types do not fit.
        """
        _check(maps, face=faces, cover=covers)
        if not len(faces):
            return Carriers(faces.copy(), np.zeros(0, bool), ())
        made = self._protect(face=_signed(faces), cover=_signed(covers), key_map=maps.astype(np.float32))["protected"]
        whole = np.isfinite(made).all(axis=(1, 2, 3))
        rounded = eight_bits(np.where(whole[:, None, None, None], made, 0))
        carries = whole & (psnr(_pictures(rounded), _pictures(covers)) >= LEAST_LIKE_DB)
        carriers = np.where(carries[:, None, None, None], rounded, covers)
        return Carriers(carriers, carries, tuple(map(digest_of, carriers)))

    def recover(self, carriers: Crops, maps: Signs, digests: Sequence[str] | None = None) -> Crops:
        """The faces in carriers, by their maps.

        Args:
            digests: of the carriers as they were made; None compares nothing, and a changed carrier gives garbage.

        Raises:
            FrameError: a carrier is not the one that was made; or shapes or types do not fit.
        """
        _check(maps, carrier=carriers)
        if digests is not None:
            known = zip(map(digest_of, carriers), digests, strict=True)
            changed = [row for row, (found, digest) in enumerate(known) if found != digest]
            if changed:
                raise FrameError(
                    f"carriers {changed}: expected the very bytes that were made, got others: not recoverable; "
                    "keep carriers in a lossless format, and do not scale or cut them"
                )
        if not len(carriers):
            return carriers.copy()
        given = self._recover(protected=_signed(carriers), key_map=maps.astype(np.float32))["recovered"]
        return eight_bits(np.nan_to_num(given, nan=0.0))


def open_codec(protect: Path, recover: Path, *, weights_private: bool = False, threads: int = 1) -> CarrierCodec:
    """Opens a pair of networks.

    Args:
        weights_private: the deployment declares that nobody outside has these weights.

    Raises:
        ConfigError: they are not of one training, or their weights would have to be private.
        EngineError: one cannot be opened.
    """
    cards = read_card(protect), read_card(recover)
    require_pair(*cards)
    require_private(cards[1], weights_private=weights_private)
    return CarrierCodec(open_engine(protect, threads=threads), open_engine(recover, threads=threads))


def require_pair(protect: Card, recover: Card) -> None:
    """Refuses two networks of which one does not undo the other.

    Raises:
        ConfigError: their cards name different weights, or none.
    """
    if not protect.weights or protect.weights != recover.weights:
        raise ConfigError(
            f"{protect.name}, {recover.name}: expected two networks of one training, got weights "
            f"{protect.weights[:12] or 'unknown'} and {recover.weights[:12] or 'unknown'}; export both from one run"
        )


def require_private(card: Card, *, weights_private: bool) -> None:
    """Refuses weights by which faces are restored without a key, unless they are declared private.

    Raises:
        ConfigError: with what the blind attack reaches, and the cover itself.
    """
    if weights_private:
        return
    reached = [_upper(card.metrics, name) for name in ("blind_psnr", "blind_psnr_thorough")]
    cover = _value(card.metrics, "attack_floor_psnr")
    known = [each for each in reached if each is not None]
    if not known or cover is None:
        raise ConfigError(
            f"{card.name}: its card does not say what is restored from carriers without a key; measure it "
            "(python -m bench.bench_reversible), or declare weights_private: true"
        )
    if max(known) > cover + GAIN_DB:
        raise ConfigError(
            f"{card.name}: whoever has these weights restores faces without a key ({max(known):.1f} dB, the cover "
            f"alone {cover:.1f} dB); train weights of your own, keep them secret and declare weights_private: true, "
            "or use the escrow tier"
        )


def digest_of(carrier: Crops) -> str:
    """SHA-256 of a carrier's bytes `(3, s, s)`, with its shape.

    >>> digest_of(np.zeros((3, 2, 2), np.uint8))[:16]
    '3ee32b627aaeb6a0'
    """
    return hashlib.sha256(f"{carrier.shape}".encode() + np.ascontiguousarray(carrier).tobytes()).hexdigest()


def eight_bits(signed: NDArray[np.float32]) -> Crops:
    """-1..1 as 8 bits; what is outside is clipped.

    >>> eight_bits(np.array([-1.5, -1.0, 0.0, 1.0], np.float32)).tolist()
    [0, 0, 128, 255]
    """
    return np.asarray(np.rint((np.clip(signed, -1, 1) + 1) * 127.5), np.uint8)


def _signed(crops: Crops) -> NDArray[np.float32]:
    return crops.astype(np.float32) / np.float32(127.5) - 1


def _pictures(crops: Crops) -> Crops:
    return crops.transpose(0, 2, 3, 1)


def _check(maps: Signs, **crops: Crops) -> None:
    """Compares crops with each other and with their maps."""
    first = next(iter(crops.values()))
    for name, each in crops.items():
        square = each.ndim == 4 and each.shape[1] == 3 and each.shape[2] == each.shape[3] and not each.shape[2] % 2
        if each.dtype != np.uint8 or not square or each.shape != first.shape:
            raise FrameError(f"{name}: expected (n, 3, s, s) uint8 with s even, got {each.dtype} {each.shape}")
    n, _, side, _ = first.shape
    if maps.shape != (n, 1, side, side) or not np.isin(maps, (-1, 1)).all():
        raise FrameError(f"key maps: expected ({n}, 1, {side}, {side}) of -1 and 1, got {maps.dtype} {maps.shape}")


def _value(metrics: Mapping[str, Any], name: str) -> float | None:
    found = metrics.get(name)
    return found.value if isinstance(found, CardMetric) else found


def _upper(metrics: Mapping[str, Any], name: str) -> float | None:
    found = metrics.get(name)
    return found.high if isinstance(found, CardMetric) else found
