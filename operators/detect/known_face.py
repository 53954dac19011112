"""A drawn face that every detector here finds: what a detector is shown before it may watch over anybody.

It is drawn on the spot, so there is no file that could be exchanged along with a network. CenterFace scores it 0.77,
its int8 twin 0.79, YuNet 0.94 and BlazeFace 0.93.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from operators.arrays import Image
from operators.frame import Frame
from operators.stills import frame_of

SIDE = 256
BOX = (76, 78, 180, 206)
"""Of the face: x1, y1, x2, y2 in pixels."""
FINER = 4
"""It is drawn so many times larger, and reduced: edges as soft as a lens leaves them."""

WALL, SHIRT, HAIR = (130, 140, 150), (50, 60, 90), (55, 40, 30)
SKIN, SHADE, LIGHT, LID = (215, 165, 135), (170, 120, 95), (228, 180, 150), (190, 140, 110)
WHITE, IRIS, BLACK, LASH = (240, 240, 240), (70, 50, 40), (10, 10, 10), (90, 60, 50)
LIPS, MOUTH, NOSTRIL = (180, 90, 90), (110, 50, 50), (110, 70, 60)
"""Colours, RGB."""


def known_face(stream: str) -> Frame:
    """The first frame of a stream that shows the face, `SIDE` x `SIDE` pixels.

    >>> known_face("trial").picture.width
    256
    """
    return frame_of(_drawn()[..., ::-1], stream=stream)


@cache
def _drawn() -> Image:
    """`(SIDE, SIDE, 3)` RGB: a head with hair, ears, eyes, brows, nose and mouth, lit from the upper left."""
    side = SIDE * FINER
    canvas = np.full((side, side, 3), WALL, np.uint8)
    _oval(canvas, (0.5, 0.44), (0.27, 0.33), HAIR)
    _oval(canvas, (0.5, 1.05), (0.42, 0.22), SHIRT)
    cv2.rectangle(canvas, _at(0.42, 0.75), _at(0.58, 0.95), SHADE, -1)
    _oval(canvas, (0.5, 0.52), (0.215, 0.29), SKIN)
    _oval(canvas, (0.5, 0.30), (0.2, 0.1), HAIR)
    for way in (-1, 1):
        _half(canvas, way)
    _line(canvas, (0.485, 0.5), (0.47, 0.6), SHADE, 0.01)
    _oval(canvas, (0.5, 0.605), (0.042, 0.022), SHADE)
    _oval(canvas, (0.5, 0.598), (0.03, 0.02), LIGHT)
    for x in (0.48, 0.52):
        _oval(canvas, (x, 0.612), (0.01, 0.007), NOSTRIL)
    _oval(canvas, (0.5, 0.69), (0.075, 0.03), LIPS)
    _line(canvas, (0.43, 0.69), (0.57, 0.69), MOUTH, 0.008)
    _oval(canvas, (0.5, 0.745), (0.04, 0.012), SHADE)
    soft = cv2.resize(cv2.GaussianBlur(canvas, (0, 0), 0.006 * side), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    lit = 1.12 - 0.35 * np.hypot((x - 0.45) / 0.5, (y - 0.42) / 0.6)
    return np.asarray(np.clip(soft * lit[..., None], 0, 255), np.uint8)


def _half(canvas: Image, way: int) -> None:
    """Ear, eye and brow, on the left (-1) or on the right (1)."""
    x = 0.5 + way * 0.092
    _oval(canvas, (x + way * 0.13, 0.54), (0.025, 0.055), SHADE)
    _oval(canvas, (x, 0.47), (0.055, 0.032), LID)
    _oval(canvas, (x, 0.475), (0.042, 0.019), WHITE)
    _oval(canvas, (x, 0.475), (0.019, 0.019), IRIS)
    _oval(canvas, (x, 0.475), (0.009, 0.009), BLACK)
    _arc(canvas, (x, 0.475), (0.044, 0.021), (180, 360), LASH, 0.008)
    _arc(canvas, (x, 0.425), (0.055, 0.018), (190, 350), HAIR, 0.014)


Point = tuple[float, float]
"""Two numbers as fractions of the picture's side."""
Rgb = tuple[int, int, int]


def _at(x: float, y: float) -> tuple[int, int]:
    return int(x * SIDE * FINER), int(y * SIDE * FINER)


def _oval(canvas: Image, middle: Point, radii: Point, colour: Rgb) -> None:
    cv2.ellipse(canvas, _at(*middle), _at(*radii), 0, 0, 360, colour, -1, cv2.LINE_AA)


def _arc(canvas: Image, middle: Point, radii: Point, degrees: tuple[int, int], colour: Rgb, width: float) -> None:
    thick = int(width * SIDE * FINER)
    cv2.ellipse(canvas, _at(*middle), _at(*radii), 0, *degrees, colour, thick, cv2.LINE_AA)


def _line(canvas: Image, start: Point, end: Point, colour: Rgb, width: float) -> None:
    cv2.line(canvas, _at(*start), _at(*end), colour, int(width * SIDE * FINER), cv2.LINE_AA)
