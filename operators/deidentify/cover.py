"""Blur, mosaic, a colour or an image over every face. What is painted, and how, is in `pipeline.painter`."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import ConfigError
from operators.frame import Cover, Frame, Shape, Style

MAX_CELLS = 16


class CoverFaces:
    """Adds a cover over every face that is not kept.

    Args:
        style: blur, mosaic, solid, or image.
        shape: the ellipse that fills the scaled box, or all of it. From scale 1.21 on the ellipse contains the whole
            face box, corners included.
        scale: how far the cover reaches beyond the face's box: each side moves out by (scale - 1) of the box's
            width or height, as with deface's `--mask-scale`.
        feather: how far the soft edge reaches beyond the cover, as a fraction of its width and height.
        cells: how many cells across and down blur and mosaic leave of a face, whatever its size. Less hides more;
            what the default hides, `bench/bench_leak.py` measures.
        color: blue, green, red, 0..255, of `solid`, and behind what is transparent in an image.
        image: file of the picture for style `image`, stretched over the cover.

    Raises:
        ConfigError: an option is out of its range, or the image cannot be read.
    """

    def __init__(
        self,
        *,
        style: Style = "blur",
        shape: Shape = "ellipse",
        scale: float = 1.3,
        feather: float = 0.06,
        cells: int = 4,
        color: Sequence[int] = (0, 0, 0),
        image: str | None = None,
    ) -> None:
        _check("style", style in typing.get_args(Style), f"one of {', '.join(typing.get_args(Style))}", style)
        _check("shape", shape in typing.get_args(Shape), f"one of {', '.join(typing.get_args(Shape))}", shape)
        _check("scale", 1 <= scale <= 4, "1 to 4 (below 1 a face is not covered)", scale)
        _check("feather", 0 <= feather <= 1, "0 to 1", feather)
        _check("cells", cells in range(1, MAX_CELLS + 1), f"a whole number from 1 to {MAX_CELLS}", cells)
        _check("color", len(color) == 3 and all(c in range(256) for c in color), "blue, green, red in 0..255", color)
        _check("image", (style == "image") == (image is not None), "a file with style image, and only then", image)
        blue, green, red = color
        self._scale = scale
        self._cover = Cover((0, 0, 0, 0), style, shape, feather, cells, (blue, green, red))
        self._pixels = None if image is None else _read(image, self._cover.color)

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [replace(frame, covers=(*frame.covers, *self._covers(frame))) for frame in frames]

    def _covers(self, frame: Frame) -> list[Cover]:
        boxes = frame.faces.boxes[~frame.faces.kept].astype(np.float64)
        out = (boxes[:, 2:] - boxes[:, :2]) * (self._scale - 1)
        scaled = np.concatenate([boxes[:, :2] - out, boxes[:, 2:] + out], axis=1)
        pixels = self._pixels
        if pixels is not None:  # as the coded picture lies, so that it is shown upright
            pixels = np.rot90(pixels, -frame.rotation // 90)
        return [replace(self._cover, box=(x1, y1, x2, y2), pixels=pixels) for x1, y1, x2, y2 in scaled.tolist()]


def _read(path: str, behind: tuple[int, int, int]) -> NDArray[np.uint8]:
    """An image file as `(h, w, 3)` BGR; what is transparent in it shows `behind`, never the face."""
    image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ConfigError(f"deidentify.cover: image: expected a picture file, cannot read {path!r}")
    if image.dtype == np.uint16:
        image = image // 257
    image = image.astype(np.uint8)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.shape[2] == 4:
        opaque = image[..., 3:] / np.float32(255)
        image = np.rint(image[..., :3] * opaque + np.float32(behind) * (1 - opaque)).astype(np.uint8)
    return image


def _check(option: str, good: bool, expected: str, got: object) -> None:
    if not good:
        raise ConfigError(f"deidentify.cover: {option}: expected {expected}, got {got!r}")


OPERATOR = CoverFaces
