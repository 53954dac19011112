"""The clip that `facewarden run --demo` works on, drawn on the spot so that nothing has to be downloaded.

Three copies of one public-domain portrait swing on strings before a wall. One of them passes behind a pillar and is
out of sight for a while, as people are in real footage. The same clip comes out every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from math import cos, pi, sin
from pathlib import Path

import cv2
import numpy as np

from engines import ConfigError
from operators.arrays import Image

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 25, 6
PILLAR = slice(420, 486)
"""Columns of the pillar: wider than the face that passes behind it."""


@dataclass(frozen=True, slots=True)
class _Hanging:
    """A picture on its string.

    Attributes:
        x, y: its centre at rest, px.
        height_px: of the picture without its frame.
        swing_px, period_s: how far it swings to either side, and how long there and back takes.
    """

    x: float
    y: float
    height_px: int
    swing_px: float
    period_s: float
    behind_pillar: bool = False

    def at(self, time_s: float) -> tuple[float, float, float]:
        """Centre x, y and tilt in degrees, positive counter-clockwise."""
        phase = sin(2 * pi * time_s / self.period_s)
        return self.x + self.swing_px * phase, self.y - 0.05 * self.swing_px * (1 - cos(pi * phase)), 6 * phase


CAST = (
    _Hanging(150, 205, 270, 40, 6.0),
    _Hanging(452, 165, 150, 125, 7.5, behind_pillar=True),
    _Hanging(345, 265, 110, 24, 4.0),
)


def render_demo(path: Path) -> None:
    """Writes the clip, 150 frames of 640x360 at 25 fps in MPEG-4 Part 2, to a path that ends in `.mp4`.

    Raises:
        ConfigError: the portrait is missing, or OpenCV cannot write to the path.
    """
    portrait = _portrait()
    cards = [_card(portrait, hanging.height_px) for hanging in CAST]
    wall = _wall()
    pillar = _pillar()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise ConfigError(f"{path}: OpenCV cannot write an MPEG-4 video there; give a video of your own")
    try:
        for number in range(FPS * SECONDS):
            picture = wall
            for hanging, card in sorted(zip(CAST, cards, strict=True), key=lambda pair: not pair[0].behind_pillar):
                picture = _hang(picture, card, *hanging.at(number / FPS))
                if hanging.behind_pillar:
                    picture[:, PILLAR] = pillar
            writer.write(picture)
    finally:
        writer.release()


def _portrait() -> Image:
    """Grace Hopper, photographed for the US Navy: `(600, 512, 3)` BGR, from matplotlib's sample data."""
    try:
        with as_file(files("matplotlib") / "mpl-data/sample_data/grace_hopper.jpg") as file:
            portrait = cv2.imread(str(file))
    except (ModuleNotFoundError, FileNotFoundError):
        portrait = None
    if portrait is None:
        raise ConfigError("the demo draws on a sample picture of matplotlib, which is missing; install matplotlib")
    return np.asarray(portrait, np.uint8)


def _card(portrait: Image, height_px: int) -> Image:
    """The portrait at a size, in a light frame."""
    width_px = round(height_px * portrait.shape[1] / portrait.shape[0])
    small = cv2.resize(portrait, (width_px, height_px), interpolation=cv2.INTER_AREA)
    edge = max(3, height_px // 40)
    return np.asarray(cv2.copyMakeBorder(small, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=(214, 228, 236)))


def _wall() -> Image:
    """A wall lit from the upper left, with a little grain, and a skirting board."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    light = 1.1 - 0.5 * np.hypot(x - 0.3 * WIDTH, y - 0.2 * HEIGHT) / WIDTH
    light += np.random.default_rng(0).normal(0, 0.01, light.shape).astype(np.float32)
    wall = light[..., None] * np.array((150, 160, 142), np.float32)
    wall[-22:] *= 0.55
    return np.asarray(np.clip(wall, 0, 255), np.uint8)


def _pillar() -> Image:
    """`(HEIGHT, columns of PILLAR, 3)`: a round column, dark at its sides."""
    across = np.linspace(-1, 1, PILLAR.stop - PILLAR.start, dtype=np.float32)
    shade = 0.35 + 0.65 * np.sqrt(1 - 0.95 * across**2)
    column = shade[None, :, None] * np.array((120, 140, 160), np.float32)
    return np.asarray(np.repeat(column, HEIGHT, axis=0), np.uint8)


def _hang(picture: Image, card: Image, x: float, y: float, tilt_deg: float) -> Image:
    """A new picture with the card on its string in front; edges are smooth, positions finer than a pixel."""
    height_px, width_px = card.shape[:2]
    affine = cv2.getRotationMatrix2D(((width_px - 1) / 2, (height_px - 1) / 2), tilt_deg, 1.0)
    affine[:, 2] += x - (width_px - 1) / 2, y - (height_px - 1) / 2
    size = (WIDTH, HEIGHT)
    alpha = cv2.warpAffine(np.ones(card.shape[:2], np.float32), affine, size)
    moved = cv2.warpAffine(card, affine, size, borderMode=cv2.BORDER_REPLICATE)
    nail = (round(x - y * np.tan(np.radians(tilt_deg))), 0)
    strung = cv2.line(picture.copy(), nail, (round(x), round(y)), (60, 66, 70), 1, cv2.LINE_AA)
    return np.asarray(cv2.blendLinear(moved, strung, alpha, 1 - alpha), np.uint8)
