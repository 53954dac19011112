"""Seals of the tier PRO-Face S: not the samples of a face, but a carrier of them under AES-256-GCM.

The carrier looks like the covered face, and gives the face back by the map of a key. So there are two locks: the
cipher, which holds against anybody, and the map, which does not hold against who has the networks (docs/reversible.md).
What comes back is near to the original, and not equal to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from engines import ConfigError
from engines.card import read_card
from operators.arrays import Array
from operators.frame import PIXEL_FORMATS, Picture
from operators.paint.geometry import Box
from operators.reversible.proface_s.carriers import CarrierCodec, open_codec
from operators.reversible.proface_s.keymap import key_map
from operators.reversible.proface_s.obfuscators import STRENGTHS, Obfuscation, Obfuscator, obfuscate
from operators.reversible.proface_s.tiles import cut, join, padded, planes_of, rgb_of, to_square
from pipeline.config import PROTECT, RECOVER
from pipeline.models.catalog import file_of, whole_file_of
from pipeline.sealing import RecoveryRefused
from pipeline.sealing.keys import StreamKeys
from pipeline.sealing.seal import CARRIER, SealedFace, decrypted, encrypted, new_seal, rect_of
from pipeline.wire import Seal

OBFUSCATOR: Obfuscator = "blur"
"""What carriers look like."""
TILE_PX = 128
"""Side of what the networks take."""


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
        height, width = rgb.shape[:2]
        chosen = Obfuscation(OBFUSCATOR, STRENGTHS[OBFUSCATOR].usual)
        cover = obfuscate(to_square(rgb), chosen)[:height, :width]
        faces, covers = (padded(each, TILE_PX).transpose(2, 0, 1) for each in (rgb, cover))
        maps = _map_of(keys, seal, *faces.shape[1:])
        made = self.codec.protect(cut(faces, TILE_PX), cut(covers, TILE_PX), maps)
        seal.scheme, seal.weights = CARRIER, self.weights
        seal.obfuscator, seal.strength, seal.bare = chosen.style, chosen.strength, not made.carries.all()
        carrier = covers if seal.bare else join(made.carriers, *faces.shape[1:])
        return encrypted(keys, seal, list(carrier))

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
        rgb = join(tiles, height, width).transpose(1, 2, 0)[: y2 - y1, : x2 - x1]
        return planes_of(np.ascontiguousarray(rgb), PIXEL_FORMATS[seal.pixel_format])


def open_carrier(keys: StreamKeys, seal: Seal) -> Array:
    """The carrier itself, `(3, h, w)` uint8 RGB with whole tiles: it can be looked at, and shows the cover.

    Raises:
        NotAuthentic: anything of it was changed, or the keys are others.
    """
    return np.stack(decrypted(keys, seal, CARRIER))


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
