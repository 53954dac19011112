"""What says that nothing new is in a frame: its own pixels, compared with those that detectors have looked at.

The comparison is made in a reduced luma plane. What has changed since something was looked at is added up frame by
frame and moves along with the picture: each step is the difference to the frame before, displaced by dense optical flow
(Kroeger et al., "Fast Optical Flow using Dense Inverse Search", 2016) where that explains it better than standing
still. So a face that fades in slowly adds up as well as one that is suddenly there, a camera that pans and a body that
walks explain themselves, and no time that has passed stands for anything. What counts as a change is measured by the
picture's own noise and by the light there is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array
from operators.detect.looks import extent
from operators.frame import Picture

LONGEST = 512
"""The reduced plane is smaller than this on both sides: its samples are means of 1, 2, 4 or 8 pixels squared."""
TILE = 8
"""Width and height of a tile, in samples of the reduced plane."""
SURROUND = 41
"""Samples over which a change of light is taken off: what is compared is structure."""
NOISE, LIGHT, FLOOR, SLOPE = 5.0, 0.08, 1.5, 0.8
"""A sample has changed by more than so many standard deviations of the noise, than this part of the light around it,
than this, of 255, and than so many samples of displacement explain, by how steep the picture was and is there."""
PATCH, FILLED = 6, 14
"""Of this many samples squared, so many have changed where something new is: a face of 24 pixels at a scale of 4."""
QUARTILE_OF_NORMAL = 0.3186
"""A quarter of all values of a normal distribution lie within so many standard deviations of its mean."""
MOST_NOISE = 2.5
"""More than this is no noise: the picture moves."""
BETTER = 0.9
"""Flow explains a sample where it leaves at most this part of the difference around it."""
FARTHEST = 48
"""A face moves by at most so many samples from one frame to the next; what moves farther is looked at anew."""
AROUND = 1.2
"""A face is followed by what it and its edge show, so many times as large as its box."""
BORDER = 0.15
"""Of a face's box this part on each side may be what is around it."""
SUDDEN = 0.5
"""Where flow leaves this part of the contrast, something was not there before."""
NEW, IN = 64.0, 0.75
"""The change of what came in over the picture's edge by more than so many samples in one frame; slower, it adds up."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """How a frame differs from what was looked at.

    Attributes:
        changed: `(h, w)` bool, samples of the reduced plane that are not explained, where there are many.
        light: `(h, w)` float32, how bright it is around each sample, above black, of 255.
        flow: `(h, w, 2)` float32, where each sample was in the frame before, less where it is; None where nothing
            moves.
        scale: how many pixels of the picture a sample is wide and high.
        step: `(h, w)` float32, what the flow leaves of the difference to the frame before.
    """

    changed: NDArray[np.bool_]
    light: NDArray[np.float32]
    flow: NDArray[np.float32] | None
    scale: int
    step: NDArray[np.float32]

    @property
    def share(self) -> float:
        """The part of the picture's tiles in which something has changed."""
        return float(tiles_of(self.changed).mean())


class Evidence:
    """Follows one stream, whose pictures have one size.

    Attributes:
        labels: `(h, w)` uint16, which face each sample of the reduced plane belongs to, 0 for none. They move along.
    """

    def __init__(self, picture: Picture) -> None:
        self.scale = scale_of(picture)
        self._before = self._earlier = reduced(picture, self.scale)
        self._sum = np.full(self._before.shape, NEW, np.float32)
        self._slope = np.zeros_like(self._before)
        self.labels = np.zeros(self._before.shape, np.uint16)
        self._noise = FLOOR / NOISE
        # Finest scale and patches of its fastest setting: it cannot paint a small face out of what is near.
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        rows, columns = self._before.shape
        x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
        self._grid = np.stack([x, y], axis=-1)

    def compare(self, picture: Picture) -> Change:
        """Takes the next frame of the stream in, and says what of it is not explained."""
        now, before = reduced(picture, self.scale), self._before
        step = now - before
        flow = None
        self._slope[...] = 0  # standing still explains nothing
        if self._is_noticed(step):
            flow, step = self._displaced(step, now)
        self._sum += step
        np.clip(self._sum, -NEW, NEW, out=self._sum)
        self._learn_noise(step)
        self._earlier, self._before = self._before, now
        light = cv2.blur(now, (SURROUND, SURROUND)) - picture.black
        return Change(self._is_beyond(self._sum, light), np.maximum(light, 0), flow, self.scale, step)

    def differs_from(self, picture: Array, light: Array) -> float:
        """The part of the tiles in which the frame compared last differs from another reduced plane of the stream."""
        return float(tiles_of(self._is_beyond(self._before - picture, light)).mean())

    def is_sudden(self, change: Change, box: Array) -> bool:
        """What is in a box, in pixels, was not there in the frame before the one compared last: the flow leaves most of
        its structure."""
        x1, y1, x2, y2 = (float(side) for side in box)
        within = span(y1, y2, self.scale), span(x1, x2, self.scale)
        new, now = (plane[within] for plane in (change.step, self._before))
        if not now.size:
            return False
        return bool(np.abs(new - new.mean()).mean() >= SUDDEN * np.abs(now - now.mean()).mean())

    @property
    def plane(self) -> NDArray[np.float32]:
        """The reduced plane of the frame that was compared last."""
        return self._before

    def followed(self, box: Array, number: int, change: Change) -> tuple[NDArray[np.float32], int]:
        """How far the face of that number, in a box of the frame before, has moved to the frame compared last, x y in
        pixels, and how many samples are still its own. Of how its samples move, and how those do that move at all, what
        explains the face best counts: the inside of a face may be too even to show that it moves."""
        still, out = np.zeros(2, np.float32), FARTHEST * self.scale
        x1, y1, x2, y2 = (float(side) for side in box)
        around = span(y1 - out, y2 + out, self.scale), span(x1 - out, x2 + out, self.scale)
        theirs = self.labels[around] == number
        samples = int(np.count_nonzero(theirs))
        if change.flow is None:
            return still, samples
        flow = change.flow[around][theirs]
        moving = flow[(flow != 0).any(axis=1)]
        if not len(moving):
            return still, samples
        ways = [-np.median(flow, axis=0), -np.median(moving, axis=0), still]
        left = [self._left(box, way) for way in ways]
        return np.asarray(ways[int(np.argmin(left))] * self.scale, np.float32), samples

    def _left(self, box: Array, way: Array) -> float:
        """What of the face and a little around it would be left unexplained if it had moved so, in samples."""
        corners = box.reshape(2, 2) / self.scale
        center, sides = corners.mean(axis=0) - 0.5, AROUND * (corners[1] - corners[0])
        patch = max(3, round(float(sides[0]))), max(3, round(float(sides[1])))
        before, now = (
            cv2.getRectSubPix(plane, patch, (float(at[0]), float(at[1])))
            for plane, at in ((self._earlier, center), (self._before, center + way))
        )
        return float(np.abs(now - before).mean())

    def looked_at(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """A detector has looked at this box, in pixels of the picture that was compared last."""
        across, down = span(x1, x2, self.scale), span(y1, y2, self.scale)
        self._sum[down, across] = 0
        self.labels[down, across] = 0

    def label(self, box: Array, number: int) -> None:
        """What lies in a box, in pixels, but for its border, is the face of that number, 1 to 65535."""
        x1, y1, x2, y2 = (float(side) for side in box)
        out_x, out_y = BORDER * (x2 - x1), BORDER * (y2 - y1)
        across, down = span(x1 + out_x, x2 - out_x, self.scale), span(y1 + out_y, y2 - out_y, self.scale)
        self.labels[down, across] = number

    def _displaced(self, step: Array, now: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The flow, zero where standing still explains as much, and what it leaves; takes the sum along."""
        gain = 255 / max(64.0, float(now.max()), float(self._before.max()))
        bright, bright_before = (cv2.convertScaleAbs(plane, alpha=gain) for plane in (now, self._before))
        flow = np.asarray(self._dis.calc(bright, bright_before, np.zeros_like(self._grid)), np.float32)
        source = self._grid + flow
        moved = cv2.remap(self._before, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        left = now - moved
        window = (TILE // 2 + 1,) * 2
        helps = cv2.blur(np.abs(left), window) < BETTER * cv2.blur(np.abs(step), window)
        flow[~helps] = 0
        self._slope = np.minimum(_slope(np.where(helps, moved, self._before)), _slope(now))
        source = self._grid + flow
        carried = cv2.remap(self._sum, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self._sum = np.asarray(carried, np.float32)
        carried = cv2.remap(self.labels, source, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        self.labels = np.asarray(carried, np.uint16)
        rows, columns = now.shape
        x, y = source[..., 0], source[..., 1]
        self._sum[(x < -IN) | (x > columns - 1 + IN) | (y < -IN) | (y > rows - 1 + IN)] = NEW
        return flow, np.where(helps, left, step)

    def _is_noticed(self, step: Array) -> bool:
        """Anything is above the noise, so that it is worth asking where it came from."""
        return _largest(cv2.blur(step, (3, 3))) > max(FLOOR, NOISE * self._noise / 2)

    def _is_beyond(self, change: Array, light: Array) -> NDArray[np.bool_]:
        around, floor = cv2.blur(change, (3, 3)), max(FLOOR, NOISE * self._noise)
        if 2 * _largest(around) <= floor:  # as in most frames in which nothing happens
            return np.zeros(change.shape, np.bool_)
        structure = around - cv2.blur(around, (SURROUND, SURROUND))
        limit = np.maximum(np.maximum(LIGHT * light, SLOPE * self._slope), floor)
        beyond = (np.abs(structure) > limit).astype(np.float32)
        return np.asarray(cv2.boxFilter(beyond, -1, (PATCH, PATCH), normalize=False) >= FILLED)

    def _learn_noise(self, step: Array) -> None:
        few = np.abs(step[::3, ::3]).ravel()
        low = float(np.partition(few, len(few) // 4)[len(few) // 4]) / QUARTILE_OF_NORMAL
        self._noise += 0.2 * (min(low, MOST_NOISE) - self._noise)


def scale_of(picture: Picture) -> int:
    """How many pixels a sample of the reduced plane is wide and high.

    >>> from operators.stills import picture_of
    >>> scale_of(picture_of(np.zeros((720, 1280, 3), np.uint8)))
    4
    """
    longest, scale = extent(picture.width, picture.height), 1
    while longest / scale > LONGEST:
        scale *= 2
    return scale


def reduced(picture: Picture, scale: int) -> NDArray[np.float32]:
    """The luma of a picture in means of `scale` pixels squared, `(h, w)` in 0..255; what is left over at the far edges
    counts in none.

    >>> from operators.stills import picture_of
    >>> reduced(picture_of(np.zeros((8, 12, 3), np.uint8)), 4).tolist()
    [[16.0, 16.0, 16.0], [16.0, 16.0, 16.0]]
    """
    columns, rows = max(1, picture.width // scale), max(1, picture.height // scale)
    few: Array = picture.planes[0][: rows * scale, : columns * scale]
    for half in range(scale.bit_length() - 2, -1, -1):  # by halves, for which OpenCV is quick
        few = np.asarray(cv2.resize(few, (columns << half, rows << half), interpolation=cv2.INTER_AREA))
    plane = np.asarray(few, np.float32) / np.float32(1 << (picture.format.bits - 8))
    return np.asarray(cv2.GaussianBlur(plane, (3, 3), 0))  # what lies between samples is interpolated with less error


def _largest(plane: Array) -> float:
    """The largest absolute value."""
    low, high, _, _ = cv2.minMaxLoc(plane)
    return float(max(-low, high))


def _slope(plane: Array) -> NDArray[np.float32]:
    """How much the plane changes from a sample to the next, the most around each sample."""
    across, down = (cv2.Sobel(plane, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    return np.asarray(cv2.dilate(np.abs(across) + np.abs(down), np.ones((3, 3), np.uint8)), np.float32)


def counts_of(changed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many samples of each tile changed: `(rows, columns)` of tiles, those cut off at the edges too.

    >>> changed = np.zeros((10, 16), bool); changed[9, 8:10] = True
    >>> counts_of(changed).tolist()
    [[0, 0], [0, 2]]
    """
    rows, columns = (-(-side // TILE) for side in changed.shape)
    if not changed.any():  # as in most frames, and a hundred times as quick
        return np.zeros((rows, columns), np.int64)
    padded = np.zeros((rows * TILE, columns * TILE), np.bool_)
    padded[: changed.shape[0], : changed.shape[1]] = changed
    down = padded.reshape(rows, TILE, -1).sum(axis=1, dtype=np.uint8)
    return np.asarray(down.reshape(rows, columns, TILE).sum(axis=2, dtype=np.int64))


def tiles_of(changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """In which tiles anything changed; as `counts_of`."""
    return np.asarray(counts_of(changed) > 0)


def samples_of(tiles: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """All samples of tiles that are set, in a plane of that shape.

    >>> samples_of(np.array([[True, False]]), (3, 10)).sum(axis=1).tolist()
    [8, 8, 8]
    """
    whole = tiles.repeat(TILE, axis=0).repeat(TILE, axis=1)
    return np.asarray(whole[: shape[0], : shape[1]])


def span(low: float, high: float, scale: int) -> slice:
    """The samples that pixels from `low` to `high` touch.

    >>> span(-3, 9, 4)
    slice(0, 3, None)
    """
    return slice(max(0, int(low // scale)), max(0, int(-(-high // scale))))
