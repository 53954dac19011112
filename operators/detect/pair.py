"""A quick and a thorough network, and how the two look together at a picture, at a part of it, or closely at single
faces. Where and when they look is the cascade's business."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array
from operators.boxes import area, intersection, iou
from operators.detect.finders import STRIDE, CenterFaceFinder, YuNetFinder
from operators.detect.looks import on_grid, square_around, suppress
from operators.detect.regions import Region
from operators.frame import Faces, Frame
from operators.shown import Shown

SAME = 0.3
"""Boxes of two looks are one face from this overlap on (IoU)."""
WITHIN = 0.7
"""Nor is it another face where so much of the smaller box lies within the larger."""
CROP_PX, CROP_FACES, CROP_LEAST_PX = 64, (2.0, 3.2), 32
"""Crops are seen at this size, are so many face sizes wide, the second where the first shows none, and never less than
so many pixels of the picture."""
LARGE_PX, REDUCED_PX = 400, 320
"""Of what is larger than the first the quick network also sees a copy reduced to the second, for faces that fill it."""
COARSE_PX = 160
"""Parts of the picture larger than this are shown to the thorough network, and turned to the quick one, at half the
size."""
STRONG = 0.4
"""A face that the thorough network found with less, and the quick one not, must be found in a crop as well."""
ROOM = 0.75
"""Faces that are not upright are looked for where upright ones leave this part of what is looked at."""
TURNED, CONFIRMED = 0.35, 0.2
"""A face that does not stand upright has the first score at least for the quick network; that one, and any of which no
network is sure, the second for the thorough one in a crop."""
REFUTED_IOU, REFUTED_MORE = 0.4, 0.1
"""What overlaps so much with something refuted, and scores no more than this above it, is the same."""
EDGE_PX = 4
"""A face that comes so near to the edge of what was looked at may reach beyond."""
DIM, LIT, MAX_GAIN = 40.0, 90.0, 12.0
"""Where the mean light is below the first, of 255, networks see it raised to the second, by this factor at most."""
EXPOSURES, BURNT_PX = 3.5, 12
"""What is burnt out by that in more than the second squared is seen raised by the first less as well: a lit face before
a dark background, and one in half-light between both."""


@dataclass(frozen=True, slots=True)
class AskedRegion:
    """A region that is to be looked at.

    Attributes:
        light: how bright it is there on average, above black, of 255.
        fine: in full resolution.
        thoroughly: with the thorough network, too.
        turning: for faces that do not stand upright, too.
    """

    region: Region
    light: float
    fine: bool
    thoroughly: bool
    turning: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A region as networks see it: as a frame, at a size, from that corner on."""

    asked: AskedRegion
    frame: Frame
    size: tuple[int, int]
    is_whole: bool

    @classmethod
    def of(cls, frame: Frame, asked: AskedRegion, finder: CenterFaceFinder) -> _Part:
        region = asked.region
        part = lit(replace(frame, picture=frame.picture.part(*region)), asked.light)
        whole = region == (0, 0, frame.picture.width, frame.picture.height)
        return cls(asked, part, finder.size_of(part, within=frame), whole)

    @property
    def corner(self) -> NDArray[np.float32]:
        return np.array(self.asked.region[:2], np.float32)

    def room_beside(self, faces: Faces) -> float:
        """The part of the region that the faces leave."""
        region = np.array([self.asked.region], np.float32)
        return 1 - float(intersection(region, faces.boxes).sum() / max(float(area(region)[0]), 1.0))


@dataclass(frozen=True, slots=True)
class NetworkPair:
    """Faces that it finds carry `turn` in `data`, `(n,)` int64: the quarters, counter-clockwise, by which the picture
    was turned when it saw them upright, beyond those by which it is shown.

    Attributes:
        thorough, quick: the networks.
        sure: the score from which on the quick one is believed.
        turned: whether faces that lie or hang are looked for.
    """

    thorough: CenterFaceFinder
    quick: YuNetFinder
    sure: float
    turned: bool = True

    def look(self, frame: Frame, asked: Sequence[AskedRegion], refuted: Faces) -> tuple[Faces, Faces]:
        """The faces in some regions of the picture, and what was taken for one until it was looked at closely.

        Args:
            refuted: what has been so taken lately, and is not to be looked at again unless it has come to look more
                like a face.

        Raises:
            FrameError: a network's output is not finite.
        """
        parts = [_Part.of(frame, each, self.thorough) for region in asked for each in exposures(frame, region)]
        quick = self._quickly(parts)
        if len(parts) > len(asked):
            quick = apart(quick[np.argsort(-quick.scores, kind="stable")], quick[:0])
        sure = quick[quick.scores >= self.sure]
        doubtful = quick[quick.scores < self.sure]
        doubtful = doubtful[~_is_refuted(doubtful, refuted)]
        found = self._thoroughly(parts)
        strong = (found.scores >= STRONG) | (iou(found.boxes, quick.boxes).max(axis=1, initial=0) >= SAME)
        sure += apart(found[strong], sure)
        doubtful += found[~strong]
        upright, wrong = self._confirmed(frame, parts, sure, doubtful)
        if self.turned:
            roomy = [part for part in parts if part.asked.turning and part.room_beside(upright) >= ROOM]
            upright += apart(self._find_turned(frame, roomy), upright)
        return upright, wrong

    def _quickly(self, parts: Sequence[_Part]) -> Faces:
        """What the quick network sees in the parts, and in reduced copies of those that are large."""
        large = [part for part in parts if part.asked.fine and max(part.size) > LARGE_PX]
        shrunk = [REDUCED_PX / max(part.size) for part in large]
        sizes = [part.size if part.asked.fine else coarse(part.size) for part in parts]
        sizes += [on_grid(part.size[0] * by, part.size[1] * by, STRIDE) for part, by in zip(large, shrunk, strict=True)]
        seen = [*parts, *large]
        looked = self.quick.find_packed([part.frame for part in seen], sizes)
        found = _in_picture(seen, looked)
        whole = found[: sum(map(len, looked[: len(parts)]))]
        return whole + apart(found[len(whole) :], whole)

    def _thoroughly(self, parts: Sequence[_Part]) -> Faces:
        chosen = [part for part in parts if part.asked.thoroughly]
        sizes = [part.size if part.is_whole else coarse(part.size) for part in chosen]
        return _in_picture(chosen, self.thorough.find_packed([part.frame for part in chosen], sizes))

    def _confirmed(self, frame: Frame, parts: Sequence[_Part], sure: Faces, doubtful: Faces) -> tuple[Faces, Faces]:
        """Those of which a network is sure, and those that are found in crops; what is cut off by the edge of a part is
        seen as a whole. And those that are not."""
        size = frame.picture.width, frame.picture.height
        whole = np.array([not _is_cut_off(sure[row], parts, size) for row in range(len(sure))], np.bool_)
        pieces, sure = sure[~whole], sure[whole]
        doubtful = apart(doubtful[np.argsort(-doubtful.scores)], sure)
        again = pieces + doubtful
        lights = [parts[int(part)].asked.light for part in again.data["part"]]
        found = self.closely(frame, again.boxes, np.zeros(len(again), np.int64), lights, CROP_FACES[:1])
        found = [None if face is None or face.scores[0] < CONFIRMED else face for face in found]
        kept = [pieces[row] if face is None else face for row, face in enumerate(found) if face or row < len(pieces)]
        sure = _upright(sure)
        for face in kept:
            sure += apart(_upright(face), sure)
        wrong = [row for row, face in enumerate(found) if face is None and row >= len(pieces)]
        return sure, _upright(again[wrong])

    def _find_turned(self, frame: Frame, parts: Sequence[_Part]) -> Faces:
        """Faces that lie on one side, on the other, or hang."""
        seen = [(part, quarters) for part in parts for quarters in (1, 3, 2)]
        looked = self.quick.find_packed(
            [turned(part.frame, quarters) for part, quarters in seen],
            [coarse(part.size if quarters == 2 else part.size[::-1]) for part, quarters in seen],
        )
        found = Faces.of(data={"turn": np.zeros(0, np.int64), "light": np.zeros(0)})
        for (part, quarters), lain in zip(seen, looked, strict=True):
            lain = _moved(lain[lain.scores >= TURNED], part.corner)
            found += lain.with_data(turn=np.full(len(lain), quarters), light=np.full(len(lain), part.asked.light))
        found = found[np.argsort(-found.scores)]
        found = apart(found, found[:0])
        closer = self.closely(frame, found.boxes, found.data["turn"], found.data["light"].tolist())
        kept = found[[row for row, face in enumerate(closer) if face is not None and face.scores[0] >= CONFIRMED]]
        return replace(kept, data={"turn": kept.data["turn"]})

    def closely(
        self,
        frame: Frame,
        boxes: Array,
        turns: Array,
        lights: Sequence[float],
        widths: Sequence[float] = CROP_FACES,
    ) -> list[Faces | None]:
        """For each of the boxes `(n, 4)`, which stand upright after so many quarters `(n,)`, with so much light on
        them, the face there as the thorough network sees it in a crop of the first of so many face sizes that shows
        one, or None."""
        found: list[Faces | None] = [None] * len(boxes)
        for faces_wide in widths:
            rows = [row for row, face in enumerate(found) if face is None]
            crops = [square_around(frame, boxes[row], sizes=faces_wide, least_px=CROP_LEAST_PX) for row in rows]
            shown = [
                turned(lit(crop, lights[row]), int(turns[row])) for row, (_, crop) in zip(rows, crops, strict=True)
            ]
            looked = self.thorough.find(shown, (CROP_PX, CROP_PX)) if shown else []
            for row, (corner, _), faces in zip(rows, crops, looked, strict=True):
                near = _nearest(_moved(faces, corner), boxes[row])
                found[row] = None if near is None else near.with_data(turn=np.array([turns[row]], np.int64))
        return found


def coarse(size: tuple[int, int]) -> tuple[int, int]:
    """The size at which the thorough network sees a part of a picture that the quick one sees at this size.

    >>> coarse((128, 96)), coarse((640, 320))
    ((128, 96), (320, 160))
    """
    return size if max(size) <= COARSE_PX else on_grid(size[0] / 2, size[1] / 2, STRIDE)


def exposures(frame: Frame, asked: AskedRegion) -> Iterator[AskedRegion]:
    """The region, and where it is dim, the same for lighter parts of it that would be burnt out."""
    yield asked
    if asked.light >= DIM:
        return
    x1, y1, x2, y2 = asked.region
    picture = frame.picture.part(x1, y1, x2, y2)
    above = picture.planes[0].astype(np.float32) / (1 << (picture.format.bits - 8)) - picture.black
    light = asked.light
    while light < DIM and np.count_nonzero(above > 255 / _gain(light)) >= BURNT_PX**2:
        light = LIT * EXPOSURES / _gain(light)
        yield replace(asked, light=light)


def _gain(light: float) -> float:
    return min(LIT / max(light, 1.0), MAX_GAIN)


def lit(frame: Frame, light: float) -> Frame:
    """The frame, raised to usual light where it is dim: by `light`, its mean above black, of 255.

    >>> from operators.stills import frame_of
    >>> bright = lit(frame_of(np.full((4, 4, 3), 20, np.uint8)), 17.0)
    >>> int(bright.picture.planes[0][0, 0])
    106
    """
    if light >= DIM:
        return frame
    gain = _gain(light)
    unit = 1 << (frame.picture.format.bits - 8)
    top, black = 256 * unit - 1, frame.picture.black * unit
    y, u, v = (plane.astype(np.float32) for plane in frame.picture.planes)
    raised = [(y - black) * gain + black, *((plane - 128 * unit) * gain + 128 * unit for plane in (u, v))]
    y, u, v = (np.clip(plane, 0, top).astype(frame.picture.format.dtype) for plane in raised)
    return replace(frame, picture=replace(frame.picture, planes=(y, u, v)))


def turned(frame: Frame, quarters: int) -> Frame:
    """The frame as somebody sees it who turns what is shown by so many quarters more, counter-clockwise.

    >>> from operators.stills import frame_of
    >>> turned(frame_of(np.zeros((4, 8, 3), np.uint8)), 3).shown.rotation
    -90
    """
    if not quarters:
        return frame
    shown = frame.shown
    turns = shown.turns + (-quarters if shown.mirrored else quarters)
    return replace(frame, shown=replace(shown, matrix=Shown.turned(90 * turns, mirrored=shown.mirrored).matrix))


def apart(faces: Faces, others: Faces) -> Faces:
    """The faces that are none of the others, and of those that are one with each other the first."""
    kept: list[int] = []
    same = same_face(faces.boxes, faces.boxes)
    known = np.asarray(same_face(faces.boxes, others.boxes).any(axis=1))
    for row in range(len(faces)):
        if not known[row] and not any(same[row, other] for other in kept):
            kept.append(row)
    return faces[kept]


def same_face(boxes: Array, others: Array) -> NDArray[np.bool_]:
    """`(n, m)`: which boxes are the same face: they overlap much, or one lies within the other.

    >>> same_face(np.array([[0, 0, 10.0, 10]]), np.array([[0, 0, 10.0, 12], [2, 2, 5, 5], [20, 0, 30, 10]])).tolist()
    [[True, True, False]]
    """
    smaller = np.minimum(area(boxes)[:, None], area(others)[None])
    within = intersection(boxes, others) >= WITHIN * np.maximum(smaller, 1e-9)
    return np.asarray((iou(boxes, others) >= SAME) | within)


def _upright(faces: Faces) -> Faces:
    return replace(faces, data={"turn": np.zeros(len(faces), np.int64)})


def _is_refuted(faces: Faces, refuted: Faces) -> NDArray[np.bool_]:
    """Which of the faces are not to be looked at again: `(n,)`."""
    same = iou(faces.boxes, refuted.boxes) >= REFUTED_IOU
    return np.asarray((same & (faces.scores[:, None] <= refuted.scores[None] + REFUTED_MORE)).any(axis=1))


def _nearest(faces: Faces, box: Array) -> Faces | None:
    """The face that the box means, if it is among them."""
    if not len(faces):
        return None
    faces = faces[suppress(faces.boxes, faces.scores, SAME)]
    side = float((box[2:] - box[:2]).max())
    away = np.abs((faces.boxes[:, :2] + faces.boxes[:, 2:] - box[:2] - box[2:]) / 2).max(axis=1)
    near = np.flatnonzero((away <= side / 2) | same_face(faces.boxes, box[None])[:, 0])
    if not len(near):
        return None
    overlap = iou(faces.boxes[near], box[None])[:, 0]
    return faces[near[[int(np.argmax(overlap + 0.1 * faces.scores[near]))]]]


def _is_cut_off(face: Faces, parts: Sequence[_Part], size: tuple[int, int]) -> bool:
    """The face comes to an edge of its part that is not the picture's."""
    x1, y1, x2, y2 = parts[int(face.data["part"][0])].asked.region
    left, top, right, bottom = face.boxes[0].tolist()
    inner = (x1 > 0, left - x1), (y1 > 0, top - y1), (x2 < size[0], x2 - right), (y2 < size[1], y2 - bottom)
    return any(is_inner and gap < EDGE_PX for is_inner, gap in inner)


def _in_picture(parts: Sequence[_Part], looked: Sequence[Faces]) -> Faces:
    """What was found in each of the parts, where it lies in the picture; `part` in `data` is the part's number."""
    found = Faces.of(data={"part": np.zeros(0, np.int64)})
    numbers = {id(part): number for number, part in reversed(list(enumerate(parts)))}
    for part, faces in zip(parts, looked, strict=True):
        found += _moved(faces, part.corner).with_data(part=np.full(len(faces), numbers[id(part)]))
    return found


def _moved(faces: Faces, corner: Array) -> Faces:
    """Faces of a piece of the picture whose upper left corner lies there, in the picture."""
    return replace(faces, boxes=faces.boxes + np.tile(corner, 2), landmarks=faces.landmarks + corner)
