"""The heat map of evidence: which parts of a crop spoke for a forgery."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def overlay(
    crop: NDArray[np.uint8], evidence: NDArray[Any], *, strongest: float, strength: float = 0.5
) -> NDArray[np.uint8]:
    """A crop `(s, s, 3)` RGB with its map `(h, w)`, 0 or more, laid over it where there is evidence.

    Args:
        strongest: the evidence that is shown in the strongest colour. One number for all crops of a track, else a map
            without any evidence would look like one with much.

    >>> crop = np.full((4, 4, 3), 50, np.uint8)
    >>> bool((overlay(crop, np.zeros((2, 2)), strongest=1) == crop).all())
    True
    """
    size = (crop.shape[1], crop.shape[0])
    fine = cv2.resize(np.asarray(evidence, np.float32), size, interpolation=cv2.INTER_CUBIC)
    level = np.clip(fine / max(strongest, 1e-9), 0, 1)
    hot = cv2.applyColorMap(np.rint(level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    weight = (strength * level)[:, :, None]
    return np.asarray(np.rint(crop * (1 - weight) + hot * weight), np.uint8)
