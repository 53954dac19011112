from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from engines import ConfigError
from operators.reversible.proface_s.keymap import key_map

KEY = bytes(range(32))
CROP: dict[str, Any] = {"stream": "cam-1", "frame": 7, "track": 3, "nonce": bytes(range(12)), "side": 128}


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """The share of signs that are the same; a half for unrelated maps."""
    return float((one == other).mean())


@pytest.mark.parametrize(
    ("changed", "digest"),
    [
        ({}, "43a5b4c9924bfd5e"),
        ({"frame": 8}, "7cdecbb1732f0016"),
        ({"stream": "cämera", "track": -1, "side": 2}, "7e6e4364e143b571"),
    ],
)
def test_vectors(changed: dict[str, Any], digest: str) -> None:
    """Maps never change: carriers that were made before would be lost."""
    found = key_map(KEY, **{**CROP, **changed})

    assert hashlib.sha256(found.tobytes()).hexdigest()[:16] == digest


def test_a_map_is_signs_of_a_keystream_that_anybody_can_write_down() -> None:
    parts = [b"facewarden/proface_s/map/v1", KEY, b"cam-1"]
    parts += [number.to_bytes(size, "big") for number, size in ((7, 8), (3, 8), (128, 4))] + [bytes(range(12))]
    content = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    stream = hashlib.shake_256(content).digest(128 * 128 // 8)

    found = key_map(KEY, **CROP)

    assert found.dtype == np.int8 and found.shape == (1, 128, 128)
    assert np.packbits(found.ravel() > 0).tobytes() == stream
    assert abs(found.mean()) < 0.03


@pytest.mark.parametrize("bit", [0, 100, 255])
def test_a_key_with_one_other_bit_is_another_key(bit: int) -> None:
    neighbour = (int.from_bytes(KEY, "big") ^ (1 << bit)).to_bytes(32, "big")

    assert 0.47 < agreement(key_map(KEY, **CROP), key_map(neighbour, **CROP)) < 0.53


@pytest.mark.parametrize(
    "changed",
    [{"stream": "cam-2"}, {"frame": 8}, {"track": 4}, {"nonce": bytes(11) + b"\1"}, {"stream": "cam-1\0"}],
)
def test_every_mark_of_a_crop_gives_a_map_of_its_own(changed: dict[str, Any]) -> None:
    assert 0.47 < agreement(key_map(KEY, **CROP), key_map(KEY, **{**CROP, **changed})) < 0.53


def test_no_two_crops_share_a_keystream_by_their_bounds() -> None:
    """Lengths stand before the parts: what moves from one to the next is another crop."""
    one = key_map(KEY, **{**CROP, "stream": "a" + "\0" * 7, "frame": 1})
    other = key_map(KEY, **{**CROP, "stream": "a", "frame": 1})

    assert agreement(one, other) < 0.53


@pytest.mark.parametrize(
    ("key", "changed", "message"),
    [
        (KEY[:31], {}, "stream key: expected 32 bytes, got 31"),
        (b"", {}, "got 0"),
        (KEY, {"nonce": bytes(8)}, "nonce: expected 12 bytes, got 8"),
        (KEY, {"side": 127}, "even number of pixels, got 127"),
        (KEY, {"side": 0}, "even number of pixels"),
        (KEY, {"frame": -1}, "whole numbers of 64 bits"),
        (KEY, {"track": 2**63}, "whole numbers of 64 bits"),
    ],
)
def test_what_is_no_crop_or_key(key: bytes, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        key_map(key, **{**CROP, **changed})

    assert key.hex() not in str(caught.value) or not key
