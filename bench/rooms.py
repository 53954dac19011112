"""What cameras look at when nobody is there: drawn rooms, and what a sensor and a codec make of a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.codec.context import Flags

from operators.arrays import Array, Image

NOISE = 2.0
"""Standard deviation of a sensor's noise, in levels of luma."""
CRF = 18
MARGIN_PX = 64
"""By how much the noise that is drawn once is larger than a picture: each frame sees another part of it."""
TICKS = 90000


def room(width: int, height: int, seed: int) -> Image:
    """`(height, width, 3)` BGR: a wall with panels, lit from one side, and a floor; nothing in it looks like a face.

    >>> room(64, 48, seed=1).shape
    (48, 64, 3)
    """
    rng = np.random.default_rng(seed)
    light = np.linspace(150, 105, height)[:, None] + np.linspace(-18, 22, width)[None]
    picture = np.repeat(light[..., None], 3, 2) * np.array([0.92, 1.0, 1.05])
    for _ in range(14):
        x, y = rng.integers(0, width), rng.integers(0, height)
        across = rng.integers(width // 16, width // 5 + 1)
        down = rng.integers(height // 12, height // 4 + 1)
        picture[y : y + down, x : x + across] += rng.uniform(-26, 26, 3)
    picture[int(0.86 * height) :] *= 0.7
    grain = cv2.GaussianBlur(rng.normal(0, 9, (height, width, 1)).astype(np.float32), (0, 0), 1.1)
    return np.asarray(np.clip(picture + grain[..., None], 0, 255), np.uint8)


class SensorNoise:
    """Adds noise to the luma of pictures of one size, another one each time.

    Args:
        seed: the same seed gives the same noises.
    """

    def __init__(self, width: int, height: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        shape = (height + MARGIN_PX, width + MARGIN_PX)
        self._noise = np.rint(self._rng.normal(0, NOISE, shape)).astype(np.int16)

    def on(self, stacked: Array) -> Array:
        """The planes of yuv420p one below the other, `(h + h / 2, w)` uint8, with noise on the first."""
        height, width = len(stacked) * 2 // 3, stacked.shape[1]
        y, x = self._rng.integers(0, MARGIN_PX, 2)
        noisy = stacked.copy()
        noisy[:height] = cv2.add(stacked[:height], self._noise[y : y + height, x : x + width], dtype=cv2.CV_8U)
        return noisy


def coded(pictures: Iterable[tuple[float, Array]], *, crf: int = CRF) -> Iterator[tuple[float, Array]]:
    """Pictures with the times they are shown at, in seconds, as they come out of x264 and a decoder: one for one.

    Args:
        pictures: planes of yuv420p one below the other, `(h + h / 2, w)` uint8, all of one size.
    """
    encoder: Any = None
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count, decoder.flags = 1, int(Flags.low_delay)
    for time_s, stacked in pictures:
        if encoder is None:
            encoder = av.CodecContext.create("libx264", "w")
            encoder.width, encoder.height, encoder.pix_fmt = stacked.shape[1], len(stacked) * 2 // 3, "yuv420p"
            encoder.time_base, encoder.thread_count = Fraction(1, TICKS), 1
            encoder.options = {"preset": "superfast", "crf": str(crf), "tune": "zerolatency"}
        frame = av.VideoFrame.from_ndarray(stacked, format="yuv420p")
        frame.pts = round(time_s * TICKS)
        (shown,) = (picture for packet in encoder.encode(frame) for picture in decoder.decode(packet))
        yield time_s, shown.to_ndarray(format="yuv420p")
