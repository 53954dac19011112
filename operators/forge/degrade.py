"""What happens to pictures on their way to us, genuine and forged alike: light, size, blur, noise, compression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Rng
from operators.forge.codec import h264
from operators.forge.face import Pixels

INTERPOLATIONS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


def degrade(images: Sequence[Pixels], rng: Rng, *, strength: float = 1.0, codec: bool = False) -> list[Pixels]:
    """The pictures after one and the same way: whatever is drawn, the noise too, is drawn once for all of them.

    So a genuine crop and the forgeries made from it, given together, differ by the forgery alone.

    Args:
        images: `(s, s, 3)` uint8 each, all of one size.
        strength: 0 leaves them as they are, 0.3 is mild, 1 is what the network is to live with.
        codec: some are compressed by H.264 at CRF 18 to 40 rather than by JPEG; it takes 1 to 2 ms an image.

    >>> crop = np.full((32, 32, 3), 100, np.uint8)
    >>> bool((degrade([crop], np.random.default_rng(0), strength=0)[0] == crop).all())
    True
    """
    images, size = list(images), len(images[0])
    if rng.random() < 0.6 * strength:
        images = _light(images, rng, strength)
    if rng.random() < 0.5 * strength:
        small = max(16, round(size * (1 - rng.uniform(0, 0.6) * strength)))
        down, up = rng.choice(INTERPOLATIONS), rng.choice(INTERPOLATIONS[1:])
        reduced = [cv2.resize(image, (small, small), interpolation=down) for image in images]
        images = [_levels(cv2.resize(image, (size, size), interpolation=up)) for image in reduced]
    if rng.random() < 0.25 * strength:
        sigma = rng.uniform(0.3, 0.3 + strength)
        images = [_levels(cv2.GaussianBlur(image, (0, 0), sigma)) for image in images]
    if rng.random() < 0.3 * strength:
        noise = rng.normal(0, rng.uniform(1, 1 + 6 * strength), images[0].shape)
        images = [_levels(image + noise) for image in images]
    if rng.random() < 0.7 * strength:
        if codec and rng.random() < 0.4:
            crf = int(rng.integers(18, 41))
            images = [h264(image[None], crf)[0] for image in images]  # in one stream, the first would get more bits
        else:
            quality = int(rng.uniform(95 - 55 * strength, 96))
            images = [jpeg(image, quality) for image in images]
    return images


def jpeg(image: Pixels, quality: int) -> Pixels:
    """A `(h, w, 3)` RGB picture through JPEG at that quality, 0 to 100.

    >>> jpeg(np.full((8, 8, 3), 128, np.uint8), 90)[0, 0].tolist()
    [128, 128, 128]
    """
    _, content = cv2.imencode(".jpg", image[:, :, ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))
    decoded = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[:, :, ::-1])


def _light(images: Sequence[Pixels], rng: Rng, strength: float) -> list[Pixels]:
    """Another exposure, contrast and white balance, and a bend of the curve."""
    gamma = np.exp(rng.normal(0, 0.2 * strength))
    gain = np.exp(rng.normal(0, 0.05 * strength, 3) + rng.normal(0, 0.1 * strength))
    offset = rng.normal(0, 8 * strength)
    curve = 255 * (np.arange(256) / 255)[:, None] ** gamma * gain + offset
    table = _levels(curve)[None]
    return [np.asarray(cv2.LUT(image, table), np.uint8) for image in images]


def _levels(values: NDArray[Any]) -> Pixels:
    return np.asarray(values if values.dtype == np.uint8 else np.rint(np.clip(values, 0, 255)), np.uint8)
