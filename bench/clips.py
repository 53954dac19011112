"""Clips as cameras send them, made of real ones: no picture waits for a later one, and they are of any length."""

from __future__ import annotations

import itertools
from pathlib import Path

import av

from bench.numbered import CODE_HEIGHT, Wanderer, draw_number, lumas, read_number

SIZES = {
    "360p": "stage_performance_audio.mp4",
    "720p": "cafe_conversation_occluded.mp4",
    "1080p": "street_crowd_1080p_audio.mp4",
}
"""Clips of several people, by their height, in the folder `videos` of the test data."""


def scale_of(height: int) -> int:
    """How large the number in a marked clip of that height is drawn.

    >>> scale_of(240), scale_of(1080)
    (1, 4)
    """
    return max(1, height // 270)


def somebody(width: int, height: int) -> Wanderer:
    """Who wanders through a marked clip of that size, below its number.

    >>> somebody(1280, 720).face_px
    72
    """
    return Wanderer(width, height, face_px=height // 10, below=scale_of(height) * CODE_HEIGHT)


def camera_clip(source: Path, target: Path, *, frames: int, rate: int = 30, marked: bool = False) -> None:
    """Encodes a clip anew by x264: no B-frames, an IDR every 2 s. It runs to and fro, so that it has no cut.

    Args:
        marked: every frame carries its number, and somebody more wanders about in it; see `unmasked`.
    """
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        width, height = stream.width, stream.height
        taken = itertools.islice(container.decode(stream), frames)
        pictures = [frame.to_ndarray(format="yuv420p") for frame in taken]
    who = somebody(width, height)
    options = {"preset": "veryfast", "crf": "21", "tune": "zerolatency", "g": str(2 * rate)}
    with av.open(str(target), "w") as out:
        coded = out.add_stream("libx264", rate=rate, options=options)
        coded.width, coded.height, coded.pix_fmt = width, height, "yuv420p"
        to_and_fro = itertools.cycle([*pictures, *pictures[-2:0:-1]])
        for number, planes in enumerate(itertools.islice(to_and_fro, frames)):
            if marked:
                planes = planes.copy()
                who.draw(planes, number)
                draw_number(planes, number, scale_of(height))
            out.mux(coded.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(coded.encode())


def unmasked(path: Path) -> tuple[int, int]:
    """How many frames a plain decode shows of a marked clip, and in how many of them whoever wanders can be seen."""
    frames = seen = 0
    who: Wanderer | None = None
    for luma in lumas(path):
        who = who or somebody(luma.shape[1], luma.shape[0])
        frames += 1
        seen += who.is_shown(luma, read_number(luma, scale_of(len(luma))))
    return frames, seen
