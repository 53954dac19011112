"""Carriers: the face comes back for the right key and networks, and where anything is wrong it is never in there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from engines import ConfigError
from operators.arrays import Array
from operators.fidelity import psnr
from operators.frame import PIXEL_FORMATS, Picture
from operators.reversible.proface_s.carriers import CarrierCodec
from operators.reversible.proface_s.obfuscators import Obfuscation, obfuscate
from operators.reversible.proface_s.tiles import padded, rgb_of, to_square
from operators.stills import picture_of
from pipeline.config import CARRIER_NETWORKS
from pipeline.sealing import NotAuthentic, RecoveryRefused
from pipeline.sealing.carrier import CarrierNetworks, open_carrier
from pipeline.sealing.keyring import Keyring
from pipeline.sealing.keys import MasterKey, StreamKeys
from pipeline.sealing.seal import SealedFace, open_seal
from pipeline.wire import Seal
from tests.clips import portrait
from tests.pipeline.sealing.clip import draw

BOX = (20.0, 10.0, 161.0, 150.0)
FACE = SealedFace(epoch=1, index=7, pts=3584, track=4, style="blur")


@pytest.fixture(scope="module")
def networks() -> CarrierNetworks:
    return CarrierNetworks.open(CARRIER_NETWORKS, weights_private=True)


@pytest.fixture
def keys(keyring: Keyring, master: MasterKey) -> StreamKeys:
    return keyring.stream_keys(master, "cam")


def drawn(name: str) -> Picture:
    """A picture whose colours are as faint as those of skin."""
    picture = draw(name, 3, 200, 160)
    middle = 1 << (picture.format.bits - 1)
    y, *chroma = picture.planes
    u, v = (((plane.astype(int) - middle) // 6 + middle).astype(plane.dtype) for plane in chroma)
    return replace(picture, planes=(y, u, v))


def original(picture: Picture) -> list[Array]:
    x1, y1, x2, y2 = 20, 10, 162 if picture.format.subsample_x == 2 else 161, 150
    return list(picture.part(x1, y1, x2, y2).planes)


def db(one: Array, other: Array, bits: int) -> float:
    scale = 1 << (bits - 8)
    pictures = (np.repeat((each / scale)[None, :, :, None], 3, 3).astype(np.float32) / 255 for each in (one, other))
    return float(psnr(*pictures)[0])


@pytest.mark.parametrize("name", sorted(PIXEL_FORMATS))
def test_what_was_sealed_nearly_comes_back(networks: CarrierNetworks, keys: StreamKeys, name: str) -> None:
    picture = drawn(name)

    seal = networks.seal_face(keys, picture, BOX, FACE)
    planes = networks.open_seal(keys, seal)

    assert planes is not None
    assert (seal.scheme, seal.obfuscator, seal.strength, seal.bare) == ("proface_s", "blur", 15, False)
    assert (seal.weights, seal.planes[0] % 128) == (networks.weights, 0)
    for given, wanted in zip(planes, original(picture), strict=True):
        assert given.shape == wanted.shape and given.dtype == wanted.dtype
        assert db(given, wanted, picture.format.bits) >= 35


def test_the_carrier_shows_the_cover_and_no_two_are_alike(networks: CarrierNetworks, keys: StreamKeys) -> None:
    picture = drawn("yuv444p")
    rgb = rgb_of(original(picture), picture.format)
    cover = padded(obfuscate(to_square(rgb), Obfuscation("blur", 15))[: rgb.shape[0], : rgb.shape[1]], 128)

    one, other = (open_carrier(keys, networks.seal_face(keys, picture, BOX, FACE)) for _ in range(2))

    assert psnr(one.transpose(1, 2, 0)[None], cover[None])[0] >= 30
    assert (one != other).mean() > 0.1


@pytest.mark.parametrize(
    "change",
    [
        lambda seal: setattr(seal, "track", 5),
        lambda seal: setattr(seal, "strength", 14.0),
        lambda seal: setattr(seal, "bare", True),
        lambda seal: setattr(seal, "weights", "00"),
        lambda seal: setattr(seal, "salt", bytes(32)),
        lambda seal: setattr(seal, "ciphertext", seal.ciphertext[:-1] + b"\0"),
        lambda seal: setattr(seal, "scheme", "escrow"),
    ],
)
def test_whatever_is_changed_nothing_comes_out(
    networks: CarrierNetworks, keys: StreamKeys, change: Callable[[Seal], None]
) -> None:
    seal = networks.seal_face(keys, drawn("yuv420p"), BOX, FACE)
    change(seal)

    with pytest.raises(NotAuthentic):
        networks.open_seal(keys, seal)
    with pytest.raises(NotAuthentic):
        open_seal(keys, seal)


def test_another_key_and_other_networks_are_refused(
    networks: CarrierNetworks, keys: StreamKeys, keyring: Keyring, master: MasterKey
) -> None:
    seal = networks.seal_face(keys, drawn("yuv420p"), BOX, FACE)

    with pytest.raises(NotAuthentic):
        networks.open_seal(keyring.stream_keys(master, "another"), seal)
    with pytest.raises(RecoveryRefused, match=r"was sealed with the networks of weights .*; name them by --networks"):
        replace(networks, weights="ab" * 32).open_seal(keys, seal)


def nothing(**arrays: Any) -> dict[str, Any]:
    return {"protected": np.full_like(arrays["cover"], np.nan)}


def the_face(**arrays: Any) -> dict[str, Any]:
    return {"protected": arrays["face"]}


def one_bad_tile(**arrays: Any) -> dict[str, Any]:
    made = arrays["cover"].copy()
    made[-1] = arrays["face"][-1]
    return {"protected": made}


@pytest.mark.parametrize("protect", [nothing, the_face, one_bad_tile])
def test_where_networks_fail_the_cover_alone_is_sealed(keys: StreamKeys, protect: Callable[..., Any]) -> None:
    """Never the face: it would be there for whoever has the cipher's key alone."""
    picture = drawn("yuv420p")
    rgb = rgb_of(original(picture), picture.format)
    cover = padded(obfuscate(to_square(rgb), Obfuscation("blur", 15))[: rgb.shape[0], : rgb.shape[1]], 128)
    broken = CarrierNetworks(CarrierCodec(protect, protect), "ab")

    seal = broken.seal_face(keys, picture, BOX, FACE)

    assert seal.bare
    assert np.array_equal(open_carrier(keys, seal).transpose(1, 2, 0), cover)
    assert broken.open_seal(keys, seal) is None


def test_public_weights_do_not_start() -> None:
    with pytest.raises(ConfigError, match=r"restores faces without a key .* declare weights_private: true"):
        CarrierNetworks.open(CARRIER_NETWORKS, weights_private=False)


def test_a_pair_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere_protect\.onnx: no such network"):
        CarrierNetworks.open("/nowhere", weights_private=True)


def test_a_tiny_box_is_sealed_too(networks: CarrierNetworks, keys: StreamKeys) -> None:
    picture = draw("yuv420p", 3)

    planes = networks.open_seal(keys, networks.seal_face(keys, picture, (0, 0, 1, 1), FACE))

    assert planes is not None and [plane.shape for plane in planes] == [(2, 2), (1, 1), (1, 1)]


def test_what_does_not_fit_into_its_own_size_is_enlarged_until_it_comes_back(
    networks: CarrierNetworks, keys: StreamKeys
) -> None:
    sharp = cv2.resize(portrait(), (102, 120), interpolation=cv2.INTER_AREA)
    plain = cv2.resize(cv2.GaussianBlur(portrait(), (0, 0), 8), (102, 120), interpolation=cv2.INTER_AREA)

    seals = [networks.seal_face(keys, picture_of(image), (0, 0, 102, 120), FACE) for image in (plain, sharp)]

    assert seals[0].enlarged == 1 and seals[1].enlarged > 1
    for seal, image in zip(seals, (plain, sharp), strict=True):
        planes = networks.open_seal(keys, seal)
        assert planes is not None and db(planes[0], picture_of(image).planes[0], 8) >= 35
