"""Whom the leak bench looks for: people of LFW, two pictures of each, in an order drawn once. Evaluation only: LFW is
published for research."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from rich.progress import track

from bench.bench_keep import middle_face
from bench.data import data_folder
from bench.leak_stages import KeptArrays, Stages
from bench.leak_tracks import CHIP_PX, PersonPicture, jitter_of
from engines import open_engine
from operators.arrays import Array, Image
from operators.detect.centerface import CenterFace
from operators.detect.yunet import YuNet
from operators.stills import decode_image, read_images
from pipeline.models.catalog import find_model

GALLERY, LEARNERS = 500, 150
JITTER_PEOPLE, JITTER_FRAMES = 24, 64
LEAST_PX = 32
WITHIN = 1.2
"""A cover reaches at least so far beyond the face's box, whatever it jitters."""


@dataclass(frozen=True, eq=False, slots=True)
class Cast:
    """Who is who.

    Attributes:
        people: two pictures of each: the first, clear, is in galleries, of the second a track is attacked.
        jitter: `(n, frames, 4)`, see `jitter_of`.
        gallery, learners: rows of `people`.
    """

    people: Sequence[Sequence[PersonPicture]]
    jitter: Array
    gallery: tuple[int, ...]
    learners: tuple[int, ...]

    @property
    def rows(self) -> tuple[int, ...]:
        return (*self.gallery, *self.learners)


def cast(stages: Stages, seed: int, count: int = GALLERY) -> Cast:
    """All people, the first `count` of whom are looked for, and as many others, at most `LEARNERS`, to learn on."""
    found = stages.kept("people", _find_faces)
    images = read_images(data_folder() / "faces_lfw" / "lfw_subset.tar")
    order = np.random.default_rng(seed).permutation(len(found["names"]))
    people = [
        [
            PersonPicture(decode_image(images[str(name)]), box)
            for name, box in zip(found["names"][row], found["boxes"][row], strict=True)
        ]
        for row in order
    ]
    jitter = stages.kept("jitter", lambda: {"jitter": _jitter(people[:JITTER_PEOPLE], seed)})["jitter"]
    learners = range(GALLERY, min(len(people), GALLERY + min(LEARNERS, count)))
    return Cast(people, jitter, tuple(range(min(count, GALLERY))), tuple(learners))


def _find_faces() -> KeptArrays:
    """Of every person two pictures in which a face is found: their names, and its box."""
    detector = CenterFace(open_engine(find_model("centerface")), min_px=LEAST_PX)
    images = read_images(data_folder() / "faces_lfw" / "lfw_subset.tar")
    found: dict[str, list[tuple[str, Array]]] = {}
    for name in track(sorted(name for name in images if name.endswith(".jpg")), "finding faces"):
        pictures = found.setdefault(name.split("/")[-2], [])
        box = middle_face(detector, decode_image(images[name])) if len(pictures) < 2 else None
        if box is not None:
            pictures.append((name, box.astype(np.float64)))
    both = [pictures for pictures in found.values() if len(pictures) == 2]
    return {
        "names": np.array([[name for name, _ in pictures] for pictures in both]),
        "boxes": np.array([[box for _, box in pictures] for pictures in both]),
    }


def _jitter(people: Sequence[Sequence[PersonPicture]], seed: int) -> Array:
    quick = YuNet(open_engine(find_model("yunet")))
    shown = [pictures[1].cropped() for pictures in people]
    return jitter_of(shown, quick, JITTER_FRAMES, np.random.default_rng(seed))


def under_the_cover(person: PersonPicture) -> Array:
    """`(150, 150, 1)` 0..1: which part of the chip every cover hides, whatever it jitters; its edge is soft."""
    cropped = person.cropped()
    mask = np.zeros(cropped.image.shape[:2], np.float32)
    (x1, y1, x2, y2) = cropped.box
    axes = round((x2 - x1) / 2 * WITHIN), round((y2 - y1) / 2 * WITHIN)
    cv2.ellipse(mask, (round((x1 + x2) / 2), round((y1 + y2) / 2)), axes, 0, 0, 360, 1.0, -1)
    chip = cv2.warpAffine(cv2.GaussianBlur(mask, (0, 0), 1.5), cropped.to_chip(), (CHIP_PX, CHIP_PX))
    return np.asarray(chip, np.float32)[..., None]


def cut_out(chips: Sequence[Image], people: Sequence[PersonPicture]) -> list[Image]:
    """Chips with what lies around the cover made grey: hair, clothes and background, which no cover hides."""
    masks = [under_the_cover(person) for person in people]
    return [
        np.asarray(np.rint(chip * mask + 128 * (1 - mask)), np.uint8) for chip, mask in zip(chips, masks, strict=True)
    ]
