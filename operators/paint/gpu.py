"""Paints covers into planes that lie on a device: `patches` says what is painted, this tells the kernels in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.kernels import covers as kernels
from engines.kernels.launch import KernelDevice
from engines.kernels.planes import plane_entry
from operators.arrays import Array
from operators.frame import Cover, Frame, Picture
from operators.paint.colours import colour_of
from operators.paint.cpu import LIGHT_LINES
from operators.paint.gate import check_covered
from operators.paint.geometry import grid_of, region_of
from operators.paint.patches import KEEP, noise_of, patches_of

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
    for number, frame in enumerate(frames):
        for cover in frame.covers:
            table.add(number, frame.picture, cover)
    if table.covers:
        kernels.paint_on(
            device,
            np.concatenate(table.covers),
            [frame.picture.planes[0] for frame in frames],
            np.concatenate(table.noise),
            np.dtype(frames[0].picture.format.dtype),
            light_lines=LIGHT_LINES,
        )


class _CoverTable:
    """Covers as the kernels take them, with what has to stay in memory until they are painted."""

    def __init__(self, device: KernelDevice) -> None:
        self._device = device
        self._patches: list[Array] = []
        self.covers: list[Array] = []
        self.noise: list[Array] = [np.zeros((0, 3), np.float32)]

    def add(self, number: int, picture: Picture, cover: Cover) -> None:
        """Adds a cover of the picture of that number, unless it lies outside of it."""
        region = region_of(picture, cover)
        if region is None:
            return
        box, inner, outer = region
        x1, y1, x2, y2 = box
        table = np.zeros(1, kernels.COVER)
        entry = table[0]
        entry["planes"] = [plane_entry(plane) for plane in picture.planes]
        entry["step_x"], entry["step_y"] = picture.format.subsample_x, picture.format.subsample_y
        entry["unit"] = 1 << (picture.format.bits - 8)
        lines = -(-picture.height // LIGHT_LINES)
        entry["light"], entry["light_share"] = number, 1 / (lines * picture.width)
        entry["centre_x"], entry["centre_y"] = (x1 + x2) / 2, (y1 + y2) / 2
        entry["per_x"], entry["per_y"], entry["reach"] = 2 / (x2 - x1), 2 / (y2 - y1), 1 + 2 * cover.feather
        entry["inner"], entry["outer"] = inner, outer
        entry["style"], entry["is_box"] = STYLES[cover.style], cover.shape == "box"
        entry["across"], entry["down"] = across, down = grid_of(box, cover, inner)
        if cover.style == "solid":
            entry["colours"] = colour_of(picture, cover)
        elif cover.style == "image":
            uploaded = [self._device.upload(patch) for patch in patches_of(picture, cover, region, light=0)]
            self._patches += uploaded
            entry["patches"] = [plane_entry(patch) for patch in uploaded]
        else:
            entry["keep"], entry["noise"] = KEEP, sum(map(len, self.noise))
            self.noise.append(noise_of(cover.seed, cover.cells)[:down, :across].reshape(-1, 3))
        self.covers.append(table)
