"""Clips: rendered from stills, or cut from videos at random tempo.

A still becomes a clip by a smooth path of small motion, exposure and gaze; genuine and forged ones go the same way,
with the same noise and the same compression, or the network would learn to know the renderer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from operators import crops
from operators.arrays import Rng
from operators.cropset import CropSet
from operators.deepfake import eyes
from operators.forge.colour import matched
from operators.forge.degrade import jpeg
from operators.forge.face import GenuineFace, Pixels, lay_over
from operators.forge.gaze import MOST, shift_irises
from operators.forge.regions import LEFT_EYE, LIPS, RIGHT_EYE, eyes_mask, face_mask
from operators.forge.warp import warp

Frames = NDArray[np.uint8]


KINDS = ("opposed", "jittered", "eyes", "swap")
"""Forgeries of clips: irises against each other; irises that jump; the eyes, or the whole face, of another person,
blended anew in each frame."""
GAZE_KINDS = ("opposed", "jittered")
TEACHER_ACROSS, TEACHER_DOWN = 0.35, 0.25
HIDES = {"eyes": (RIGHT_EYE, LEFT_EYE), "mouth": (LIPS,)}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class FaceClip:
    """A clip of one face.

    Attributes:
        frames: `(t, s, s, 3)` uint8 RGB.
        kind: of forgery, or `real`.
        offsets: `(t, 2)` across and down, by which the right iris was moved, in widths of the eye; 0 in videos.
    """

    frames: Frames
    kind: str
    offsets: NDArray[np.float64]


# -- from stills -----------------------------------------------------------------------------------


def render(
    face: GenuineFace, donor: GenuineFace, kind: str, rng: Rng, *, frames: int, size: int, hidden: str = ""
) -> FaceClip:
    """A clip of so many frames of `size` pixels; kinds that need another person take the donor's face.

    Args:
        hidden: `eyes` or `mouth` are covered in every frame, to see whether the detector needs them.
    """
    gaze = smooth_path(rng, frames, 2) * MOST
    right, left = gaze, gaze
    if kind == "opposed":
        left = gaze * (-1, 1)
    elif kind == "jittered":
        right = left = rng.permutation(gaze) + rng.normal(0, 0.06, gaze.shape)
    blend = _blender(face, donor, kind, rng)
    both = zip(right, left, strict=True)
    shown = [shift_irises(GenuineFace(blend(), face.points), _pair(one), _pair(other)).pixels for one, other in both]
    if hidden:
        shown = [_covered(still, face.points, HIDES[hidden]) for still in shown]
    return FaceClip(_filmed(shown, rng, size), kind, right)


def smooth_path(rng: Rng, frames: int, axes: int) -> NDArray[np.float64]:
    """`(frames, axes)` within -1..1: slow waves of random phase, so that neighbours lie close together."""
    t = np.linspace(0, 1, frames)[:, None]
    strength, phase = rng.uniform(0.3, 1, (2, axes)), rng.uniform(0, 2 * np.pi, (2, axes))
    cycles = rng.uniform(0.2, 0.8, (2, axes))
    wave = strength[0] * np.sin(2 * np.pi * cycles[0] * t + phase[0])
    return np.asarray((wave + strength[1] * np.sin(2 * np.pi * cycles[1] * t + phase[1])) / 2)


def teaching(face: GenuineFace, rng: Rng, *, size: int) -> tuple[Pixels, NDArray[np.float64], float]:
    """A still with moved irises for the gaze teacher.

    Returns:
        `(size, size, 3)` pixels; pitch and yaw in degrees, of where both eyes look now on average; and how far across
        the irises were moved, in widths of the eye.
    """
    shift = rng.uniform(-1, 1, 2) * (TEACHER_ACROSS, TEACHER_DOWN)
    moved = shift_irises(face, _pair(shift), _pair(shift)).pixels
    own = eyes.offsets(face.points[None])[0].mean(axis=0)
    return _filmed([moved], rng, size)[0], eyes.angles(own + shift), float(shift[0])


def _blender(face: GenuineFace, donor: GenuineFace, kind: str, rng: Rng) -> Callable[[], Pixels]:
    """Gives the still of each frame, before irises are moved: for the blended kinds another one at each call."""
    if kind not in ("eyes", "swap"):
        return lambda: face.pixels
    placed = warp(donor.pixels, donor.points, face.points)
    region = eyes_mask if kind == "eyes" else face_mask
    size = len(face.pixels)
    coloured = matched(placed, face.pixels, region(face.points, size, rng), 0.9)

    def blend() -> Pixels:
        level = rng.normal(0, 1.5, 3)
        return lay_over(face, coloured + level, region(face.points, size, rng)).pixels

    return blend


def _filmed(stills: Sequence[Pixels], rng: Rng, size: int) -> Frames:
    """The stills as a camera saw them: moved, lit, noisy, compressed."""
    n, side = len(stills), len(stills[0])
    motion, light = smooth_path(rng, n, 4), smooth_path(rng, n, 1)
    sigma, quality = rng.uniform(0.5, 4), int(rng.integers(60, 96))
    turn, grow = 3 * motion[:, 0], 1 + 0.03 * motion[:, 1]
    shift = 0.02 * side * motion[:, 2:]
    frames = np.empty((n, size, size, 3), np.uint8)
    for t, still in enumerate(stills):
        affine = cv2.getRotationMatrix2D(((side - 1) / 2,) * 2, float(turn[t]), float(grow[t]))
        affine[:, 2] += shift[t]
        moved = cv2.warpAffine(still, affine, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        small = crops.resize(np.asarray(moved, np.uint8)[None], size)[0]
        lit = small * (1 + 0.08 * float(light[t, 0])) + rng.normal(0, sigma, small.shape)
        frames[t] = jpeg(np.rint(np.clip(lit, 0, 255)).astype(np.uint8), quality)
    return frames


def _covered(still: Pixels, points: NDArray[Any], parts: Sequence[Sequence[int]]) -> Pixels:
    """The still with the boxes around some landmarks filled with grey."""
    covered = still.copy()
    for part in parts:
        low, high = points[list(part)].min(axis=0), points[list(part)].max(axis=0)
        reach = 0.3 * float((high - low)[0])
        x1, y1 = np.maximum(low - reach, 0).astype(int)
        x2, y2 = (high + reach).astype(int)
        covered[y1:y2, x1:x2] = 128
    return covered


def _pair(xy: NDArray[Any]) -> tuple[float, float]:
    return float(xy[0]), float(xy[1])


# -- from videos -----------------------------------------------------------------------------------


def training_rows(length: int, frames: int, rng: Rng) -> NDArray[np.int64]:
    """Which of a video's frames a training clip takes: `frames` of them, from a random place at a random tempo.

    Raises:
        ValueError: the video is too short.
    """
    if length < frames:
        raise ValueError(f"expected a video of at least {frames} frames, got {length}")
    step = (frames + rng.uniform(0, length - frames)) / frames
    start = rng.uniform(0, length - step * frames)
    return np.minimum(np.floor(start + step * np.arange(frames)), length - 1).astype(np.int64)


def testing_rows(length: int, frames: int) -> list[NDArray[np.int64]]:
    """Which frames the clips of a test video take: clips at several tempos, the slowest reaching over the whole video.

    Strides fall from length // frames to 1; one that gives at most two clips more than the last one used is passed
    over, and from stride 3 on none is added once there are five clips.

    >>> [rows.tolist() for rows in testing_rows(8, 4)]
    [[0, 2, 4, 6]]
    """
    clips: list[NDArray[np.int64]] = []
    used = 0
    for stride in range(length // frames, 0, -1):
        if stride <= 3 and len(clips) >= 5:
            break
        span = stride * frames
        count = length // span
        if used and count <= used + 2:
            continue
        clips += [first + stride * np.arange(frames) for first in range(0, count * span, span)]
        used = count
    return clips


def videos_of(data: CropSet) -> list[NDArray[np.int64]]:
    """The rows of each clip of a set, in order of its frames."""
    order = np.lexsort((np.asarray(data.frames), np.asarray(data.clips)))
    _, first = np.unique(np.asarray(data.clips)[order], return_index=True)
    return np.split(order, first[1:])


def prepared(frames: Frames, size: int, *, centre: float = 1.0) -> NDArray[np.float32]:
    """Frames `(n, s, s, 3)` as the network is given them: `(n, 3, size, size)`, ImageNet-normalised.

    Args:
        centre: which part of each side is kept, about the middle; the paper keeps 177 of 224.
    """
    side = frames.shape[1]
    cut = round(side * (1 - centre) / 2)
    kept = frames[:, cut : side - cut, cut : side - cut]
    return np.asarray(crops.to_input(crops.resize(kept, size), mean=MEAN, std=STD), np.float32)
