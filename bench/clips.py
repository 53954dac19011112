"""Clips as cameras send them, made of real ones: no picture waits for a later one, and they are of any length."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np

SIZES = {
    "360p": "stage_performance_audio.mp4",
    "720p": "cafe_conversation_occluded.mp4",
    "1080p": "street_crowd_1080p_audio.mp4",
}
"""Clips of several people, by their height, in the folder `videos` of the test data."""
SQUARE = (0.44, 0.3, 0.56, 0.5)
"""Where a marked clip shows a white square: x1 y1 x2 y2 as fractions of width and height."""
WHITE, COVERED = 235, 90
"""Luma of the square, and what a sample of it has at most under a black cover, after coding."""
MARGIN_PX = 4
"""Of the square's edge, where coding smears, nothing is said."""


def camera_clip(source: Path, target: Path, *, frames: int, rate: int = 30, marked: bool = False) -> None:
    """Encodes a clip anew by x264: no B-frames, an IDR every 2 s. It runs to and fro, so that it has no cut.

    Args:
        marked: show a white square in every picture, at `SQUARE`.
    """
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        width, height = stream.width, stream.height
        taken = itertools.islice(container.decode(stream), frames)
        pictures = [frame.to_ndarray(format="yuv420p") for frame in taken]
    if marked:
        for planes in pictures:
            planes[:height][_window(width, height, 0)] = WHITE
    options = {"preset": "veryfast", "crf": "21", "tune": "zerolatency", "g": str(2 * rate)}
    with av.open(str(target), "w") as out:
        coded = out.add_stream("libx264", rate=rate, options=options)
        coded.width, coded.height, coded.pix_fmt = width, height, "yuv420p"
        for planes in itertools.islice(itertools.cycle([*pictures, *pictures[-2:0:-1]]), frames):
            out.mux(coded.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(coded.encode())


def unmasked(path: Path) -> tuple[int, int]:
    """How many frames a plain decode shows, and in how many of them the square can be seen."""
    frames = seen = 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            luma = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
            frames += 1
            seen += bool(luma[_window(frame.width, frame.height, MARGIN_PX)].max() > COVERED)
    return frames, seen


def _window(width: int, height: int, margin_px: int) -> tuple[slice, slice]:
    """Rows and columns of the square, without its margin."""
    x1, y1, x2, y2 = (round(side * length) for side, length in zip(SQUARE, (width, height) * 2, strict=True))
    return slice(y1 + margin_px, y2 - margin_px), slice(x1 + margin_px, x2 - margin_px)
