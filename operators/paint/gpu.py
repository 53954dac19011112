"""Paints covers into planes that lie on a device: `patches` says what is painted, this tells the kernels in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.kernels import covers as kernels
from engines.kernels.launch import KernelDevice
from engines.kernels.planes import plane_entry
from operators.arrays import Array
from operators.frame import Frame, Picture
from operators.paint import tones
from operators.paint.colours import colour_of
from operators.paint.gate import check_covered
from operators.paint.patches import patches_of, relief_of
from operators.paint.plan import PlacedCover, groups_in

STYLES = {"solid": kernels.SOLID, "image": kernels.IMAGE, "mosaic": kernels.MOSAIC, "blur": kernels.BLUR}


def paint_on(device: KernelDevice, frames: Sequence[Frame]) -> None:
    """As `cpu.paint` on each frame, in launches for all of them; their planes lie on the device.

    Raises:
        FrameError: in one of the frames a face is not covered, or a cover cannot be painted; nothing has been painted.
    """
    for frame in frames:
        check_covered(frame)
    for bits in {frame.picture.format.bits for frame in frames}:
        _paint_alike(device, [frame for frame in frames if frame.picture.format.bits == bits])


def _paint_alike(device: KernelDevice, frames: Sequence[Frame]) -> None:
    table = _CoverTable(device)
    pictures = []
    for number, frame in enumerate(frames):
        first = len(table.covers)
        for group in groups_in(frame):
            for placed in group.covers:
                table.add(number, frame.picture, placed, overlaps=len(group.covers) > 1, blends=group.blends)
        pictures.append(_picture_entry(frame.picture, first, len(table.covers) - first))
    if table.covers:
        kernels.paint_on(
            device,
            np.concatenate(pictures),
            np.concatenate(table.covers),
            np.concatenate(table.relief),
            np.array(table.overlaps),
            np.dtype(frames[0].picture.format.dtype),
        )


def _picture_entry(picture: Picture, first: int, covers: int) -> Array:
    """`(1,)` PICTURE with so many covers from the first one on."""
    table = np.zeros(1, kernels.PICTURE)
    entry = table[0]
    entry["planes"] = [plane_entry(plane) for plane in picture.planes]
    entry["step_x"], entry["step_y"] = picture.format.subsample_x, picture.format.subsample_y
    entry["stride"], entry["first"], entry["covers"] = tones.STRIDE, first, covers
    entry["unit"], entry["low"], entry["span"] = tones.luma_range(picture)
    entry["neutral"], entry["dark"] = tones.NEUTRAL, tones.DARK
    entry["origin"], entry["reach"] = tones.skin_of(picture)
    entry["usual_light"], entry["light_power"] = tones.USUAL_LIGHT, tones.LIGHT_POWER
    entry["darkest"], entry["brightest"] = tones.DARKEST, tones.BRIGHTEST
    entry["usual_spread"], entry["spread_power"] = tones.USUAL_SPREAD, tones.SPREAD_POWER
    entry["cast"], entry["doubt"] = tones.CAST, tones.DOUBT
    return table


class _CoverTable:
    """Covers as the kernels take them, with what has to stay in memory until they are painted."""

    def __init__(self, device: KernelDevice) -> None:
        self._device = device
        self._patches: list[Array] = []
        self.covers: list[Array] = []
        self.overlaps: list[bool] = []
        self.relief: list[Array] = [np.zeros(0, np.float32)]

    def add(self, number: int, picture: Picture, placed: PlacedCover, *, overlaps: bool, blends: bool) -> None:
        """Adds a cover of the picture of that number."""
        cover, (box, inner, outer) = placed
        x1, y1, x2, y2 = box
        table = np.zeros(1, kernels.COVER)
        entry = table[0]
        entry["planes"] = [plane_entry(plane) for plane in picture.planes]
        entry["step_x"], entry["step_y"] = picture.format.subsample_x, picture.format.subsample_y
        entry["picture"], entry["blends"] = number, blends
        entry["centre_x"], entry["centre_y"] = (x1 + x2) / 2, (y1 + y2) / 2
        entry["per_x"], entry["per_y"], entry["reach"] = 2 / (x2 - x1), 2 / (y2 - y1), 1 + 2 * cover.feather
        entry["inner"], entry["outer"] = inner, outer
        entry["style"], entry["is_box"] = STYLES[cover.style], cover.shape == "box"
        if cover.style == "solid":
            entry["colours"] = colour_of(picture, cover)
        elif cover.style == "image":
            uploaded = [self._device.upload(patch) for patch in patches_of(picture, *placed, None)]
            self._patches += uploaded
            entry["patches"] = [plane_entry(patch) for patch in uploaded]
        else:
            relief = relief_of(cover, placed.region)
            entry["down"], entry["across"], _ = relief.shape
            entry["tints"] = sum(map(len, self.relief))
            self.relief.append(relief.transpose(2, 0, 1).reshape(-1))
        self.covers.append(table)
        self.overlaps.append(overlaps)
