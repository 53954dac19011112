"""Labelled photos on a wall, as a fixed camera films them: scenes of some photos, with faces whose boxes are known.

A scene opens by a cut and shows some of its photos. They stay for two seconds; then the rest of them appear, while all
else remains as it was, and a second later the scene ends. Photos have their own size: nothing is enlarged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from bench.rooms import SensorNoise, coded, room
from operators.arrays import Array, Image
from operators.frame import Frame
from operators.stills import Labelled, decode_image, planar

Look = Literal["first", "later", "new", "new_later"]
GAP_PX = 8
BURST_S, BURST, REST_S = 0.04, 6, 0.2
"""After something has changed so many frames follow each other at a camera's pace, the others at a slower one."""
STAYS_S, NEW_STAYS_S = 2.0, 1.0
"""How long a scene stands before its other photos appear, and how long after that it ends."""


@dataclass(frozen=True, slots=True)
class Hung:
    """A photo, by its number, and where its upper left corner lies."""

    photo: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Moment:
    """What is judged in one frame.

    Attributes:
        look: of which kind it is for the photos in `judged`; other photos may hang there as well.
        judged: numbers of photos.
        boxes: of all photos that hang there: `(n, 4)` faces in pixels of the frame, by the photo's number.
    """

    look: Look
    judged: tuple[int, ...]
    boxes: Mapping[int, Array]


def hang(sizes: Mapping[int, tuple[int, int]], width: int, height: int) -> list[list[Hung]]:
    """Walls of photos, row by row from the tallest on; those that are larger than the wall are left out.

    Args:
        sizes: width and height of each photo, by its number.

    >>> hang({0: (40, 20), 1: (40, 30), 2: (90, 90), 3: (40, 20)}, 100, 64)
    [[Hung(photo=1, x=0, y=0), Hung(photo=0, x=48, y=0), Hung(photo=3, x=0, y=38)]]
    """
    walls: list[list[Hung]] = []
    x = y = row = 0
    for photo, (across, down) in sorted(sizes.items(), key=lambda item: (-item[1][1], item[0])):
        if across > width or down > height:
            continue
        if walls and x + across > width:
            x, y, row = 0, y + row + GAP_PX, 0
        if not walls or y + down > height:
            walls.append([])
            x = y = row = 0
        walls[-1].append(Hung(photo, x, y))
        x, row = x + (across + GAP_PX) // 2 * 2, max(row, down)
    return walls


def shown_at(begins_s: float, lasts_s: float) -> list[float]:
    """When the frames of a still picture are shown: some in a row, then at a slower pace, the last at the end.

    >>> [round(time_s, 2) for time_s in shown_at(0.0, 0.6)]
    [0.0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.4, 0.6]
    """
    burst = [begins_s + number * BURST_S for number in range(BURST)]
    rest = round(lasts_s / REST_S) - round((BURST - 1) * BURST_S / REST_S)
    return burst + [burst[-1] + (number + 1) * REST_S for number in range(rest)]


class PhotoClip:
    """Scenes one after the other, as one stream.

    Args:
        photos: labelled, by their numbers.
        swapped: the photos that would have appeared later are there at first, and the other way round.

    Attributes:
        walls: what hangs where in each scene.
    """

    def __init__(
        self, photos: Mapping[int, Labelled], width: int, height: int, *, swapped: bool = False, seed: int = 0
    ) -> None:
        self._photos, self._size, self._swapped, self._seed = photos, (width, height), swapped, seed
        sizes = {number: decode_image(photo.content).shape[1::-1] for number, photo in photos.items()}
        self.walls = hang(sizes, width, height)
        self._wall = room(width, height, seed)

    def frames(self, stream: str = "") -> Iterator[tuple[Frame, Moment | None]]:
        """Frames in order, through a sensor's noise and a codec, and what is to be judged in them."""
        noise, script = SensorNoise(*self._size, self._seed), self._script()
        moments: list[Moment | None] = []

        def stills() -> Iterator[tuple[float, Array]]:
            for time_s, stacked, moment in script:
                moments.append(moment)
                yield time_s, noise.on(stacked)

        for index, (time_s, shown) in enumerate(coded(stills())):
            yield Frame(stream, index, time_s, planar(shown)), moments[index]

    def _script(self) -> Iterator[tuple[float, Array, Moment | None]]:
        """Times, pictures as planes of yuv420p one below the other, and moments."""
        begins_s = 0.0
        for wall in self.walls:
            here, coming = wall[self._swapped :: 2], wall[not self._swapped :: 2]
            for photos, judged, looks, lasts_s in (
                (here, here, ("first", "later"), STAYS_S),
                ([*here, *coming], coming, ("new", "new_later"), NEW_STAYS_S),
            ):
                stacked, boxes = self._hung(photos)
                times = shown_at(begins_s, lasts_s)
                of: dict[int, Look] = dict(zip((0, len(times) - 1), looks, strict=True))  # type: ignore[arg-type]
                for number, time_s in enumerate(times):
                    who = tuple(each.photo for each in judged)
                    yield time_s, stacked, Moment(of[number], who, boxes) if number in of and who else None
                begins_s = times[-1] + BURST_S

    def _hung(self, photos: Sequence[Hung]) -> tuple[Array, dict[int, Array]]:
        picture: Image = self._wall.copy()
        boxes = {}
        for each in photos:
            image = decode_image(self._photos[each.photo].content)
            picture[each.y : each.y + image.shape[0], each.x : each.x + image.shape[1]] = image
            boxes[each.photo] = self._photos[each.photo].boxes + np.tile([each.x, each.y], 2)
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)), boxes
