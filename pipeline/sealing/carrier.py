"""Seals of the tier PRO-Face S: not the samples of a face, but a carrier of them under AES-256-GCM.

The carrier looks like the covered face, and gives the face back by the map of a key. So there are two locks: the
cipher, which holds against anybody, and the map, which does not hold against who has the networks (docs/reversible.md).
What comes back is near to the original, and not equal to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from engines import ConfigError
from engines.card import read_card
from operators.arrays import Array, Image
from operators.fidelity import psnr
from operators.frame import PIXEL_FORMATS, Picture
from operators.paint.geometry import Box
from operators.reversible.proface_s.carriers import CarrierCodec, open_codec
from operators.reversible.proface_s.keymap import key_map
from operators.reversible.proface_s.obfuscators import STRENGTHS, Obfuscation, obfuscate
from operators.reversible.proface_s.tiles import (
    cut,
    enlarged,
    join,
    padded,
    planes_of,
    reduced,
    rgb_of,
    to_square,
)
from pipeline.config import PROTECT, RECOVER
from pipeline.models.catalog import file_of, whole_file_of
from pipeline.sealing import RecoveryRefused
from pipeline.sealing.keys import StreamKeys
from pipeline.sealing.seal import CARRIER, SealedFace, decrypted, encrypted, new_seal, rect_of
from pipeline.wire import Seal

LOOK = Obfuscation("blur", STRENGTHS["blur"].usual)
"""What carriers look like."""
TILE_PX = 128
"""Side of what the networks take."""
ENLARGED, GOOD_DB, MOST_TILES = (1, 2, 3), 36.0, 64
"""Faces with much detail in few pixels do not fit into a carrier of their size: it is enlarged until they come back as
well as this, or would have more tiles."""


@dataclass(frozen=True, slots=True, eq=False)
class _Carrier:
    """A carrier `(3, h, w)` of a face that was enlarged, and the PSNR by which the right key brings it back."""

    pixels: Array
    enlarged: int
    db: float


@dataclass(frozen=True, slots=True)
class CarrierNetworks:
    """A pair of networks that hide faces and give them back.

    Attributes:
        weights: SHA-256 of the weights that both have in common.
    """

    codec: CarrierCodec
    weights: str

    @classmethod
    def open(cls, name: str, *, weights_private: bool) -> Self:
        """Opens a pair, after comparing both files with their cards.

        Args:
            name: what their names begin with, before `_protect.onnx` and `_recover.onnx`.
            weights_private: nobody outside has these weights; needed where they give faces back without a key.

        Raises:
            ConfigError: there is no such pair, or its weights would have to be private.
            EngineError: one cannot be opened.
        """
        return cls(*_opened(name, weights_private))

    def seal_face(self, keys: StreamKeys, picture: Picture, box: Box, face: SealedFace) -> Seal:
        """Seals a carrier of what a picture shows in a box; as `pipeline.sealing.seal.seal_face`.

        Where the networks give no good carrier, the cover alone is sealed and the seal says so: never the face.
        """
        seal, planes = new_seal(keys, picture, box, face)
        rgb = rgb_of(planes, picture.format)
        seal.scheme, seal.weights = CARRIER, self.weights
        seal.obfuscator, seal.strength = LOOK.style, LOOK.strength
        best: _Carrier | None = None
        for times in ENLARGED:
            if best is not None and (best.db >= GOOD_DB or _tiles_of(rgb, times) > MOST_TILES):
                break
            made = self._hidden(keys, seal, rgb, times)
            if made is not None and (best is None or made.db > best.db):
                best = made
        seal.bare = best is None
        seal.enlarged = best.enlarged if best is not None else 1
        return encrypted(keys, seal, list(_cover_of(rgb) if best is None else best.pixels))

    def _hidden(self, keys: StreamKeys, seal: Seal, rgb: Image, times: int) -> _Carrier | None:
        """The carrier of a face that is so many times enlarged; None if it is no good."""
        large = enlarged(rgb, times)
        face, cover = padded(large, TILE_PX).transpose(2, 0, 1), _cover_of(large)
        height, width = cover.shape[1:]
        maps = _map_of(keys, seal, height, width)
        made = self.codec.protect(cut(face, TILE_PX), cut(cover, TILE_PX), maps)
        if not made.carries.all():
            return None
        back = reduced(_picture(self.codec.recover(made.carriers, maps), cover.shape, large.shape), times)
        return _Carrier(join(made.carriers, height, width), times, float(psnr(back[None], rgb[None])[0]))

    def open_seal(self, keys: StreamKeys, seal: Seal) -> list[Array] | None:
        """The samples of Y, U and V inside the seal's box, nearly as they were; None where it carries nothing.

        Raises:
            NotAuthentic: anything of it was changed, or the keys are others.
            RecoveryRefused: it was made with other networks.
        """
        carrier = open_carrier(keys, seal)
        if seal.weights != self.weights:
            raise RecoveryRefused(
                f"frame {seal.index} was sealed with the networks of weights {seal.weights[:12]}, "
                f"these are of {self.weights[:12]}; name them by --networks"
            )
        if seal.bare:
            return None
        height, width = carrier.shape[1:]
        tiles = self.codec.recover(cut(carrier, TILE_PX), _map_of(keys, seal, height, width))
        x1, y1, x2, y2 = rect_of(seal)
        large = (y2 - y1) * seal.enlarged, (x2 - x1) * seal.enlarged
        rgb = reduced(_picture(tiles, carrier.shape, large), seal.enlarged)
        return planes_of(rgb, PIXEL_FORMATS[seal.pixel_format])


def open_carrier(keys: StreamKeys, seal: Seal) -> Array:
    """The carrier itself, `(3, h, w)` uint8 RGB with whole tiles: it can be looked at, and shows the cover.

    Raises:
        NotAuthentic: anything of it was changed, or the keys are others.
    """
    return np.stack(decrypted(keys, seal, CARRIER))


def _cover_of(rgb: Image) -> Array:
    """What the carrier of a crop shall look like, `(3, h, w)` with whole tiles."""
    height, width = rgb.shape[:2]
    return padded(obfuscate(to_square(rgb), LOOK)[:height, :width], TILE_PX).transpose(2, 0, 1)


def _picture(tiles: Array, whole: Sequence[int], shape: Sequence[int]) -> Image:
    """Tiles of `(3, h, w)` as `(h, w, 3)`, without what was padded."""
    joined = join(tiles, *whole[1:]).transpose(1, 2, 0)
    return np.ascontiguousarray(joined[: shape[0], : shape[1]])


def _tiles_of(rgb: Image, times: int) -> int:
    height, width = rgb.shape[:2]
    return int(-(-height * times // TILE_PX) * -(-width * times // TILE_PX))


def _map_of(keys: StreamKeys, seal: Seal, height: int, width: int) -> Array:
    """The map of one crop, as tiles `(n, 1, t, t)`."""
    whole = key_map(
        keys.map_key(seal.salt), stream=seal.stream, frame=seal.index, track=seal.track, nonce=seal.nonce,
        side=max(height, width),
    )  # fmt: skip
    return cut(whole[:, :height, :width], TILE_PX)


@lru_cache(maxsize=2)
def _opened(name: str, weights_private: bool) -> tuple[CarrierCodec, str]:
    """Once a process, for all of its streams."""
    for file in (file_of(name + ending) for ending in (PROTECT, RECOVER)):
        if not file.is_file():
            raise ConfigError(f"{file}: no such network; `facewarden export` writes both of a pair")
    protect, recover = (whole_file_of(name + ending) for ending in (PROTECT, RECOVER))
    return open_codec(protect, recover, weights_private=weights_private), read_card(protect).weights
