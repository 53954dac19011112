"""Faces for the judge's tests that are nobody's: drawn, all different, and with as much detail as a face has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array
from operators.frame import Frame
from pipeline.judging.panel import ScoredBoxes

Drawn = NDArray[np.uint8]

WIDTH, HEIGHT = 192, 144


def drawn_face(seed: int, px: int) -> Drawn:
    """`(px, px, 3)` BGR: a head with features of its own, smooth skin between them."""
    rng = np.random.default_rng(seed)
    face = np.full((192, 192, 3), (120, 150, 190), np.uint8)
    for _ in range(26):
        centre = tuple(int(value) for value in rng.integers(10, 182, 2))
        axes = tuple(int(value) for value in rng.integers(5, 26, 2))
        shade = tuple(int(value) for value in rng.integers(20, 235, 3))
        cv2.ellipse(face, centre, axes, float(rng.uniform(0, 180)), 0, 360, shade, -1)
    soft = cv2.GaussianBlur(face, (0, 0), 1.5)
    return np.asarray(cv2.resize(soft, (px, px), interpolation=cv2.INTER_AREA), np.uint8)


def background(seed: int = 0) -> Drawn:
    """`(HEIGHT, WIDTH, 3)` BGR: a wall with some structure."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 190, (9, 12, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def pasted(picture: Drawn, face: Drawn, x: int, y: int) -> Drawn:
    """A copy with the face's upper left corner at x, y."""
    made = picture.copy()
    made[y : y + face.shape[0], x : x + face.shape[1]] = face
    return made


def changed(picture: Drawn, box: Array, change: Callable[[Drawn], Array], scale: float = 1.3) -> Drawn:
    """A copy with the ellipse in a box, scaled about its middle, changed."""
    rows, columns = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * scale
    inside = ((columns + 0.5 - centre[0]) / half[0]) ** 2 + ((rows + 0.5 - centre[1]) / half[1]) ** 2 <= 1
    return np.asarray(np.where(inside[..., None], change(picture), picture), np.uint8)


def black(picture: Drawn) -> Drawn:
    return np.zeros_like(picture)


def mosaic(cell: int, offset: int = 0) -> Callable[[Drawn], Drawn]:
    """Means of cells of so many pixels, on a grid that begins at an offset."""

    def change(picture: Drawn) -> Drawn:
        rolled = np.roll(picture, (-offset, -offset), (0, 1))
        height, width = (side // cell * cell for side in rolled.shape[:2])
        small = cv2.resize(rolled[:height, :width], (width // cell, height // cell), interpolation=cv2.INTER_AREA)
        made = rolled.copy()
        made[:height, :width] = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
        return np.roll(made, (offset, offset), (0, 1))

    return change


def write_video(
    path: Path, pictures: Sequence[Drawn], *, crf: int = 20, rate: int = 25, options: Mapping[str, str] = {}
) -> Path:
    """Encodes pictures by x264, all alike in every run; `options` are the container's."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w", options=dict(options)) as out:
        coding = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        stream = out.add_stream("libx264", rate=rate, options=coding)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")))
        out.mux(stream.encode())
    return path


class ScriptedPanel:
    """Detectors that were given their answers: boxes and scores `(n, 5)` by frame."""

    def __init__(
        self,
        original: Mapping[int, Sequence[Sequence[float]]],
        masked: Mapping[int, Sequence[Sequence[float]]] | None = None,
        *,
        confirming: bool = True,
    ) -> None:
        self._original, self._masked = original, masked or {}
        self.confirming = confirming
        self.closely: list[int] = []

    def look(self, frame: Frame, *, closely: bool) -> ScoredBoxes:
        if closely:
            self.closely.append(frame.index)
        return np.array(self._original.get(frame.index, []), np.float32).reshape(-1, 5)

    def look_at_masked(self, frame: Frame) -> ScoredBoxes:
        return np.array(self._masked.get(frame.index, []), np.float32).reshape(-1, 5)

    def confirms(self, crop: Drawn) -> bool:
        return self.confirming and crop.size > 0
