"""The map of a key for one crop: signs from a keystream, which nothing but the key and the crop's own marks decide.

The network itself does not care about a few wrong signs. That a key with one wrong bit is another key comes from here:
SHAKE-256 over the key and everything that names the crop, each part with its length before it.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from engines import ConfigError

KEY_BYTES, NONCE_BYTES = 32, 12
DOMAIN = b"facewarden/proface_s/map/v1"
Signs = NDArray[np.int8]


def key_map(stream_key: bytes, *, stream: str, frame: int, track: int, nonce: bytes, side: int) -> Signs:
    """The map `(1, side, side)` of -1 and 1 for a crop.

    Args:
        stream_key: 32 bytes, of one stream and key period.
        stream, frame, track: what the crop is of.
        nonce: 12 bytes, drawn anew for each crop: a map that is used twice is given away by one known face.
        side: of the crop in pixels, even.

    Raises:
        ConfigError: a part is of another length or range. The message never holds the key.

    >>> key_map(bytes(32), stream="s", frame=1, track=2, nonce=bytes(12), side=2).shape
    (1, 2, 2)
    """
    if len(stream_key) != KEY_BYTES:
        raise ConfigError(f"stream key: expected {KEY_BYTES} bytes, got {len(stream_key)}")
    if len(nonce) != NONCE_BYTES:
        raise ConfigError(f"nonce: expected {NONCE_BYTES} bytes, got {len(nonce)}")
    if side < 2 or side % 2:
        raise ConfigError(f"side: expected an even number of pixels, got {side}")
    if not (0 <= frame < 2**64 and -(2**63) <= track < 2**63):
        raise ConfigError(f"frame, track: expected whole numbers of 64 bits, got {frame}, {track}")
    numbers = (frame.to_bytes(8, "big"), track.to_bytes(8, "big", signed=True), side.to_bytes(4, "big"))
    parts = (DOMAIN, stream_key, stream.encode(), *numbers, nonce)
    stream_of_bits = hashlib.shake_256(b"".join(len(part).to_bytes(8, "big") + part for part in parts))
    bits = np.unpackbits(np.frombuffer(stream_of_bits.digest(-(-side * side // 8)), np.uint8), count=side * side)
    return (bits.astype(np.int8) * 2 - 1).reshape(1, side, side)
