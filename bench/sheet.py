"""What covers look like, side by side: `python -m bench.sheet OUT.png`. Ours, deface's, and other tools'.

Each row shows one frame of a clip of `FACEWARDEN_DATA/videos`, its faces and what is around them. Ours and deface paint
over the same boxes, those of deface's own detector, so that covers are compared and not detectors; other tools are run
as they are, on frames of the clip cut out without loss. It also prints, for each tool:

    chroma    how far the colour of covers lies from that of the faces under them: Lab chroma distance of the means of
              the middles of faces, the mean over clips of medians over faces
    light     the same of lightness
    tinted    the share of covers that are greenish, bluish or violet where the face is not
    flicker   how much the mean colour of a cover changes from one frame to the next, in Lab, on faces that stay

The sheet shows people: look at it, and delete it. Other tools are named with the command that runs them, in
environments of their own, for they bring other versions of what we use; one that does not come through is left out:

    --tool "openscrub=openscrub {source} -o {result} --categories face --overwrite"
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.data import data_folder
from bench.hiding import Hide, clear, deface, ours
from engines import open_engine
from operators.arrays import Array, Image
from operators.boxes import iou
from operators.detect.centerface import CenterFace
from operators.frame import to_bgr
from operators.stills import frame_of
from pipeline.models.catalog import find_model
from pipeline.models.fetch import pull
from pipeline.provenance import write_report

CLIPS = {
    "school_table_children.mp4": 1.0,
    "two_children_drawings.mp4": 1.0,
    "stage_performance_audio.mp4": 1.0,
    "street_crowd_1080p_audio.mp4": 2.0,
    "cafe_conversation_occluded.mp4": 2.0,
    "podium_two_men_320x240_audio.mp4": 1.0,
    "grid_bbaf2n.mpg": 0.5,
}
"""And where in it to look, in seconds."""
FRAMES, WIDTH_PX, MIN_PX = 12, 420, 20
TOOL_TIMEOUT_S = 300
SKIN_LOW, SKIN_HIGH = (40, 133, 77), (255, 173, 127)
"""Y, Cr, Cb of skin lie between: Chai and Ngan, "Face Segmentation Using Skin-Color Map", 1999."""
AROUND, LEAST_SKIN = 2.0, 0.03
"""Skin around a face is looked for in a box so many times as large, and must be this part of it."""
TINT = 4.0
"""A colour counts as greenish, bluish or violet from so far on, in Lab."""


@dataclass(slots=True)
class ToolTally:
    """What was measured of one tool: a list for each clip."""

    chroma: list[float] = field(default_factory=list)
    skin: list[float] = field(default_factory=list)
    light: list[float] = field(default_factory=list)
    tinted: list[float] = field(default_factory=list)
    flicker: list[float] = field(default_factory=list)

    def mean(self, name: str) -> float:
        values = [value for value in getattr(self, name) if np.isfinite(value)]
        return float(np.mean(values)) if values else float("nan")


def frames_at(path: Path, at_s: float, count: int) -> list[Image]:
    """So many frames `(h, w, 3)` BGR from there on, of even sizes."""
    images: list[Image] = []
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            if frame.time is not None and frame.time >= at_s:
                image = frame.to_ndarray(format="bgr24")
                height, width = image.shape[:2]
                images.append(np.ascontiguousarray(image[: height // 2 * 2, : width // 2 * 2]))
            if len(images) == count:
                break
    return images


def middle_colour(image: Image, box: Array) -> Array:
    """L, a, b `(3,)` of the middle of a face, NaN where it lies outside.

    >>> grey = np.full((40, 40, 3), 128, np.uint8)
    >>> middle_colour(grey, np.array([0, 0, 40, 40])).round().tolist()
    [54.0, 0.0, 0.0]
    """
    x1, y1, x2, y2 = box
    wide, high = x2 - x1, y2 - y1
    rows = slice(max(round(y1 + 0.3 * high), 0), max(round(y1 + 0.8 * high), 0))
    columns = slice(max(round(x1 + 0.25 * wide), 0), max(round(x1 + 0.75 * wide), 0))
    part = image[rows, columns]
    if not part.size:
        return np.full(3, np.nan)
    return np.asarray(cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_BGR2LAB).mean(axis=(0, 1)))


def skin_around(image: Image, box: Array) -> Array:
    """L, a, b `(3,)` of what has the colour of skin around a face, NaN where that is too little.

    >>> picture = np.full((40, 40, 3), (110, 140, 190), np.uint8)
    >>> skin_around(picture, np.array([10, 10, 30, 30])).round().tolist()
    [62.0, 15.0, 24.0]
    >>> skin_around(np.full_like(picture, 128), np.array([10, 10, 30, 30])).tolist()
    [nan, nan, nan]
    """
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    size = image.shape[1::-1]
    x1, y1 = np.clip(centre - AROUND * half, 0, size).astype(int)
    x2, y2 = np.clip(centre + AROUND * half, 0, size).astype(int)
    part = image[y1:y2, x1:x2]
    if not part.size:
        return np.full(3, np.nan)
    skin = np.asarray(cv2.inRange(cv2.cvtColor(part, cv2.COLOR_BGR2YCrCb), SKIN_LOW, SKIN_HIGH)) > 0
    left, top, right, bottom = np.clip(box, 0, np.tile(size, 2)).astype(int)
    skin[top - y1 : bottom - y1, left - x1 : right - x1] = False
    if skin.mean() < LEAST_SKIN:
        return np.full(3, np.nan)
    return np.asarray(cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)[skin].mean(axis=0))


def is_tinted(colour: Array, face: Array) -> bool:
    """Whether L, a, b is greenish, bluish or violet, by more than the face is.

    >>> [is_tinted(np.array([50.0, a, b]), np.array([50.0, 12, 14])) for a, b in ((10, 15), (-8, 5), (5, -9))]
    [False, True, True]
    """
    return bool((np.minimum(colour[1:], 0) < np.minimum(face[1:], 0) - TINT).any())


def tally(into: ToolTally, originals: Sequence[Image], covered: Sequence[Image], boxes: Sequence[Array]) -> None:
    """Adds what is measured on one clip: pictures before and after, and the boxes of the faces in each."""
    triples = [
        (middle_colour(before, box), middle_colour(after, box), skin_around(before, box))
        for before, after, found in zip(originals, covered, boxes, strict=True)
        for box in found
    ]
    triples = [each for each in triples if np.isfinite(each[:2]).all()]
    if not triples:
        return
    faces, covers, skins = np.array(triples).transpose(1, 0, 2)
    away = covers - faces
    into.chroma.append(float(np.median(np.linalg.norm(away[:, 1:], axis=1))))
    if np.isfinite(skins).any():
        into.skin.append(float(np.nanmedian(np.linalg.norm((covers - skins)[:, 1:], axis=1))))
    into.light.append(float(np.median(np.abs(away[:, 0]))))
    into.tinted.append(float(np.mean([is_tinted(cover, face) for face, cover in zip(faces, covers, strict=True)])))
    into.flicker.append(_flicker(covered, boxes))


def _flicker(covered: Sequence[Image], boxes: Sequence[Array]) -> float:
    changes = []
    for number in range(1, len(covered)):
        overlap = iou(boxes[number], boxes[number - 1])
        for row in range(len(boxes[number]) if overlap.size else 0):
            other = int(overlap[row].argmax())
            if overlap[row, other] > 0.6:
                now = middle_colour(covered[number], boxes[number][row])
                changes.append(np.linalg.norm(now - middle_colour(covered[number - 1], boxes[number - 1][other])))
    return float(np.nanmean(changes)) if changes else float("nan")


# -- tools that are run as they are --------------------------------------------------------------------


def write_clip(images: Sequence[Image], path: Path) -> None:
    """A clip of these frames, encoded without loss."""
    height, width = images[0].shape[:2]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in images:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        file.mux(stream.encode(None))


def by_tool(command: str, images: Sequence[Image]) -> list[Image] | None:
    """What a program makes of a clip of these frames, None where it does not come through.

    Args:
        command: with `{source}` and `{result}` where the names of files belong.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "source.mp4", Path(folder) / "result.mp4"
        write_clip(images, source)
        words = [word.format(source=source, result=result) for word in shlex.split(command)]
        try:
            subprocess.run(words, timeout=TOOL_TIMEOUT_S, check=True, capture_output=True, stdin=subprocess.DEVNULL)
            covered = frames_at(result, 0.0, len(images))
        except (OSError, subprocess.SubprocessError, av.FFmpegError):
            return None
    same = len(covered) == len(images) and all(c.shape == i.shape for c, i in zip(covered, images, strict=True))
    return covered if same else None


# -- the sheet -----------------------------------------------------------------------------------------


def row_of(pictures: Sequence[Image | None], boxes: Array) -> Image:
    """One frame as each tool leaves it, cut out around its faces; grey where a tool has none."""
    first = next(picture for picture in pictures if picture is not None)
    out = 0.8 * float((boxes[:, 3] - boxes[:, 1]).max()) + 20
    x1, y1 = np.maximum(boxes[:, :2].min(axis=0) - out, 0).astype(int)
    x2, y2 = np.minimum(boxes[:, 2:].max(axis=0) + out, first.shape[1::-1]).astype(int)
    size = WIDTH_PX, max(round(WIDTH_PX * (y2 - y1) / (x2 - x1)), 1)
    parts = [np.full_like(first, 128)[y1:y2, x1:x2] if p is None else p[y1:y2, x1:x2] for p in pictures]
    return np.hstack([cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in parts])


def titled(rows: Sequence[Image], titles: Sequence[str]) -> Image:
    """Rows one below the other, under the names of their columns."""
    head = np.full((28, rows[0].shape[1], 3), 255, np.uint8)
    for number, title in enumerate(titles):
        cv2.putText(head, title, (number * WIDTH_PX + 8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([head, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the sheet, a picture file")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tool", action="append", default=[], metavar="NAME=COMMAND", help="another program")
    given = parser.parse_args()
    pull(["centerface"])
    detector = CenterFace(open_engine(find_model("centerface")), threshold=0.3)
    painters: dict[str, Hide] = {"original": clear}
    with tempfile.TemporaryDirectory() as folder:
        painters |= {f"ours {style}": ours(style, Path(folder)) for style in ("blur", "mosaic")}
        painters |= {f"deface {style}": deface(style) for style in ("blur", "mosaic")}
        tools = dict(tool.split("=", 1) for tool in given.tool)
        names = [*painters, *tools]
        tallies = {name: ToolTally() for name in names}
        rows = []
        for clip, at_s in CLIPS.items():
            images = frames_at(data_folder() / "videos" / clip, at_s, FRAMES)
            found = [detector([frame_of(image)])[0].faces.boxes.astype(np.float64) for image in images]
            boxes = [each[each[:, 3] - each[:, 1] >= MIN_PX] for each in found]
            shown: list[list[Image] | None] = [
                [to_bgr(picture) for picture in hide(images, boxes, 0)] for hide in painters.values()
            ]
            shown += [by_tool(command, images) for command in tools.values()]
            for name, covered in zip(names, shown, strict=True):
                if covered is not None:
                    tally(tallies[name], images, covered, boxes)
            if len(boxes[0]):
                rows.append(row_of([covered[0] if covered else None for covered in shown], boxes[0]))
    cv2.imwrite(str(given.out), titled(rows, names))
    measures = ("chroma", "skin", "light", "tinted", "flicker")
    table = Table(title=f"covers on {len(CLIPS)} clips")
    for column in ("tool", *measures):
        table.add_column(column, justify="left" if column == "tool" else "right")
    for name in names:
        table.add_row(name, *(f"{tallies[name].mean(measure):.2f}" for measure in measures))
    Console().print(table)
    figures = {
        f"{measure}_{name.replace(' ', '_')}": tallies[name].mean(measure)
        for name in names
        for measure in measures
        if np.isfinite(tallies[name].mean(measure))
    }
    write_report(given.json, figures)


if __name__ == "__main__":
    main()
