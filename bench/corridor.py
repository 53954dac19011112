"""A fixed camera before an empty corridor through which somebody walks one twentieth of the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import pi, sin
from pathlib import Path

import av
import cv2
import numpy as np

from bench.rooms import SensorNoise, room
from engines import open_engine
from operators.arrays import Array, Image
from operators.detect.centerface import CenterFace
from operators.stills import frame_of
from pipeline.models.catalog import find_model

WIDTH, HEIGHT, RATE = 1280, 720, 25
FRAMES, PRESENT = 1000, 50
"""Of the clip, and of it those with somebody in sight: 5 %. A whole clip, begun at any frame, holds all of these."""
FACE_PX = 80
HEAD_FROM = "grid_lwbsza.mpg"
"""A clip of one person who speaks into the camera, in the folder `videos` of the test data."""
AROUND = 0.45
"""A head reaches so many face sizes further than a face, all around."""


@dataclass(frozen=True, slots=True)
class CutHead:
    """A head cut out of a picture.

    Attributes:
        picture: `(h, w, 3)` BGR.
        opacity: `(h, w, 1)` in 0..1, an ellipse with soft edges.
    """

    picture: Image
    opacity: Array


def heads_of(clip: Path, count: int) -> list[CutHead]:
    """Heads out of the first frames of a clip that shows one person, at FACE_PX."""
    with av.open(str(clip)) as container:
        frames = islice(container.decode(video=0), count)
        pictures = [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in frames]
    faces = CenterFace(open_engine(find_model("centerface")))([frame_of(pictures[0])])[0].faces
    return [cut_head(picture, faces.boxes[faces.scores.argmax()]) for picture in pictures]


def cut_head(picture: Image, box: Array, face_px: int = FACE_PX) -> CutHead:
    """The head around a face's box `(4,)`, so large that the face is that high.

    >>> cut_head(np.zeros((90, 90, 3), np.uint8), np.array([30, 30, 50, 50]), 20).picture.shape
    (38, 38, 3)
    """
    x1, y1, x2, y2 = box.tolist()
    out_x, out_y = (x2 - x1) * AROUND, (y2 - y1) * AROUND
    left, top = max(0, round(x1 - out_x)), max(0, round(y1 - out_y))
    part = picture[top : round(y2 + out_y), left : round(x2 + out_x)]
    scale = face_px / (y2 - y1)
    size = (round(part.shape[1] * scale), round(part.shape[0] * scale))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    opacity = np.clip((1 - x**2 - y**2) / 0.25, 0, 1)[..., None]
    return CutHead(np.asarray(small, np.uint8), opacity)


def paste(picture: Image, head: CutHead, x: float, y: float) -> None:
    """Draws a head into a picture with its centre there, as far as it lies in it."""
    height, width = head.opacity.shape[:2]
    left, top = round(x - width / 2), round(y - height / 2)
    x1, y1, x2, y2 = max(0, left), max(0, top), min(picture.shape[1], left + width), min(picture.shape[0], top + height)
    if x1 >= x2 or y1 >= y2:
        return
    part = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
    opacity, below = head.opacity[part], picture[y1:y2, x1:x2]
    below[:] = np.rint(below * (1 - opacity) + head.picture[part] * opacity)


def walk(empty: Image, heads: list[CutHead], frame: int) -> Image:
    """The corridor in one frame; somebody crosses it in the middle of the clip."""
    since = frame - (FRAMES - PRESENT) // 2
    if not 0 <= since < PRESENT:
        return empty
    picture = empty.copy()
    head = heads[since % len(heads)]
    reach = head.opacity.shape[1]
    x = -reach / 2 + (since + 1) / (PRESENT + 1) * (WIDTH + reach)
    y = 0.3 * HEIGHT + 4 * sin(2 * pi * since / 13)
    down = round(y + 0.3 * head.opacity.shape[0])
    axes = round(0.75 * reach), HEIGHT - down
    cv2.ellipse(picture, (round(x), HEIGHT), axes, 0, 0, 360, (70, 62, 58), -1, cv2.LINE_AA)
    paste(picture, head, x, y)
    return picture


def pictures(heads: list[CutHead], seed: int = 0) -> Iterator[Array]:
    """Planes of yuv420p, one below the other, of each frame as its sensor gives it."""
    empty, noise = room(WIDTH, HEIGHT, seed), SensorNoise(WIDTH, HEIGHT, seed)
    for frame in range(FRAMES):
        yield noise.on(np.asarray(cv2.cvtColor(walk(empty, heads, frame), cv2.COLOR_BGR2YUV_I420)))


def write(target: Path, videos: Path) -> None:
    """Makes the clip: H.264 as cameras send it, without B-frames, an IDR every two seconds.

    Args:
        videos: the folder that holds HEAD_FROM.
    """
    options = {"preset": "veryfast", "crf": "21", "tune": "zerolatency", "g": str(2 * RATE)}
    with av.open(str(target), "w") as out:
        coded = out.add_stream("libx264", rate=RATE, options=options)
        coded.width, coded.height, coded.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for planes in pictures(heads_of(videos / HEAD_FROM, PRESENT)):
            out.mux(coded.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(coded.encode())
