"""Scenes in which faces are easily left in clear, by kind: people who are there for a moment, cross, lie, stand in the
dark. Heads of FACEWARDEN_DATA in drawn rooms; nothing of it may be published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np

from bench.people import Box, turned, with_head
from bench.rooms import CRF, room
from operators.arrays import Image
from operators.shown import Shown

Staged = tuple[Image, tuple[Box, ...]]
"""A picture, and the boxes of the faces in it."""
WIDTH, HEIGHT = 1280, 720
EMPTY = 6
"""So many frames nobody is there before somebody comes."""


@dataclass(frozen=True, slots=True)
class HardScene:
    """One clip.

    Attributes:
        rate: frames per second.
        px: height of its faces.
        crf: what x264 codes it with.
    """

    shots: Sequence[Staged]
    rate: float
    px: float
    shown: Shown = field(default_factory=Shown)
    crf: int = CRF


class Director:
    """Makes scenes of any kind; the same seed makes the same ones."""

    def __init__(self, people: Sequence[Image], seed: int) -> None:
        self._people, self.rng = people, np.random.default_rng(seed)
        self.empty = room(WIDTH, HEIGHT, seed)

    def px(self, low: float = 24, high: float = 160) -> float:
        """A height of faces, small ones as often as large ones."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def place(self, px: float) -> tuple[float, float]:
        """Somewhere well within the picture."""
        return float(self.rng.uniform(px, WIDTH - px)), float(self.rng.uniform(px, HEIGHT - px))

    def head(self) -> Image:
        return self._people[int(self.rng.integers(len(self._people)))]

    def standing(self, px: float, degrees: float = 0) -> Staged:
        image, box = with_head(self.empty, self.head(), *self.place(px), px, degrees)
        return image, (box,)

    def walking(self, px: float, step: float, frames: int, degrees: float = 0) -> list[Staged]:
        """Somebody who goes by so many pixels a frame, and turns round at the edge."""
        head, (x, y) = self.head(), self.place(px)
        shots: list[Staged] = []
        for _ in range(frames):
            if not px / 2 < x + step < WIDTH - px / 2:
                step = -step
            x += step
            image, box = with_head(self.empty, head, x, y, px, degrees)
            shots.append((image, (box,)))
        return shots

    def in_light(self, image: Image, light: float) -> Image:
        """The picture with so much of its light, as a sensor sees it."""
        return np.asarray(np.clip(image * light + self.rng.normal(2.5, 2, image.shape), 0, 255), np.uint8)

    def nobody(self, frames: int = EMPTY) -> list[Staged]:
        return [(self.empty, ())] * frames


def _brief(make: Director) -> HardScene:
    px, rate = make.px(), float(make.rng.choice([12.5, 25, 30, 60]))
    there = [make.standing(px)] * int(make.rng.integers(1, 6))
    return HardScene([*make.nobody(), *there, *make.nobody(3)], rate, px)


def _time_lapse(make: Director) -> HardScene:
    px = make.px(40)
    return HardScene([make.standing(px) for _ in range(12)], 25, px)


def _crossing(make: Director) -> HardScene:
    px = make.px(26, 112)
    step = float(make.rng.uniform(0.2, 2)) * WIDTH / 25
    return HardScene([*make.nobody(2), *make.walking(px, step, 14)], 25, px)


def _pan(make: Director) -> HardScene:
    px, step = make.px(26, 112), int(make.rng.integers(4, 48))
    street: Image = np.hstack([make.empty, make.empty[:, ::-1]])
    boxes, shots = [], []
    for x in range(180, 2 * WIDTH - 180, 260):
        street, box = with_head(street, make.head(), x, 0.45 * HEIGHT, px)
        boxes.append(box)
    for left in range(0, min(14 * step, WIDTH), step):
        here = tuple((x1 - left, y1, x2 - left, y2) for x1, y1, x2, y2 in boxes if left <= x1 and x2 <= left + WIDTH)
        shots.append((np.ascontiguousarray(street[:, left : left + WIDTH]), here))
    return HardScene(shots, 25, px)


def _small_walk(make: Director) -> HardScene:
    px = make.px(24, 36)
    return HardScene([*make.nobody(), *make.walking(px, 4, 20)], 15, px)


def _dim(light: float) -> Callable[[Director], HardScene]:
    def scene(make: Director) -> HardScene:
        px = make.px(40)
        shots = [
            (make.in_light(image, light), boxes) for image, boxes in [*make.nobody(3), *make.walking(px, 0.1 * px, 12)]
        ]
        return HardScene(shots, 25, px)

    return scene


def _dark_cut(make: Director) -> HardScene:
    px, one, other = make.px(36, 90), make.empty, np.ascontiguousarray(make.empty[:, ::-1])
    boxes = []
    for number in range(6):
        other, box = with_head(other, make.head(), 120 + 200 * number, 300, px)
        boxes.append(box)
    dark: list[Image] = [(image * 0.08).astype(np.uint8) for image in (one, other)]
    return HardScene([*[(dark[0], ())] * 5, *[(dark[1], tuple(boxes))] * 5], 25, px)


def _fading_in(make: Director) -> HardScene:
    px = make.px()
    (image, boxes), frames, shots = make.standing(px), int(make.rng.integers(8, 32)), []
    for number in range(frames + 1):
        part = number / frames
        mixed = np.asarray(cv2.addWeighted(image, part, make.empty, 1 - part, 0), np.uint8)
        shots.append((mixed, boxes if part >= 1 / 3 else ()))
    return HardScene([*make.nobody(3), *shots], 25, px)


def _effect(make: Director) -> HardScene:
    px = make.px(50)
    shots = make.walking(px, 0.05 * px, 12)
    image, boxes = shots[6]
    other = room(WIDTH, HEIGHT, int(make.rng.integers(1000)))
    effects = 255 - image, cv2.addWeighted(image, 0.5, other, 0.5, 0), image // 5 + 200
    shots[6] = np.asarray(effects[int(make.rng.integers(3))], np.uint8), boxes
    return HardScene(shots, 25, px)


def _turned(quarters: Sequence[int]) -> Callable[[Director], HardScene]:
    def scene(make: Director) -> HardScene:
        px, by = make.px(60), int(make.rng.choice(quarters))
        shots = [*make.nobody(3), *make.walking(px, 0.05 * px, 12)]
        return HardScene([turned(image, boxes, by) for image, boxes in shots], 25, px)

    return scene


def _leaning(make: Director) -> HardScene:
    px = make.px(30)
    shots = make.walking(px, 0.1 * px, 12, float(make.rng.choice([-30, -20, 20, 30])))
    return HardScene([*make.nobody(3), *shots], 25, px)


def _squeezed(make: Director) -> HardScene:
    px = make.px(60)
    across, down = ((4, 1), (1, 4), (2, 1))[int(make.rng.integers(3))]
    shots = []
    for image, boxes in [*make.nobody(3), *make.walking(px, 0.1 * px, 10)]:
        stored = cv2.resize(image, (WIDTH // across, HEIGHT // down), interpolation=cv2.INTER_AREA)
        places = tuple((x1 / across, y1 / down, x2 / across, y2 / down) for x1, y1, x2, y2 in boxes)
        shots.append((np.asarray(stored, np.uint8), places))
    return HardScene(shots, 25, px, Shown(sample_aspect=Fraction(across, down)))


def _zooming(make: Director) -> HardScene:
    """The camera goes closer until a face is large, that was too small to be told."""
    px = make.px(50)
    image, ((x1, y1, x2, y2),) = make.standing(px)
    centre, shots = np.array([(x1 + x2) / 2, (y1 + y2) / 2]), []
    for part in np.linspace(14 / px, 1, 24):
        scene = np.array([[part, 0, 0], [0, part, 0]], np.float64)
        scene[:, 2] = centre - part * centre
        seen = np.asarray(cv2.warpAffine(image, scene, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), np.uint8)
        box = (*(centre + part * (np.array([x1, y1]) - centre)), *(centre + part * (np.array([x2, y2]) - centre)))
        shots.append((seen, (box,) if part * px >= 24 else ()))
    return HardScene(shots, 25, px)


def _lights_go_on(make: Director) -> HardScene:
    px, frames = make.px(30), int(make.rng.integers(2, 30))
    shots = []
    for number, (image, boxes) in enumerate(make.walking(px, 0.03 * px, frames + 4)):
        light = min(1.0, 0.02 + number / frames)
        shots.append((make.in_light(image, light), boxes if light >= 0.08 else ()))
    return HardScene(shots, 25, px)


def _night_camera(make: Director) -> HardScene:
    """Infrared: grey, little contrast, much noise."""
    px, noise, light = make.px(30), float(make.rng.uniform(5, 12)), float(make.rng.uniform(0.3, 0.6))
    shots = []
    for image, boxes in [*make.nobody(), *make.walking(px, 0.08 * px, 14)]:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None].repeat(3, 2) * light + 30
        shots.append((np.clip(grey + make.rng.normal(0, noise, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8), boxes))
    return HardScene(shots, 15, px)


def _wipe(make: Director) -> HardScene:
    """Another shot is pushed over the first one, from one side or out of the middle."""
    px, other = make.px(30), room(WIDTH, HEIGHT, int(make.rng.integers(1000)))
    x, y = make.place(px)
    other, box = with_head(other, make.head(), x, y, px)
    frames, from_side, shots = int(make.rng.integers(4, 24)), bool(make.rng.integers(2)), []
    across, down = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    for number in range(1, frames + 1):
        reach = number / frames
        over = across < reach * WIDTH if from_side else np.hypot(across - WIDTH / 2, down - HEIGHT / 2) < reach * 740
        mixed = np.where(over[..., None], other, make.empty)
        x1, y1, x2, y2 = (round(side) for side in box)
        shots.append((mixed, (box,) if over[y1:y2, x1:x2].mean() > 0.9 else ()))
    return HardScene([*make.nobody(3), *shots], 25, px)


def _screen(make: Director) -> HardScene:
    """A screen hangs in a room, and shows one shot after the other."""
    width, height = int(make.rng.integers(240, 480)), int(make.rng.integers(160, 300))
    left, top = int(make.rng.integers(20, WIDTH - width - 20)), int(make.rng.integers(20, HEIGHT - height - 20))
    px, shots = make.px(26, 0.6 * height), []
    for _ in range(int(make.rng.integers(3, 6))):
        shown = room(width, height, int(make.rng.integers(1000)))
        shown, (x1, y1, x2, y2) = with_head(
            shown, make.head(), float(make.rng.uniform(px / 2, width - px / 2)), height / 2, px
        )
        image = make.empty.copy()
        image[top : top + height, left : left + width] = shown
        shots += [(image, ((x1 + left, y1 + top, x2 + left, y2 + top),))] * int(make.rng.integers(1, 9))
    return HardScene(shots, 30, px)


def _strobe(make: Director) -> HardScene:
    px, on, dark = make.px(30), int(make.rng.integers(1, 4)), float(make.rng.uniform(0.1, 0.4))
    shots = [
        ((image * (1.0 if number // on % 2 else dark)).astype(np.uint8), boxes)
        for number, (image, boxes) in enumerate([*make.nobody(), *make.walking(px, 0.08 * px, 14)])
    ]
    return HardScene(shots, 25, px)


def _shaking(make: Director) -> HardScene:
    """A camera in a hand, before which somebody comes."""
    px, reach, shots = make.px(30), float(make.rng.uniform(2, 14)), []
    for image, boxes in [*make.nobody(), *make.walking(px, 0.05 * px, 14)]:
        x, y = (float(by) for by in make.rng.normal(0, reach, 2))
        moved = cv2.warpAffine(
            image, np.array([[1, 0, x], [0, 1, y]], np.float64), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT
        )
        places = tuple((x1 + x, y1 + y, x2 + x, y2 + y) for x1, y1, x2, y2 in boxes)
        shots.append((np.asarray(moved, np.uint8), places))
    return HardScene(shots, 30, px)


def _uncovered(make: Director) -> HardScene:
    """Something large goes by before somebody who stands there."""
    px = make.px(30)
    image, boxes = make.standing(px)
    (x1, _, x2, _), width, step = boxes[0], int(3 * px), int(make.rng.uniform(0.1, 0.6) * px) + 1
    shots, other = [], room(WIDTH, HEIGHT, int(make.rng.integers(1000)))[:, ::-1]
    for left in range(round(x1 - px), round(x2 + px), step):
        hidden = image.copy()
        start, end = max(left, 0), min(max(left + width, 0), WIDTH)
        hidden[:, start:end] = other[:, start:end] // 2 + 20
        shots.append((hidden, boxes if start >= x2 else ()))
        if left + width <= x1:
            break
    return HardScene(shots, 25, px)


def _before_black(make: Director) -> HardScene:
    """A stage, a call, an inset: only faces are lit, each differently, and all around is nearly black."""
    px, black = make.px(36), int(make.rng.integers(0, 14))
    empty, boxes = np.full_like(make.empty, black), []
    for x in (WIDTH // 4, 3 * WIDTH // 4)[: int(make.rng.integers(1, 3))]:
        face = (make.head() * float(make.rng.uniform(0.12, 1))).astype(np.uint8)
        empty, box = with_head(empty, face, x, float(make.rng.uniform(px, HEIGHT - px)), px)
        boxes.append(box)
    return HardScene([(empty, tuple(boxes))] * 4, 25, px)


def _coarse(make: Director) -> HardScene:
    """So few bits that the codec lets things rest which move."""
    px = make.px(30)
    return HardScene([*make.nobody(), *make.walking(px, 0.06 * px, 20)], 25, px, crf=38)


KINDS: dict[str, Callable[[Director], HardScene]] = {
    "there for 1 to 5 frames": _brief,
    "time-lapse": _time_lapse,
    "crossing": _crossing,
    "panning camera": _pan,
    "small, walking in at 15 fps": _small_walk,
    "fading in": _fading_in,
    "effect on one frame": _effect,
    "cut between dark scenes": _dark_cut,
    "8 % of the light": _dim(0.08),
    "4 % of the light": _dim(0.04),
    "leaning by 20 or 30 degrees": _leaning,
    "lying": _turned((1, 3)),
    "upside down": _turned((2,)),
    "samples that are not square": _squeezed,
    "zooming camera": _zooming,
    "lights go on": _lights_go_on,
    "infrared camera at night": _night_camera,
    "wipe to another shot": _wipe,
    "screen in a room": _screen,
    "strobe light": _strobe,
    "shaking camera": _shaking,
    "somebody behind what goes by": _uncovered,
    "coarsely coded": _coarse,
    "lit faces before black": _before_black,
}


def scenes(people: Sequence[Image], kind: str, count: int, seed: int) -> Iterator[HardScene]:
    """So many scenes of a kind."""
    for number in range(count):
        yield KINDS[kind](Director(people, seed + number))
