"""What a face is covered with before it is hidden in it: styles that need no network, at strengths drawn at random.

Strengths are for crops 256 pixels wide, as the paper gives them, and scaled to others: the deviation of the Gaussian,
the side of a block or window, all in pixels, and for a sticker its width as a fraction of the crop's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import ConfigError
from operators.arrays import Image

Obfuscator = Literal["blur", "median", "pixelate", "box", "sticker"]
OBFUSCATORS: tuple[Obfuscator, ...] = get_args(Obfuscator)
REFERENCE_PX = 256
BLUR_KERNEL = 61
FINER = 4
"""A sticker is drawn so many times larger, and scaled down: its edge is soft."""


@dataclass(frozen=True, slots=True)
class StrengthRange:
    """Strengths that are drawn, what is usual, and two outside of the range that no training sees."""

    low: float
    high: float
    usual: float
    held_out: tuple[float, float]


STRENGTHS: dict[Obfuscator, StrengthRange] = {
    "blur": StrengthRange(9, 21, 15, (7.5, 24)),
    "median": StrengthRange(17, 29, 23, (15, 33)),
    "pixelate": StrengthRange(14, 26, 20, (12, 30)),
    "box": StrengthRange(17, 41, 29, (15, 45)),
    "sticker": StrengthRange(0.8, 1.0, 0.9, (0.75, 1.05)),
}


@dataclass(frozen=True, slots=True)
class Obfuscation:
    """A style at a strength.

    Attributes:
        seed: of what is drawn in a sticker.

    Raises:
        ConfigError: no such style, or a strength that is no positive number.
    """

    style: Obfuscator
    strength: float
    seed: int = 0

    def __post_init__(self) -> None:
        if self.style not in OBFUSCATORS:
            raise ConfigError(f"style: expected one of {', '.join(OBFUSCATORS)}, got {self.style!r}")
        if not 0 < self.strength < np.inf:
            raise ConfigError(f"strength of {self.style}: expected a number above 0, got {self.strength}")

    @property
    def style_id(self) -> int:
        """The number of the style, for metadata: never changed, only added to.

        >>> Obfuscation("pixelate", 20).style_id
        2
        """
        return OBFUSCATORS.index(self.style)


def draw(rng: np.random.Generator, styles: Sequence[Obfuscator] = OBFUSCATORS) -> Obfuscation:
    """One of the styles, each as likely, at a strength from its range."""
    style = styles[int(rng.integers(len(styles)))]
    span = STRENGTHS[style]
    return Obfuscation(style, float(rng.uniform(span.low, span.high)), int(rng.integers(2**31)))


def obfuscate(pixels: Image, chosen: Obfuscation) -> Image:
    """A crop `(s, s, 3)` uint8 as the style leaves it.

    Raises:
        ConfigError: no square crop of 8 pixels or more.

    >>> crop = np.zeros((32, 32, 3), np.uint8)
    >>> crop[:, 16:] = 200
    >>> obfuscate(crop, Obfuscation("pixelate", 128))[0, :, 0].tolist() == [0] * 16 + [200] * 16
    True
    """
    side = pixels.shape[0]
    if pixels.ndim != 3 or pixels.shape != (side, side, 3) or side < 8 or pixels.dtype != np.uint8:
        raise ConfigError(f"crop: expected (s, s, 3) uint8 with s from 8 on, got {pixels.dtype} {pixels.shape}")
    scale = side / REFERENCE_PX
    px = chosen.strength * scale
    if chosen.style == "blur":
        kernel = _odd(max(BLUR_KERNEL * scale, 4 * px))  # never cut narrower than two deviations
        return np.asarray(cv2.GaussianBlur(pixels, (kernel, kernel), px), np.uint8)
    if chosen.style == "median":
        return np.asarray(cv2.medianBlur(pixels, _odd(px)), np.uint8)
    if chosen.style == "pixelate":
        blocks = max(1, round(side / max(px, 1)))
        small = cv2.resize(pixels, (blocks, blocks), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_NEAREST), np.uint8)
    if chosen.style == "box":
        window = (_odd(px), _odd(px))
        return np.asarray(cv2.blur(cv2.blur(cv2.blur(pixels, window), window), window), np.uint8)
    colour, alpha = sticker(side, chosen.strength, chosen.seed)
    return np.asarray(np.rint(alpha * colour + (1 - alpha) * pixels), np.uint8)


def sticker(side: int, width: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A drawn head: its colours `(s, s, 3)` 0..255 and how much it covers `(s, s, 1)` 0..1."""
    rng = np.random.default_rng(seed)
    fine = side * FINER
    colour = np.zeros((fine, fine, 3), np.float32)
    alpha = np.zeros((fine, fine), np.float32)
    skin, hair, lips, iris = (tuple(map(float, rng.integers(low, high, 3))) for low, high in _SHADES)
    half = width * fine / 2

    def at(x: float, y: float) -> tuple[int, int]:
        return round(fine / 2 + x * half), round(fine / 2 + y * half)

    def oval(x: float, y: float, w: float, h: float, shade: tuple[float, ...], *, open_to: int = 360) -> None:
        axes = max(1, round(w * half)), max(1, round(h * half))
        cv2.ellipse(colour, at(x, y), axes, 0, 0, open_to, shade, -1)
        cv2.ellipse(alpha, at(x, y), axes, 0, 0, open_to, 1.0, -1)

    look, smile = rng.uniform(-0.05, 0.05), rng.uniform(0.05, 0.2)
    oval(0, -0.1, 0.98, 0.98, hair)
    oval(0, 0.05, 0.88, 0.98, skin)
    for x in (-0.36, 0.36):
        oval(x, -0.12, 0.2, 0.15, (250.0, 250.0, 250.0))
        oval(x + look, -0.12, 0.09, 0.11, iris)
        oval(x, -0.38, 0.22, 0.04, hair)
    oval(0, 0.18, 0.08, 0.1, tuple(0.8 * shade for shade in skin))
    oval(0, 0.5, 0.34, smile, lips, open_to=180)
    size = (side, side)
    whole = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)[:, :, None]
    mixed = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
    return np.asarray(mixed / np.maximum(whole, 1e-6), np.float32), np.asarray(whole, np.float32)


_SHADES = ((150, 250), (20, 160), (80, 220), (20, 120))
"""Of skin, hair, lips and irises: lowest and highest of each channel."""


def _odd(px: float) -> int:
    """The nearest odd number of pixels, 3 or more.

    >>> [_odd(px) for px in (0.4, 4.0, 6.9, 7.5)]
    [3, 5, 7, 7]
    """
    return max(3, 2 * round((px - 1) / 2) + 1)
