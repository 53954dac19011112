from __future__ import annotations

import numpy as np
import pytest

from engines import ConfigError
from operators.reversible.proface_s.obfuscators import (
    OBFUSCATORS,
    STRENGTHS,
    Obfuscation,
    Obfuscator,
    draw,
    obfuscate,
    sticker,
)
from tests.operators.reversible.proface_s.conftest import drawn


@pytest.mark.parametrize("style", OBFUSCATORS)
@pytest.mark.parametrize("side", [32, 128])
def test_a_style_hides_detail_alike_at_every_size(style: Obfuscator, side: int) -> None:
    rng = np.random.default_rng(0)
    grain = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
    before = grain.copy()

    found = obfuscate(grain, Obfuscation(style, STRENGTHS[style].usual, 3))

    middle = slice(side // 3, -side // 3)
    assert found.shape == grain.shape and found.dtype == np.uint8
    assert found[middle, middle].std() < 0.75 * grain.std()
    assert abs(np.corrcoef(found[middle, middle].ravel(), grain[middle, middle].ravel())[0, 1]) < 0.6
    assert np.array_equal(grain, before)


@pytest.mark.parametrize("style", OBFUSCATORS)
def test_more_strength_hides_more(style: Obfuscator) -> None:
    face = drawn(1, 128)[0].astype(int)
    off = [
        np.abs(obfuscate(face.astype(np.uint8), Obfuscation(style, strength, 3)) - face).mean()
        for strength in (STRENGTHS[style].low, STRENGTHS[style].high)
    ]

    assert off[0] < off[1]


def test_pixels_are_even_blocks() -> None:
    found = obfuscate(drawn(1, 64)[0], Obfuscation("pixelate", 32))

    blocks = found.reshape(8, 8, 8, 8, 3).transpose(0, 2, 1, 3, 4).reshape(64, 64, 3)
    assert (blocks == blocks[:, :1]).all() and len(np.unique(blocks[:, 0], axis=0)) > 8


def test_a_blur_is_as_wide_as_it_says() -> None:
    dot = np.zeros((64, 64, 3), np.uint8)
    dot[32, 32] = 255
    line = np.zeros((256, 256, 3), np.uint8)
    line[:, 128:] = 200

    edge = obfuscate(line, Obfuscation("blur", 10))[128, :, 0].astype(float)
    slope = np.diff(edge).clip(0)
    spread = np.sqrt((slope * (np.arange(255) - 127) ** 2).sum() / slope.sum())
    assert spread == pytest.approx(10, rel=0.07)
    assert obfuscate(dot, Obfuscation("median", 20)).max() == 0


def test_stickers_are_opaque_in_the_middle_clear_in_the_corners_and_soft_between() -> None:
    colour, alpha = sticker(64, 0.8, 1)
    other, _ = sticker(64, 0.8, 2)

    assert alpha[32, 32] == 1 and alpha[0, 0] == 0
    assert ((alpha > 0.1) & (alpha < 0.9)).any()
    assert colour.min() >= 0 and colour.max() <= 256
    assert np.abs(colour - other).max() > 20
    assert np.array_equal(colour, sticker(64, 0.8, 1)[0])


def test_drawn_ones_are_of_all_styles_within_their_ranges_and_the_same_by_seed() -> None:
    rng = np.random.default_rng(0)
    found = [draw(rng) for _ in range(200)]
    again = np.random.default_rng(0)

    assert {each.style for each in found} == set(OBFUSCATORS)
    assert all(STRENGTHS[each.style].low <= each.strength <= STRENGTHS[each.style].high for each in found)
    assert len({each.strength for each in found}) == 200
    assert found == [draw(again) for _ in range(200)]
    assert {draw(rng, ["blur"]).style for _ in range(9)} == {"blur"}


@pytest.mark.parametrize("style", OBFUSCATORS)
def test_held_out_strengths_are_never_drawn(style: Obfuscator) -> None:
    span = STRENGTHS[style]

    assert span.held_out[0] < span.low < span.usual < span.high < span.held_out[1]


def test_numbers_of_styles_never_change() -> None:
    assert {style: Obfuscation(style, 1).style_id for style in OBFUSCATORS} == {
        "blur": 0, "median": 1, "pixelate": 2, "box": 3, "sticker": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("style", "strength", "message"),
    [("swirl", 1.0, "one of blur, median"), ("blur", 0.0, "above 0"), ("blur", float("nan"), "above 0")],
)
def test_what_is_no_obfuscation(style: Obfuscator, strength: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Obfuscation(style, strength)


SMALL, OBLONG, FLOATS = np.zeros((4, 4, 3), np.uint8), np.zeros((32, 16, 3), np.uint8), np.zeros((32, 32, 3))


@pytest.mark.parametrize("crop", [SMALL, OBLONG, FLOATS])
def test_what_is_no_crop(crop: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="expected \\(s, s, 3\\) uint8"):
        obfuscate(crop, Obfuscation("blur", 15))
