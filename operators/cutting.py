"""From footage to crops: faces are found and meshed by the operators of a run, cut out, and kept.

Nothing is decided here about how faces are found: the steps are given. Nor where the work is done, and where its result
is kept (`crop_cache.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engines import FrameError
from operators import Operator, crops
from operators.arrays import Array, Image
from operators.boxes import area
from operators.cropset import CropSet
from operators.datasets import Clip
from operators.forge.regions import OVAL
from operators.frame import Faces, Frame
from operators.stills import frame_of

BATCH = 16
MASK_PX = 40
STRAY = 0.03
"""How far a contour may reach over the edge, as a part of the picture: not further than masks are drawn inside it."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How crops are cut out of a set.

    Attributes:
        size: of the crops, in pixels.
        margin: the side of the square over the longer side of the mesh's box.
        level: whether crops are turned until the eyes are level.
        per_clip: how many frames of each clip, spread evenly; 0 for all.
        whole: only faces whose contour lies inside of the picture, since what lies outside repeats its border and
            would teach that.
        turned: faces turned away by more than this are left out: the nose's distance from the middle of the face, as
            a fraction of half its width; 1 keeps all.
    """

    size: int = 160
    margin: float = 1.1
    level: bool = True
    per_clip: int = 1
    whole: bool = False
    turned: float = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """A face that was found: `(s, s, 3)` pixels, `(478, 2)` points, and where from."""

    pixels: Array
    points: Array
    clip: Clip
    frame: int


def prepare(clips: Iterable[Clip], steps: Sequence[Operator], cutting: Cutting) -> CropSet:
    """The largest face of each frame as a crop; clips that cannot be read, and frames without a face, are passed over.

    Args:
        steps: a detector where clips are not cropped, then a landmarker, which gives `faces.data["mesh"]`.
    """
    found = [face for clip in clips for face in _faces(clip, steps, cutting)]
    return of_faces(found, cutting.size)


def of_faces(found: Sequence[Found], size: int) -> CropSet:
    """The set of some faces."""
    return CropSet(
        pixels=np.asarray([face.pixels for face in found], np.uint8).reshape(-1, size, size, 3),
        points=np.asarray([face.points for face in found], np.float32).reshape(-1, 478, 2),
        labels=np.asarray([face.clip.label for face in found], np.int8),
        groups=np.asarray([face.clip.group for face in found], np.str_),
        clips=np.asarray([face.clip.name for face in found], np.str_),
        frames=np.asarray([face.frame for face in found], np.int64),
        splits=np.asarray([face.clip.split for face in found], np.str_),
        kinds=np.asarray([face.clip.kind for face in found], np.str_),
        masks=np.empty((0, MASK_PX, MASK_PX), np.uint8),
        origins=np.full(len(found), -1, np.int64),
    )


def _faces(clip: Clip, steps: Sequence[Operator], cutting: Cutting) -> Iterator[Found]:
    try:
        for batch in _batches(clip.footage.frames(cutting.per_clip)):
            frames = [_frame(image, clip, index) for index, image in batch]
            for step in steps:
                frames = step(frames)
            for (index, image), frame in zip(batch, frames, strict=True):
                yield from _cut(image, frame.faces, clip, index, cutting)
    except FrameError:
        return  # such sets have broken files; what was read of one is kept


def _cut(image: Image, faces: Faces, clip: Clip, index: int, cutting: Cutting) -> Iterator[Found]:
    meshes = faces.data.get("mesh", np.full((len(faces), 478, 3), np.nan, np.float32))
    seen = np.isfinite(meshes).all(axis=(1, 2))
    if not seen.any():
        return
    mesh = meshes[[int(np.where(seen, area(faces.boxes), -1).argmax())]]
    if (cutting.whole and not _inside(mesh[0], image)) or turned_away(mesh[0]) > cutting.turned:
        return
    affines = crops.squares(mesh, cutting.size, margin=cutting.margin, level=cutting.level)
    rgb = crops.cut(image, affines, cutting.size)[0, :, :, ::-1]
    yield Found(rgb, crops.points_to_crop(mesh, affines)[0], clip, index)


def turned_away(mesh: Array) -> float:
    """How far a face looks aside: 0 towards the camera, 1 with the tip of the nose over the edge of the face.

    >>> mesh = np.zeros((478, 3))
    >>> mesh[[234, 454, 1], 0] = [0, 100, 75]  # both edges of the face, and the tip of the nose
    >>> turned_away(mesh)
    0.5
    """
    left, right, nose = mesh[454, 0], mesh[234, 0], mesh[1, 0]
    half = abs(left - right) / 2
    return float(abs(nose - (left + right) / 2) / max(half, 1e-6))


def _inside(mesh: Array, image: Image) -> bool:
    oval, size = mesh[list(OVAL), :2], np.array(image.shape[1::-1])
    return bool((oval > -STRAY * size).all() and (oval < (1 + STRAY) * size).all())


def _frame(image: Image, clip: Clip, index: int) -> Frame:
    """A frame that shows a `(h, w, 3)` uint8 BGR picture; a cropped one is taken for one face's box."""
    frame = frame_of(image, index, stream=clip.name)
    if not clip.cropped:
        return frame
    height, width = image.shape[:2]
    return replace(frame, faces=Faces.of([[0, 0, width, height]]), examined=True)


def _batches(frames: Iterable[tuple[int, Image]]) -> Iterator[list[tuple[int, Image]]]:
    batch: list[tuple[int, Image]] = []
    for item in frames:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
