"""Clips with planted leaks, for `bench_verify`: heads of FACEWARDEN_DATA on drawn rooms, covered well but for one slip.

Everything follows from a seed. Heads are those of Labeled Faces in the Wild: never publish a clip that is made here.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data import data_folder
from operators.arrays import Array
from operators.deidentify.cover import CoverFaces
from operators.frame import Faces, Frame, Picture
from operators.paint import cpu as painter
from operators.stills import decode_image, picture_of, read_images

BgrImage = NDArray[np.uint8]

FACE_OF_CUT = 0.54
"""A face is this much of the height of the cut that a head is taken from."""
RATE = 25
LEAKS = (
    "single_frame", "brief", "late_onset", "early_end", "shrunk", "lagging", "weak_blur", "weak_mosaic", "moved",
    "dimmed", "tinted", "negative",
)  # fmt: skip
GOOD_COVERS = ("solid", "solid_box", "heavy_blur", "noise", "ours_blur", "ours_mosaic", "ours_solid")
GOOD_SCALE = 1.3


@dataclass(frozen=True, slots=True)
class PlantedFace:
    """One face over a clip: boxes `(4,)` x1 y1 x2 y2 by frame."""

    boxes: dict[int, Array]


@dataclass(frozen=True, eq=False, slots=True)
class PlantedClip:
    """An original, and what a careful and a careless tool make of it.

    Attributes:
        original: pictures, before they are coded.
        leak: its kind.
        cover: the style of all good covers.
        faces: the one that leaks, then others.
        frames: in which it does.
        px: its height.
        amount: 0 to 1, from the worse to the better cover.
    """

    original: list[BgrImage]
    leak: str
    cover: str
    faces: list[PlantedFace]
    frames: tuple[int, ...]
    px: float
    amount: float
    number: int

    @property
    def face(self) -> PlantedFace:
        """The one that leaks."""
        return self.faces[0]

    def masked(self, decoded: Sequence[BgrImage], *, leaking: bool) -> list[BgrImage]:
        """What a tool makes of the decoded original: careful, or with its slip."""
        made = []
        for index, picture in enumerate(decoded):
            for row, face in enumerate(self.faces):
                if index not in face.boxes:
                    continue
                box, rng = face.boxes[index], np.random.default_rng((self.number, index, row))
                if row or index not in self.frames or not leaking:
                    picture = cover(picture, box, self.cover, rng, self.number + row)
                elif self.leak == "lagging":
                    picture = cover(picture, box + _lag(box, self.amount), self.cover, rng, self.number + row)
                else:
                    picture = weaken(picture, box, self.leak, self.amount)
            made.append(picture)
        return made


class Heads:
    """Heads of Labeled Faces in the Wild by number; those of even and of odd rank are different people."""

    def __init__(self, half: int) -> None:
        folder = data_folder() / "faces_lfw"
        pictures = defaultdict(list)
        with (folder / "labels.csv").open(newline="") as rows:
            for row in csv.DictReader(rows):
                pictures[row["identity"]].append(row["file"])
        archive = _lfw(folder / "lfw_subset.tar")
        self._pictures = [archive[sorted(pictures[name])[0]] for name in sorted(pictures)[half::2]]

    def __len__(self) -> int:
        return len(self._pictures)

    def place(self, picture: BgrImage, who: int, x: float, y: float, px: float) -> tuple[BgrImage, Array]:
        """A copy of a picture with a head whose face is `px` high at x, y, and the face's box."""
        cut = decode_image(self._pictures[who % len(self)])[28:222, 44:206]
        size = px / (FACE_OF_CUT * cut.shape[0])
        how = cv2.INTER_AREA if size < 1 else cv2.INTER_CUBIC
        cut = np.asarray(cv2.resize(cut, None, fx=size, fy=size, interpolation=how))
        height, width = cut.shape[:2]
        rows, columns = np.mgrid[0:height, 0:width]
        away = ((columns + 0.5) / width * 2 - 1) ** 2 + ((rows + 0.5) / height * 2 - 1) ** 2
        opaque = np.clip((1 - away) / 0.3, 0, 1)[..., None]
        # Moved by parts of a pixel too, as a camera sees it.
        shift = np.array([[1, 0, x - width / 2], [0, 1, y - height / 2]])
        shape = picture.shape[1], picture.shape[0]
        head, alpha = (cv2.warpAffine(each, shift, shape, flags=cv2.INTER_LINEAR) for each in (cut, opaque))
        alpha = np.asarray(alpha).reshape(*picture.shape[:2], 1)
        made = np.rint(picture + (head.astype(np.float32) - picture) * alpha).astype(np.uint8)
        return made, np.array([x - 0.37 * px, y - 0.5 * px, x + 0.37 * px, y + 0.5 * px])


@cache
def _lfw(archive: Path) -> dict[str, bytes]:
    return dict(read_images(archive))


def room(width: int, height: int, rng: np.random.Generator) -> BgrImage:
    """A drawn room in which nothing is like a face."""
    light = np.linspace(150, 105, height)[:, None] + np.linspace(-18, 22, width)[None]
    picture = np.repeat(light[..., None], 3, 2) * np.array([0.92, 1.0, 1.05])
    for _ in range(14):
        x, y = rng.integers(0, width), rng.integers(0, height)
        w, h = rng.integers(width // 16, width // 5), rng.integers(height // 12, height // 4)
        picture[y : y + h, x : x + w] += rng.uniform(-26, 26, 3)
    picture[int(0.86 * height) :] *= 0.7
    grain = cv2.GaussianBlur(rng.normal(0, 9, (height, width, 1)).astype(np.float32), (0, 0), 1.1)
    return np.asarray(np.clip(picture + grain[..., None], 0, 255), np.uint8)


# -- covers ------------------------------------------------------------------------------------------


def inside(shape: tuple[int, ...], box: Array, scale: float, *, ellipse: bool = True) -> NDArray[np.bool_]:
    """Which pixels `(h, w, 1)` lie in a box, or in the ellipse in it, scaled about its middle."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    centre, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2 * scale, 1)
    x, y = np.abs(columns + 0.5 - centre[0]) / half[0], np.abs(rows + 0.5 - centre[1]) / half[1]
    return np.asarray((x**2 + y**2 <= 1) if ellipse else np.maximum(x, y) <= 1)[..., None]


def cover(picture: BgrImage, box: Array, kind: str, rng: np.random.Generator, seed: int = 0) -> BgrImage:
    """A copy with one face well covered."""
    if kind.startswith("ours_"):
        return _ours(picture, box, kind.removeprefix("ours_"), seed)
    width = float(box[2] - box[0])
    if kind == "solid_box":
        made: Array = np.full_like(picture, 30)
    elif kind == "heavy_blur":
        made = cv2.GaussianBlur(picture, (0, 0), width / 3)
    elif kind == "noise":
        made = rng.normal(128, 40, picture.shape).clip(0, 255)
    else:
        made = np.zeros_like(picture)
    return np.asarray(
        np.where(inside(picture.shape, box, GOOD_SCALE, ellipse=kind != "solid_box"), made, picture), np.uint8
    )


def _ours(picture: BgrImage, box: Array, style: str, seed: int) -> BgrImage:
    planes = picture_of(picture)
    own = Picture(tuple(plane.copy() for plane in planes.planes), planes.format)  # type: ignore[arg-type]
    frame = Frame("planted", 0, 0.0, own, faces=Faces.of([box], tracks=[0]))
    operator = CoverFaces(style=style)  # type: ignore[arg-type]
    operator.restore("planted", seed.to_bytes(16, "big"))
    (made,) = operator([frame])
    painter.paint(made)
    return made.bgr[: picture.shape[0], : picture.shape[1]]


def weaken(picture: BgrImage, box: Array, leak: str, amount: float) -> BgrImage:
    """A copy with one face badly covered; `amount` 0 to 1, from the worse to the better cover."""
    width, height = box[2:] - box[:2]
    made: Array
    if leak == "shrunk":
        return np.asarray(np.where(inside(picture.shape, box, 0.45 + 0.12 * amount), 0, picture), np.uint8)
    if leak == "weak_blur":
        made = cv2.GaussianBlur(picture, (0, 0), float(width) / (20 - 5 * amount))
    elif leak == "weak_mosaic":
        cell = max(float(width) / (16 - 5 * amount), 1)
        size = max(round(picture.shape[1] / cell), 1), max(round(picture.shape[0] / cell), 1)
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        made = cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    elif leak == "moved":
        x, y = (0.1 + 0.1 * amount) * height, 0.05 * height
        shifted = cv2.warpAffine(picture, np.array([[1, 0, x], [0, 1, y]]), picture.shape[1::-1])
        grey = np.where(inside(picture.shape, box, 1.2), 128, picture)
        return np.asarray(np.where(inside(picture.shape, box + np.array([x, y, x, y]), 1.1), shifted, grey), np.uint8)
    elif leak == "dimmed":
        made = picture * (0.3 + 0.2 * amount) + 15
    elif leak == "tinted":
        made = np.clip(picture * np.array([0.5, 0.9, 1.2]), 0, 255)
    elif leak == "negative":
        made = 255 - picture
    else:
        return picture.copy()
    return np.asarray(np.where(inside(picture.shape, box, GOOD_SCALE), made, picture), np.uint8)


# -- clips -------------------------------------------------------------------------------------------


def planted_clip(heads: Heads, number: int, seed: int, *, frames: int = 24) -> PlantedClip:
    """One clip of a drawn room with one to three people; the same numbers give the same clip."""
    rng = np.random.default_rng((seed, number))
    leak, kind = LEAKS[number % len(LEAKS)], str(rng.choice(GOOD_COVERS))
    width, height = ((640, 360), (640, 360), (1280, 720))[int(rng.integers(3))]
    scene = room(width, height, rng)
    px = float(np.exp(rng.uniform(np.log(24), np.log(0.35 * height))))
    people = 1 if leak == "brief" else int(rng.integers(1, 4))
    sizes = [px, *(px * float(rng.uniform(0.8, 1.2)) for _ in range(people - 1))]
    paths = [_path(rng, width, height, size, frames, leak) for size in sizes]
    # Nobody stands in front of somebody else.
    firsts = [path[0][0] for path in paths]
    paths = [path for row, path in enumerate(paths) if all(abs(firsts[row] - x) > 1.6 * px for x in firsts[:row])]
    shown = range(frames)
    at = int(rng.integers(4, frames - 4))
    if leak == "brief":
        shown = range(at, at + 1)
    elif leak in ("late_onset", "early_end"):
        shown = range(3, frames - 3)
    who = int(rng.integers(0, len(heads) - 4))
    original, faces = [], [PlantedFace({}) for _ in paths]
    for index in range(frames):
        picture = np.clip(scene + rng.normal(0, 1.5, (height, width, 1)), 0, 255).astype(np.uint8)
        for row, path in enumerate(paths):
            if row == 0 and index not in shown:
                continue
            x, y, size = path[index]
            picture, box = heads.place(picture, who + row, x, y, size)
            faces[row].boxes[index] = box
        original.append(picture)
    leaks = _leaking(leak, list(shown), at, rng, frames)
    return PlantedClip(original, leak, kind, faces, tuple(leaks), px, float(rng.uniform()), number)


def _path(
    rng: np.random.Generator, width: int, height: int, px: float, frames: int, leak: str
) -> list[tuple[float, float, float]]:
    """Middle and height of a face in each frame: a slow walk."""
    x, y = rng.uniform(0.7 * px, width - 0.7 * px), rng.uniform(0.8 * px, height - 0.8 * px)
    step = rng.normal(0, 0.02 if leak == "lagging" else 0.012, 2) * px
    sway = rng.normal(0, 0.01, (frames, 2)) * px
    low, high = np.array([0.6, 0.75]) * px, np.array([width, height]) - np.array([0.6, 0.75]) * px
    middles = np.clip(np.array([x, y]) + step * np.arange(frames)[:, None] + sway, low, np.maximum(low, high))
    return [(float(a), float(b), px) for a, b in middles]


def _leaking(leak: str, shown: Sequence[int], at: int, rng: np.random.Generator, frames: int) -> list[int]:
    """Frames in which the face leaks."""
    if leak in ("single_frame", "brief"):
        return [at]
    some = int(rng.integers(1, 8))
    if leak == "late_onset":
        return list(shown[:some])
    if leak == "early_end":
        return list(shown[-some:])
    long = rng.uniform() < 0.5
    first = 0 if long else int(rng.integers(0, frames - 6))
    return list(range(first, frames if long else first + 6))


def _lag(box: Array, amount: float) -> Array:
    """A cover that came late lies so far from its face."""
    width = float(box[2] - box[0])
    return np.array([1.0, 0, 1.0, 0]) * (1.4 + 0.6 * amount) * width


def write_clip(path: Path, pictures: Sequence[BgrImage], *, crf: int, times: Sequence[int] | None = None) -> None:
    """Encodes pictures by x264; `times` are in half frames of RATE, all of them in a row if None."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as out:
        options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        stream = out.add_stream("libx264", rate=2 * RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
            frame.pts = 2 * number if times is None else times[number]
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def read_clip(path: Path) -> list[BgrImage]:
    """All pictures of a clip."""
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]


def retimed(
    pictures: Sequence[BgrImage], how: str, rng: np.random.Generator, keep: Sequence[int]
) -> tuple[list[BgrImage], list[int]]:
    """What tools do to a clip besides: frames left out, save those to be kept, doubled ones, other sizes."""
    times = [2 * number for number in range(len(pictures))]
    if how == "dropped":
        times = [time for time in times if time // 2 in keep or time == 0 or rng.uniform() > 0.2]
    elif how == "doubled":
        times = sorted([*times, *(time + 1 for time in times if rng.uniform() < 0.15)])
    chosen: list[BgrImage] = [pictures[time // 2] for time in times]
    if how == "scaled":
        size = chosen[0].shape[1] * 3 // 4, chosen[0].shape[0] * 3 // 4
        chosen = [np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_AREA), np.uint8) for each in chosen]
    return chosen, times


HOWS = ("plain", "plain", "plain", "dropped", "doubled", "scaled")


def written(clip: PlantedClip, folder: Path, seed: int) -> dict[str, Path]:
    """The clip's files: `original`, `leaking` and `covered`."""
    rng = np.random.default_rng((seed, clip.number, 1))
    how = str(rng.choice(HOWS))
    first, second = int(rng.integers(17, 24)), int(rng.integers(18, 29))
    files = {name: folder / f"{clip.number}-{name}.mp4" for name in ("original", "leaking", "covered")}
    write_clip(files["original"], clip.original, crf=first)
    decoded = read_clip(files["original"])
    state = rng.bit_generator.state
    for name in ("leaking", "covered"):
        rng.bit_generator.state = state
        pictures, times = retimed(clip.masked(decoded, leaking=name == "leaking"), how, rng, clip.frames)
        write_clip(files[name], pictures, crf=second, times=times)
    return files
