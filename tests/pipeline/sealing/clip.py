"""A clip that is drawn, masked and sealed in memory: what comes back is compared with what was drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from operators.arrays import Array
from operators.frame import PIXEL_FORMATS, Cover, Frame, Picture
from operators.paint.cpu import paint
from operators.paint.geometry import Box, region_of
from operators.shown import Shown
from pipeline.media import Encoder, EncoderClock, FileMuxer, masked_head
from pipeline.media.buffers import samples
from pipeline.media.shown import message_of
from pipeline.sealing.container import SealWriter
from pipeline.sealing.keys import StreamKeys
from pipeline.sealing.seal import SealedFace, seal_face
from pipeline.wire import Head, SealFileHead, rational

WIDTH, HEIGHT, FRAMES = 96, 80, 12
TICKS = 512
"""Of a frame, at 25 frames a second and a time base of 1/12800."""
Boxes = Callable[[int], Mapping[int, Box]]


def apart(number: int) -> dict[int, Box]:
    """Two faces that never meet; the second comes later."""
    faces: dict[int, Box] = {1: (5.5 + number, 8, 30.2 + number, 40)}
    return faces if number < 3 else faces | {2: (58, 31 + number, 90, 66.7 + number)}


def overlapping(number: int) -> dict[int, Box]:
    return {1: (10, 10, 50, 50), 2: (30 + number % 3, 30, 80, 70)}


def draw(name: str, number: int, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """A picture with detail in every sample, another one for each number."""
    layout, rng = PIXEL_FORMATS[name], np.random.default_rng(number)
    top = (1 << layout.bits) - 1

    def plane(shape: tuple[int, int], phase: float) -> Array:
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        waves = np.sin(columns / 7 + number / 5 + phase) + np.cos(rows / 9 - number / 7)
        noisy = top * (0.5 + 0.18 * waves) + rng.normal(0, top / 60, shape)
        return np.asarray(np.clip(noisy, 0, top), layout.dtype)

    y, u, v = (plane((s[0], s[1]), phase) for phase, s in enumerate(layout.plane_shapes(width, height)))
    return Picture((y, u, v), layout)


@dataclass(frozen=True)
class MaskedClip:
    """What was written, and what it was made of."""

    masked: Path
    sealed: Path
    originals: Sequence[Picture]
    boxes: Sequence[Mapping[int, Box]]


def write_clip(
    folder: Path,
    keys: Callable[[int], StreamKeys],
    *,
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    boxes: Boxes = apart,
    ticks: Callable[[int], int] = lambda number: number * TICKS,
    shown: Shown | None = None,
    name: str = "masked.mp4",
    indices: Sequence[int] = range(FRAMES),
    finished: bool = True,
) -> MaskedClip:
    """A masked video with B-frames, and its seals.

    Args:
        keys: by the number of the frame.
        ticks: when a frame is shown, in 1/12800 s.
        indices: of the frames that are shown.
    """
    head = Head(width=size[0], height=size[1], pixel_format=pixel_format, timed=True, codec="h264")
    head.time_base.CopyFrom(rational(Fraction(1, 12800)))
    head.rate.CopyFrom(rational(Fraction(25)))
    if shown is not None:
        head.shown.CopyFrom(message_of(shown))
    encoder = Encoder(head, PIXEL_FORMATS[pixel_format], *size, crf=30)
    originals = [draw(pixel_format, number, *size) for number in indices]
    sealed = folder / f"{name}.seal"
    packets = []
    with SealWriter(sealed, SealFileHead(version=1, stream="cam", source=name, time_base=head.time_base)) as writer:
        for number, original in zip(indices, originals, strict=True):
            covers = []
            for track, box in boxes(number).items():
                cover = Cover(box, style="solid", shape="box", feather=0.05, color=(0, 0, 0))
                region = region_of(original, cover)
                assert region is not None
                face = SealedFace(epoch=1, index=number, pts=ticks(number), track=track, style="solid")
                writer.add(seal_face(keys(number), original, region.outer, face))
                covers.append(cover)
            y, u, v = (plane.copy() for plane in original.planes)
            picture = Picture((y, u, v), original.format)
            paint(Frame("cam", number, number / 25, picture, covers=tuple(covers)))
            packets += encoder.encode(picture, ticks(number), TICKS)
        packets += encoder.flush()
        EncoderClock().stamp(packets)
        with FileMuxer(folder / name, masked_head(head, encoder)) as muxer:
            for packet in packets:
                muxer.write(packet)
        if finished:
            writer.finish(keys(indices[-1]), folder / name, runs(indices))
    return MaskedClip(folder / name, sealed, originals, [boxes(number) for number in indices])


def runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """First index and count of each run."""
    found: list[tuple[int, int]] = []
    for index in indices:
        if found and sum(found[-1]) == index:
            found[-1] = found[-1][0], found[-1][1] + 1
        else:
            found.append((index, 1))
    return found


def planes_of(path: Path, pixel_format: str) -> list[list[Array]]:
    """The planes of each frame, as FFmpeg decodes them with nothing around it."""
    frames = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert frame.format.name == pixel_format
            frames.append([samples(plane, PIXEL_FORMATS[pixel_format].dtype).copy() for plane in frame.planes])
    return frames
