"""CenterFace: finds faces, also small, many and half-hidden ones. To hide people at whatever cost."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from engines import ConfigError, Engine
from operators.detect.finders import CenterFaceFinder, InputSide
from operators.detect.looks import upright_size
from operators.frame import Frame
from operators.options import DetectionScore, PositiveCount, UnitInterval


class CenterFace:
    """Adds the faces of each frame, and marks it as examined.

    Pictures are turned upright first, so that a phone's portrait video is seen as it is shown.

    Args:
        detector: `input.1 (b, 3, h, w)` float32 RGB 0..255, h and w multiples of 32, to heat map
            `537 (b, 1, h/4, w/4)`, log sizes `538` and offsets `539 (b, 2, ..)` y first, landmarks `540 (b, 10, ..)`.
        threshold: the lowest score of a face.
        max_px: pictures with a longer side are reduced to this: the time is in proportion to the area. Strips wider
            than 2.4 : 1 are reduced to as many pixels as that.
        min_px: pictures whose longer side is below this are enlarged towards it, at most `MAX_ENLARGEMENT` times,
            for few faces below 16 pixels are found. Of the faces in the 400 x 300 pictures it was chosen on, 80 % were
            found as they are, 86 % at 640, 88 % at 800, for 19, 44 and 67 CPU-ms.
        nms: of two boxes that overlap by more than this (IoU) the lesser is dropped.
        batch: how many frames of one size are looked at in one call; more than one pays on a GPU only.

    Raises:
        ConfigError: `min_px` is above `max_px`.
    """

    def __init__(
        self,
        detector: Engine,
        *,
        threshold: DetectionScore = 0.2,
        max_px: InputSide = 1920,
        min_px: InputSide = 800,
        nms: UnitInterval = 0.3,
        batch: PositiveCount = 1,
    ) -> None:
        self.check_options(min_px=min_px, max_px=max_px)
        self._finder = CenterFaceFinder(detector, threshold, max_px, min_px, nms)
        self._batch = batch

    @staticmethod
    def check_options(*, min_px: int, max_px: int, **_: object) -> None:
        if min_px > max_px:
            raise ConfigError(f"detect.centerface: min_px: expected at most max_px, which is {max_px}, got {min_px}")

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        done = list(frames)
        for _, group in itertools.groupby(range(len(frames)), key=lambda i: upright_size(frames[i])):
            members = list(group)
            for first in range(0, len(members), self._batch):
                chosen = members[first : first + self._batch]
                for i, faces in zip(chosen, self._finder.find([frames[i] for i in chosen]), strict=True):
                    done[i] = replace(frames[i], faces=frames[i].faces + faces, examined=True)
        return done


OPERATOR = CenterFace
