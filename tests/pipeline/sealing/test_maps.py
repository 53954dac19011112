"""Key maps: balanced, of one crop only, and quite another for one bit of the key."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.sealing.keyring import Keyring
from pipeline.sealing.keys import MasterKey, StreamKeys
from pipeline.sealing.maps import key_map

NONCE = bytes(12)


def keys_of(root: bytes) -> StreamKeys:
    return StreamKeys(root, stream="cam", key_id="00000000", keyring="aa" * 16, period=1)


def test_a_map_is_the_same_for_whoever_has_the_key(keyring: Keyring, master: MasterKey) -> None:
    one, other = (
        key_map(keyring.stream_keys(master, "cam"), 128, epoch=1, index=2, track=3, nonce=NONCE) for _ in range(2)
    )

    assert (one == other).all() and one.dtype == np.int8
    assert set(np.unique(one)) == {-1, 1}
    assert abs(one.mean(dtype=float)) < 0.04


@pytest.mark.parametrize(
    ("root", "about"),
    [
        (bytes(31) + b"\1", {}), (bytes(32), {"epoch": 2}), (bytes(32), {"index": 3}), (bytes(32), {"track": 4}),
        (bytes(32), {"nonce": bytes(11) + b"\1"}),
    ],
    ids=["one bit of the key", "epoch", "frame", "track", "nonce"],
)  # fmt: skip
def test_another_crop_has_an_unrelated_map(root: bytes, about: dict[str, object]) -> None:
    crop: dict[str, object] = {"epoch": 1, "index": 2, "track": 3, "nonce": NONCE}
    one = key_map(keys_of(bytes(32)), 128, **crop).astype(float)  # type: ignore[arg-type]
    other = key_map(keys_of(root), 128, **(crop | about)).astype(float)  # type: ignore[arg-type]

    assert abs((one * other).mean()) < 0.04


@pytest.mark.parametrize("side", [0, -8, 12])
def test_a_side_that_does_not_fit(side: int) -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        key_map(keys_of(bytes(32)), side, epoch=1, index=2, track=3, nonce=NONCE)
