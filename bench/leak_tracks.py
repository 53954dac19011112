"""Tracks of people as an attacker gets them: moving, under covers that jitter as trackers do, after H.264; and what is
left of a face when many frames of one are laid over one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import av
import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from bench.hiding import Hide
from operators import Operator
from operators.arrays import Array, Image
from operators.boxes import iou
from operators.frame import Frame, Picture, to_bgr
from operators.stills import frame_of, planar
from operators.track import Track
from pipeline.models.catalog import find_model

RATE = 25
CRF, PRESET = "23", "veryfast"
"""As in a run."""
SIDE_PX = 192
"""Of the pictures: people as in LFW, with faces about 100 pixels high."""
SWAY_PX, TURNS = 5.0, (0.4, 1.7)
"""People move about by so much, so many times a second."""
GRAIN = 2.0
"""Standard deviation of what a camera adds to each sample."""
CHIP_PX, CHIP_PADDING, PREDICTOR_SIDE = 150, 0.25, 0.9
SMALL_PX, OWN_PX = 32, 48
ROUNDS, INVERSE = 6, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
STRETCHED = 45.0
"""Standard deviation that an estimate is stretched to, for descriptors that expect a face."""


@dataclass(frozen=True, eq=False, slots=True)
class PersonPicture:
    """One picture of a person: `(h, w, 3)` BGR, and the box of the face `(4,)` in pixels."""

    image: Image
    box: Array

    def square(self, side: float) -> Array:
        """A box around the middle of the face, its side in heights of the face."""
        x1, y1, x2, y2 = self.box
        x, y, half = (x1 + x2) / 2, (y1 + y2) / 2 + 0.055 * (y2 - y1), side * (y2 - y1) / 2
        return np.array([x - half, y - half, x + half, y + half])

    def cropped(self) -> PersonPicture:
        """The same, `SIDE_PX` wide and high around the face; what lies beyond the picture is its border."""
        middle = (self.box[:2] + self.box[2:]) / 2
        corner = np.round(middle - SIDE_PX / 2)
        shift = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]]], np.float64)
        image = cv2.warpAffine(self.image, shift, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REPLICATE)
        return PersonPicture(np.asarray(image, np.uint8), self.box - np.tile(corner, 2))

    def to_chip(self) -> NDArray[np.float64]:
        """`(2, 3)`: from pixels of the picture to those of the chip that dlib's descriptor sees, by its landmarks."""
        rgb = np.ascontiguousarray(self.image[..., ::-1])
        shape = predictor()(rgb, dlib.rectangle(*map(round, self.square(PREDICTOR_SIDE).tolist())))
        details = dlib.get_face_chip_details(shape, CHIP_PX, CHIP_PADDING)
        centre, scale = details.rect.dcenter(), CHIP_PX / details.rect.width()
        cosine, sine = scale * np.cos(details.angle), scale * np.sin(details.angle)
        turn = np.array([[cosine, sine], [-sine, cosine]])
        middle = np.array([centre.x, centre.y])
        return np.concatenate([turn, (np.array([CHIP_PX / 2] * 2) - turn @ middle)[:, None]], axis=1)

    def chip(self) -> Image:
        """`(150, 150, 3)` RGB: the face as dlib's descriptor sees it."""
        chip = cv2.warpAffine(self.image, self.to_chip(), (CHIP_PX, CHIP_PX))
        return np.ascontiguousarray(chip[..., ::-1], np.uint8)


@cache
def predictor() -> Any:
    return dlib.shape_predictor(str(find_model("face_points")))


# -- moving pictures -----------------------------------------------------------------------------------


def sway(rng: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """`(frames, 2)`: where somebody is who moves about a little, in pixels from the middle; starts there."""
    turns, phases = rng.uniform(*TURNS, 2), rng.uniform(0, 2 * np.pi, 2)
    path = SWAY_PX * np.sin(2 * np.pi * turns * np.arange(frames)[:, None] / RATE + phases)
    return np.asarray(path - path[0])


def filmed(image: Image, path: Array, rng: np.random.Generator) -> list[Image]:
    """The picture in motion, with a camera's grain."""
    height, width = image.shape[:2]
    grain = rng.normal(0, GRAIN, (height + 16, width + 16, 3)).astype(np.float32)
    shown = []
    for x, y in path:
        moved = cv2.warpAffine(
            image, np.array([[1, 0, x], [0, 1, y]]), (width, height), borderMode=cv2.BORDER_REPLICATE
        )
        across, down = rng.integers(0, 16, 2)
        noisy = cv2.add(moved, grain[down : down + height, across : across + width], dtype=cv2.CV_8U)
        shown.append(np.asarray(noisy, np.uint8))
    return shown


def jitter_of(people: Sequence[PersonPicture], detector: Operator, frames: int, rng: np.random.Generator) -> Array:
    """`(n, frames, 4)`: how far boxes of tracks lie from where a face is, in its heights, with a detector and tracker.

    Tracks in which the face was once not found are left out.
    """
    found = []
    for number, person in enumerate(people):
        path, tracker = sway(rng, frames), Track()
        boxes = []
        for index, image in enumerate(filmed(person.image, path, rng)):
            frame = replace(frame_of(image, index, stream=str(number)), examined=True)
            for operator in (detector, tracker):
                (frame,) = operator([frame])
            boxes.append(_nearest_box(frame, person.box + np.tile(path[index], 2)))
        if all(box is not None for box in boxes):
            off = (np.array(boxes) - person.box - np.tile(path, 2)) / (person.box[3] - person.box[1])
            found.append(off - off.mean(axis=0))
    return np.array(found).reshape(-1, frames, 4)


def _nearest_box(frame: Frame, box: Array) -> Array | None:
    if not len(frame.faces):
        return None
    overlap = iou(frame.faces.boxes.astype(np.float64), box[None])[:, 0]
    return np.asarray(frame.faces.boxes[overlap.argmax()], np.float64) if overlap.max() > 0.3 else None


def through_h264(pictures: Sequence[Picture]) -> list[Picture]:
    """Encoded by x264 and decoded again."""
    height, width = pictures[0].height, pictures[0].width
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(RATE), Fraction(1, RATE)
    encoder.options = {"crf": CRF, "preset": PRESET, "threads": "1"}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = []
    for number, picture in enumerate(pictures):
        stacked = np.concatenate([plane.reshape(-1) for plane in picture.planes]).reshape(-1, width)
        frame = av.VideoFrame.from_ndarray(stacked, format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return [planar(frame.to_ndarray()) for frame in decoded]


# -- what is left --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Estimate:
    """What an attacker makes of some frames of a track.

    Attributes:
        chip: `(150, 150, 3)` RGB, their mean where the face is, stretched unless nothing was hidden.
        pixels: `(6 * 1024,)` float32: the mean in Y, Cr, Cb, and the luma without what stands still with the cover, in
            32 x 32 each of the chip, as it is and stretched.
    """

    chip: Image
    pixels: NDArray[np.float32]


def estimates_of(
    person: PersonPicture, hide: Hide, jitter: Array, counts: Sequence[int], number: int, *, stretch: bool = True
) -> dict[int, Estimate]:
    """Of the first so many frames of a track, after H.264; the attacker knows exactly where the face is in each.

    Args:
        jitter: `(frames, 4)` of the boxes, in heights of the face.
        number: of the track, which draws its motion too.
    """
    rng = np.random.default_rng((7, number))
    path = sway(rng, max(counts))
    boxes = person.box + np.tile(path, 2) + jitter[: len(path)] * (person.box[3] - person.box[1])
    shown = through_h264(hide(filmed(person.image, path, rng), [box[None] for box in boxes], number))
    to_chip = person.to_chip()
    chips, own, back = [], [], []
    for picture, at, box in zip(shown, path, boxes, strict=True):
        image, moved = to_bgr(picture), to_chip.copy()
        moved[:, 2] -= to_chip[:, :2] @ at
        chips.append(cv2.warpAffine(image, moved, (CHIP_PX, CHIP_PX)))
        middle, sides = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * 1.2
        to_own = np.array([[OWN_PX / sides[0], 0, 0], [0, OWN_PX / sides[1], 0]])
        to_own[:, 2] = OWN_PX / 2 - to_own[:, :2] @ middle
        own.append(cv2.warpAffine(picture.planes[0], to_own, (OWN_PX, OWN_PX)).astype(np.float32))
        to_small = SMALL_PX / CHIP_PX * moved
        to_small[:, 2] += 0.5 * SMALL_PX / CHIP_PX - 0.5  # middles of pixels, as resizing sees them
        back.append(to_small @ _inverse(to_own))
    return {count: _estimate(chips[:count], own[:count], back[:count], stretch=stretch) for count in counts}


def _inverse(affine: Array) -> Array:
    return np.asarray(np.concatenate([cv2.invertAffineTransform(affine), [[0, 0, 1]]]))


def _estimate(chips: Sequence[Array], own: Sequence[Array], back: Sequence[Array], *, stretch: bool) -> Estimate:
    mean = np.mean(np.array(chips, np.float32), axis=0)
    small = cv2.resize(mean, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA)
    planes = cv2.cvtColor(small / 255, cv2.COLOR_BGR2YCrCb) * 255
    moving = _moving([_luma_of(chip) for chip in chips], own, back)
    parts = [*planes.transpose(2, 0, 1), moving, stretched(planes[..., 0]), stretched(moving)]
    chip = stretched(mean, middle=128.0) if stretch else mean
    return Estimate(
        np.ascontiguousarray(np.clip(np.rint(chip), 0, 255)[..., ::-1], np.uint8),
        np.concatenate([part.reshape(-1) for part in parts]).astype(np.float32),
    )


def _luma_of(chip: Array) -> Array:
    grey = cv2.cvtColor(np.asarray(chip, np.uint8), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA), np.float32)


def _moving(faces: Sequence[Array], own: Sequence[Array], back: Sequence[Array]) -> Array:
    """What moves with the face, when what stands still with the cover is told from it: each is what the other leaves.

    Args:
        faces: `(32, 32)` of each frame, where the face is.
        own: `(48, 48)` of each frame, where the cover is.
        back: `(2, 3)` from the latter to the former.
    """
    moving = np.zeros((SMALL_PX, SMALL_PX), np.float32)
    for _ in range(ROUNDS):
        lying = [cv2.warpAffine(moving, to, (OWN_PX, OWN_PX), flags=INVERSE) for to in back]
        still = np.mean(np.subtract(own, lying), axis=0)
        lying = [cv2.warpAffine(still, to, (SMALL_PX, SMALL_PX)) for to in back]
        moving = np.mean(np.subtract(faces, lying), axis=0)
    return moving


def stretched(values: Array, middle: float = 0.0) -> Array:
    """The same with a mean of `middle` and a standard deviation of `STRETCHED`; what is flat stays so.

    >>> stretched(np.array([1.0, 3.0]), 128.0).tolist()
    [83.0, 173.0]
    """
    away = values - values.mean()
    return np.asarray(middle + away * (STRETCHED / max(float(away.std()), 1e-3)))
