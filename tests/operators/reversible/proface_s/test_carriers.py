"""What runs: 8-bit crops in and out, with networks that anybody can follow in place of trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import ConfigError, FrameError
from engines.card import Card, CardMetric, write_card
from operators.reversible.proface_s import carriers
from operators.reversible.proface_s.carriers import CarrierCodec, digest_of, open_codec, require_pair, require_private

DIGEST = "a" * 64
CARD = Card(name="pfs", task="", licence="", sha256="0" * 64, source="", weights=DIGEST)


def signs(n: int, side: int = 8, seed: int = 0) -> Any:
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (n, 1, side, side))


def crops(n: int, side: int = 8, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(20, 235, (n, 3, side, side)).astype(np.uint8)


def near(**inputs: Any) -> dict[str, Any]:
    """Adds a step of the key's sign to the cover."""
    face, cover, key_map = inputs["face"], inputs["cover"], inputs["key_map"]
    assert face.dtype == cover.dtype == key_map.dtype == np.float32
    assert np.abs(face).max() <= 1 and np.abs(cover).max() <= 1
    return {"protected": cover + key_map * np.float32(2 / 255)}


def back(**inputs: Any) -> dict[str, Any]:
    """Takes it off again: the cover, in place of a face."""
    return {"recovered": inputs["protected"] - inputs["key_map"] * np.float32(2 / 255)}


def test_there_and_back_in_eight_bits() -> None:
    faces, covers, maps = crops(3), crops(3, seed=1), signs(3)
    codec = CarrierCodec(near, back)

    made = codec.protect(faces, covers, maps)
    found = codec.recover(made.carriers, maps, made.digests)

    assert made.carriers.dtype == found.dtype == np.uint8 and made.carries.all()
    np.testing.assert_array_equal(made.carriers.astype(int), covers + maps.astype(int))
    np.testing.assert_array_equal(found, covers)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_what_is_not_like_its_cover_is_the_cover(spoilt: float) -> None:
    """One face of three comes out as itself, one with a value that is none."""

    def leaky(**inputs: Any) -> dict[str, Any]:
        made = near(**inputs)["protected"]
        made[1] = inputs["face"][1]
        made[2, 0, 0, 0] = spoilt
        return {"protected": made}

    faces, covers = crops(3), crops(3, seed=1)
    made = CarrierCodec(leaky, back).protect(faces, covers, signs(3))

    assert made.carries.tolist() == [True, False, False]
    np.testing.assert_array_equal(made.carriers[1:], covers[1:])
    assert made.digests == tuple(map(digest_of, made.carriers))


@pytest.mark.parametrize("change", ["a level", "other lossy bytes", "shifted"])
def test_a_changed_carrier_is_not_recoverable(change: str) -> None:
    maps, codec = signs(2), CarrierCodec(near, back)
    made = codec.protect(crops(2), crops(2, seed=1), maps)
    sent = made.carriers.copy()
    if change == "a level":
        sent[1, 0, 0, 0] ^= 1
    else:
        sent[1] = np.roll(sent[1], 1, axis=2) if change == "shifted" else sent[1] // 2 * 2

    with pytest.raises(FrameError, match=r"carriers \[1\]: expected the very bytes .* not recoverable"):
        codec.recover(sent, maps, made.digests)
    assert codec.recover(sent, maps).shape == sent.shape, "nothing is compared where nothing is known"


def test_no_faces_are_no_work() -> None:
    def never(**_: Any) -> dict[str, Any]:
        raise AssertionError

    codec, none = CarrierCodec(never, never), np.zeros((0, 3, 8, 8), np.uint8)

    made = codec.protect(none, none, signs(0))
    assert len(made.carriers) == len(codec.recover(none, signs(0), ())) == 0 == len(made.digests)


@pytest.mark.parametrize(
    ("face", "cover", "maps", "message"),
    [
        (crops(1).astype(np.float32), crops(1), signs(1), "face: expected"),
        (crops(1).transpose(0, 2, 3, 1), crops(1), signs(1), "face: expected"),
        (crops(1, 7), crops(1, 7), signs(1, 7), "face: expected .* s even"),
        (crops(1), crops(2), signs(1), "cover: expected"),
        (crops(2), crops(2), signs(1), "key maps: expected"),
        (crops(1), crops(1), signs(1, 4), "key maps: expected"),
        (crops(1), crops(1), np.zeros((1, 1, 8, 8), np.int8), "key maps: expected .* of -1 and 1"),
    ],
)
def test_what_does_not_fit(face: Any, cover: Any, maps: Any, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        CarrierCodec(near, back).protect(face, cover, maps)


def test_digests_hold_shape_and_every_byte() -> None:
    one = crops(1)[0]

    assert digest_of(one) == digest_of(np.asfortranarray(one)) != digest_of(one.reshape(3, 4, 16))


# -- cards -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["", "b" * 64])
def test_two_networks_have_to_be_of_one_training(other: str) -> None:
    require_pair(CARD, CARD)

    with pytest.raises(ConfigError, match="two networks of one training"):
        require_pair(CARD, CARD.model_copy(update={"weights": other}))
    with pytest.raises(ConfigError, match="two networks of one training"):
        require_pair(*[CARD.model_copy(update={"weights": ""})] * 2)


def interval(value: float) -> CardMetric:
    return CardMetric(value=value, low=value - 1, high=value + 1)


@pytest.mark.parametrize(
    ("metrics", "refused"),
    [
        ({}, "does not say what is restored"),
        ({"blind_psnr": 10.0}, "does not say what is restored"),
        ({"attack_floor_psnr": 19.0}, "does not say what is restored"),
        ({"blind_psnr": 31.0, "attack_floor_psnr": 19.0}, "31.0 dB, the cover alone 19.0 dB.* weights_private"),
        ({"blind_psnr": 10.0, "blind_psnr_thorough": interval(20.0), "attack_floor_psnr": interval(19.5)}, "21.0 dB"),
        ({"blind_psnr": 19.0, "blind_psnr_thorough": interval(19.0), "attack_floor_psnr": interval(19.5)}, ""),
    ],
)
def test_weights_that_open_carriers_have_to_be_private(metrics: dict[str, Any], refused: str) -> None:
    card = CARD.model_copy(update={"metrics": metrics})

    require_private(card, weights_private=True)
    if not refused:
        require_private(card, weights_private=False)
        return
    with pytest.raises(ConfigError, match=refused):
        require_private(card, weights_private=False)


def test_cards_are_looked_at_before_anything_is_opened(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.onnx" for name in ("protect", "recover")]
    for file, weights in zip(files, (DIGEST, "b" * 64), strict=True):
        write_card(file, CARD.model_copy(update={"weights": weights}))

    with pytest.raises(ConfigError, match="two networks of one training"):
        open_codec(*files, weights_private=True)
    write_card(files[1], CARD)
    with pytest.raises(ConfigError, match="does not say what is restored"):
        open_codec(*files)


def test_constants_are_those_of_the_sheet() -> None:
    assert (carriers.LEAST_LIKE_DB, carriers.GAIN_DB) == (30.0, 1.0)
