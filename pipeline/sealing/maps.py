"""Key maps: which of an image's samples a keyed network flips. Each crop has its own, never seen twice.

That one key bit changes the whole map comes from the key's derivation alone: networks do not see it.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from pipeline.sealing.keys import StreamKeys


def key_map(keys: StreamKeys, side: int, *, epoch: int, index: int, track: int, nonce: bytes) -> NDArray[np.int8]:
    """`(side, side)` of 1 and -1: the keystream of AES-256-CTR under a key for this crop alone.

    Args:
        side: of the crop, in pixels; a multiple of 8.
        nonce: of the crop, from `StreamKeys.next_nonce`; it is stored with it.
    """
    if side <= 0 or side % 8:
        raise ValueError(f"side: expected a multiple of 8, got {side}")
    key = keys.branch("key map", epoch, index, track, nonce)
    stream = Cipher(AES(key), CTR(bytes(16))).encryptor().update(bytes(side * side // 8))
    bits = np.unpackbits(np.frombuffer(stream, np.uint8)).reshape(side, side)
    return bits.astype(np.int8) * 2 - 1
