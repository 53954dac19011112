"""What flows: one decoded picture with the faces found in it and the covers wanted over them.

Not here: how a picture is decoded (`pipeline.media`) or painted (`operators.paint`). Everything in
this module is frozen; an operator returns new frames, and never writes into planes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array
from operators.shown import AS_IT_LIES, Shown

Style = Literal["blur", "mosaic", "solid", "image"]
Shape = Literal["ellipse", "box"]
ZONE = "zone"
"""In `Faces.data`: true for a fixed place, which detectors of faces have no part in."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """A planar YUV layout, the only kind of picture past the decoder.

    Attributes:
        name: FFmpeg's name: `yuv420p`, `yuv422p`, `yuv444p`, or one of these with the suffix `10le`.
        subsample_x, subsample_y: chroma samples are this many luma samples wide and high (1 or 2).
        bits: 8 (planes are uint8) or 10 (uint16, low bits).
    """

    name: str
    subsample_x: int
    subsample_y: int
    bits: int

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        return np.uint8 if self.bits == 8 else np.uint16

    def plane_shapes(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """Rows and columns of Y, U and V for a picture of this size.

        >>> PIXEL_FORMATS["yuv420p"].plane_shapes(5, 4)
        ((4, 5), (2, 3), (2, 3))
        """
        chroma = (-(-height // self.subsample_y), -(-width // self.subsample_x))
        return ((height, width), chroma, chroma)

    def frame_bytes(self, width: int, height: int) -> int:
        """Of all planes of a picture of this size.

        >>> PIXEL_FORMATS["yuv420p"].frame_bytes(4, 2), PIXEL_FORMATS["yuv420p10le"].frame_bytes(4, 2)
        (12, 24)
        """
        samples = sum(rows * columns for rows, columns in self.plane_shapes(width, height))
        return samples * np.dtype(self.dtype).itemsize


PIXEL_FORMATS: dict[str, PixelFormat] = {
    name + suffix: PixelFormat(name + suffix, sx, sy, bits)
    for name, sx, sy in (("yuv420p", 2, 2), ("yuv422p", 2, 1), ("yuv444p", 1, 1))
    for suffix, bits in (("", 8), ("10le", 10))
}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels of one frame in the decoder's own planes.

    Attributes:
        planes: Y, U, V as `(rows, columns)` uint8 or uint16, shapes as `PixelFormat.plane_shapes` says.
        format: how to read them.
        full_range: luma spans 0..255 (or 0..1023) rather than 16..235.
        matrix: ISO/IEC 23091-2 matrix coefficients; 1 is BT.709, 5 and 6 BT.601, 9 BT.2020, 2 unspecified.
    """

    planes: tuple[Array, Array, Array]
    format: PixelFormat
    full_range: bool = False
    matrix: int = 2

    @property
    def black(self) -> int:
        """The luma of black, in levels of 8 bits."""
        return 0 if self.full_range else 16

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])

    def part(self, x1: int, y1: int, x2: int, y2: int) -> Self:
        """A view of the pixels x1 <= x < x2, y1 <= y < y2; x1 and y1 must be even.

        >>> layout = PIXEL_FORMATS["yuv420p"]
        >>> y, u, v = (np.zeros(shape, layout.dtype) for shape in layout.plane_shapes(8, 6))
        >>> [plane.shape for plane in Picture((y, u, v), layout).part(2, 0, 6, 4).planes]
        [(4, 4), (2, 2), (2, 2)]
        """
        across, down = self.format.subsample_x, self.format.subsample_y
        luma, *chroma = self.planes
        columns, rows = slice(x1 // across, -(-x2 // across)), slice(y1 // down, -(-y2 // down))
        u, v = (plane[rows, columns] for plane in chroma)
        return replace(self, planes=(luma[y1:y2, x1:x2], u, v))


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The faces of one frame as parallel arrays.

    Attributes:
        boxes: `(n, 4)` float32, x1 y1 x2 y2 in pixels of the coded picture (before rotation).
        scores: `(n,)` float32 in 0..1.
        landmarks: `(n, 5, 2)` float32 x y in pixels: eyes, nose, mouth corners, left of the picture
            first; NaN where a detector gives none.
        tracks: `(n,)` int64 track numbers within the stream; -1 before tracking.
        kept: `(n,)` bool, true for a face that the keep-list leaves visible.
        seen: `(n,)` bool, false for one that was not detected in it: predicted, filled in, or known to be there.
        data: further arrays with n rows, such as `mesh (n, 478, 3)`, `blendshapes (n, 52)`.

    Raises:
        ValueError: an array has not n rows, or a wrong shape.
    """

    boxes: Array
    scores: Array
    landmarks: Array
    tracks: Array
    kept: Array
    seen: Array
    data: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.boxes)
        wanted = {
            "boxes": (n, 4), "scores": (n,), "landmarks": (n, 5, 2),
            "tracks": (n,), "kept": (n,), "seen": (n,),
        }  # fmt: skip
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"faces.{name}: expected shape {shape}, got {getattr(self, name).shape}")
        for name, rows in self.data.items():
            if len(rows) != n:
                raise ValueError(f"faces.data[{name!r}]: expected {n} rows, got {len(rows)}")

    @classmethod
    def of(
        cls,
        boxes: Any = (),
        scores: Any = None,
        *,
        landmarks: Any = None,
        tracks: Any = None,
        kept: Any = None,
        seen: Any = None,
        data: Mapping[str, Array] | None = None,
    ) -> Self:
        """Builds faces from boxes alone, or with as much as is known.

        >>> Faces.of([[10, 20, 30, 50]]).tracks
        array([-1])
        """
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        n = len(boxes)

        def column(value: Any, default: Any, dtype: Any, shape: tuple[int, ...]) -> Array:
            return np.full(shape, default, dtype) if value is None else np.asarray(value, dtype).reshape(shape)

        return cls(
            boxes,
            column(scores, 1.0, np.float32, (n,)),
            column(landmarks, np.nan, np.float32, (n, 5, 2)),
            column(tracks, -1, np.int64, (n,)),
            column(kept, False, np.bool_, (n,)),
            column(seen, True, np.bool_, (n,)),
            dict(data or {}),
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Any) -> Self:
        """The faces that a mask, slice or index array selects.

        >>> faces = Faces.of([[0, 0, 4, 4], [5, 5, 9, 9]], scores=[0.2, 0.9])
        >>> faces[faces.scores > 0.5].boxes.tolist()
        [[5.0, 5.0, 9.0, 9.0]]
        """
        index = np.arange(len(self))[rows]
        index = np.atleast_1d(index)
        return replace(
            self,
            **{name: getattr(self, name)[index] for name in ("boxes", "scores", "landmarks", "tracks", "kept", "seen")},
            data={name: value[index] for name, value in self.data.items()},
        )

    def __add__(self, other: Self) -> Self:
        """Both, one after the other. Arrays in `data` that only one side has are filled with NaN (or 0).

        >>> aged = Faces.of([[0, 0, 4, 4]], data={"age": np.array([30.0])})
        >>> (aged + Faces.of([[5, 5, 9, 9]])).data["age"].tolist()
        [30.0, nan]
        """
        n, m = len(self), len(other)
        data = {}
        for name in {**self.data, **other.data}:
            sample = self.data.get(name, other.data.get(name))
            assert sample is not None  # noqa: S101
            blank = np.nan if np.issubdtype(sample.dtype, np.floating) else 0
            sides = [
                side.data.get(name, np.full((rows, *sample.shape[1:]), blank, sample.dtype))
                for side, rows in ((self, n), (other, m))
            ]
            data[name] = np.concatenate(sides)
        names = ("boxes", "scores", "landmarks", "tracks", "kept", "seen")
        return replace(
            self, **{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names}, data=data
        )

    @property
    def zones(self) -> Array:
        """Which of them are no faces but fixed places that are always hidden: `(n,)` bool.

        >>> (Faces.of([[0, 0, 4, 4]]) + Faces.of([[5, 5, 9, 9]], data={ZONE: np.array([True])})).zones.tolist()
        [False, True]
        """
        return np.asarray(self.data.get(ZONE, np.zeros(len(self))), np.bool_)

    def with_data(self, **arrays: Array) -> Self:
        return replace(self, data={**self.data, **arrays})


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """What is to be painted over one face.

    Attributes:
        box: x1 y1 x2 y2 in pixels; the shape fills it, so it must reach over the whole face.
        style: blur, mosaic, solid, or image (then `pixels` is pasted).
        shape: `ellipse` or `box`.
        feather: how far the soft edge reaches beyond the shape, as a fraction of the box's width and height.
        cells: how many cells a mosaic has across the box, and how many down; how fine the unevenness of a blur is.
        seed: of the cells of a mosaic and the unevenness of a blur; the same wherever a face is the same.
        color: B, G, R 0..255 of `solid`.
        pixels: `(h, w, 3)` uint8 BGR of `image`, stretched over the box.
    """

    box: tuple[float, float, float, float]
    style: Style = "blur"
    shape: Shape = "ellipse"
    feather: float = 0.0
    cells: int = 4
    seed: int = 0
    color: tuple[int, int, int] = (0, 0, 0)
    pixels: Array | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is claimed about a track or a whole video. Fake = 1, genuine = 0.

    Attributes:
        subject: `<stream>/<track>` or `<stream>`.
        model: name and hash of what claims it.
        probability: calibrated, None for an abstention.
        reasons: why it abstains; else what it rests on.
        words: for a reader; empty for an abstention.
    """

    subject: str
    model: str
    probability: float | None
    reasons: tuple[str, ...] = ()
    words: str = ""


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded picture on its way through the operators.

    Attributes:
        stream: the stream's name.
        index: position among the frames of the stream, from 0, in the order of showing.
        time_s: when it is shown, in seconds of a clock that never stands or crawls: by it operators decide.
        picture: the pixels. Read-only for operators.
        faces: what was found so far.
        covers: what is to be painted.
        examined: a detector has looked at this very picture, or knows by its pixels that nothing in it is new.
        cut: a new scene begins with it: nobody stays where they were before.
        shown: how the coded picture is shown.
        clock_s: when the source's own clock says that it is shown, where that is not `time_s`.
        verdicts: what operators claim as of this frame; most frames bring none.
    """

    stream: str
    index: int
    time_s: float
    picture: Picture
    faces: Faces = field(default_factory=Faces.of)
    covers: tuple[Cover, ...] = ()
    examined: bool = False
    cut: bool = False
    shown: Shown = AS_IT_LIES
    clock_s: float | None = None
    verdicts: tuple[Verdict, ...] = ()

    @property
    def source_s(self) -> float:
        """When it is shown, in seconds of the source's own clock: for reports, which decide nothing."""
        return self.time_s if self.clock_s is None else self.clock_s

    @cached_property
    def bgr(self) -> NDArray[np.uint8]:
        """The picture as `(h, w, 3)` uint8 BGR; converted once, on first use. Do not write into it."""
        return to_bgr(self.picture)

    @cached_property
    def detections(self) -> list[tuple[int, int]]:
        """Row and track of each face that a detector saw. Plain, and kept: `track` asks for every pair of frames."""
        pairs = zip(self.faces.tracks.tolist(), self.faces.seen.tolist(), strict=True)
        return [(row, number) for row, (number, seen) in enumerate(pairs) if seen]


def to_bgr(picture: Picture) -> NDArray[np.uint8]:
    """Converts planes to `(h, w, 3)` uint8 BGR, by cv2's BT.601 limited-range table.

    The result feeds detectors, never an encoder, so the small colour error on BT.709 sources is accepted
    for a conversion four times cheaper than an exact one.

    >>> y, uv = np.full((2, 2), 235, np.uint8), np.full((1, 1), 128, np.uint8)
    >>> to_bgr(Picture((y, uv, uv), PIXEL_FORMATS["yuv420p"]))[0, 0].tolist()
    [255, 255, 255]
    """
    y, u, v = picture.planes
    if picture.format.bits == 10:
        y, u, v = ((plane >> 2).astype(np.uint8) for plane in (y, u, v))
    height, width = y.shape
    if picture.format.subsample_y == 2 and height % 2 == 0 and width % 2 == 0:
        stacked = np.concatenate([y.reshape(-1), u.reshape(-1), v.reshape(-1)]).reshape(height * 3 // 2, width)
        return np.asarray(cv2.cvtColor(stacked, cv2.COLOR_YUV2BGR_I420), np.uint8)
    size = (width, height)
    u, v = (cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in (u, v))
    full = [cv2.convertScaleAbs(y, alpha=255 / 219, beta=-16 * 255 / 219)]
    full += [cv2.convertScaleAbs(plane, alpha=255 / 224, beta=128 - 128 * 255 / 224) for plane in (v, u)]
    return np.asarray(cv2.cvtColor(cv2.merge(full), cv2.COLOR_YCrCb2BGR), np.uint8)


def to_bgr_of_size(picture: Picture, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The whole picture as `(h, w, 3)` uint8 BGR of that (w, h), both even; colours as by `to_bgr`.

    Planes are resized first, so that a small look at a large picture costs little.

    >>> y, uv = np.full((8, 8), 16, np.uint8), np.full((4, 4), 128, np.uint8)
    >>> to_bgr_of_size(Picture((y, uv, uv), PIXEL_FORMATS["yuv420p"]), (4, 2)).shape
    (2, 4, 3)
    """
    half = size[0] // 2, size[1] // 2
    y, u, v = (_resized(plane, to) for plane, to in zip(picture.planes, (size, half, half), strict=True))
    if picture.format.bits == 10:
        y, u, v = ((plane >> 2).astype(np.uint8) for plane in (y, u, v))
    stacked = np.concatenate([y.reshape(-1), u.reshape(-1), v.reshape(-1)]).reshape(size[1] * 3 // 2, size[0])
    return np.asarray(cv2.cvtColor(stacked, cv2.COLOR_YUV2BGR_I420), np.uint8)


def _resized(plane: Array, size: tuple[int, int]) -> Array:
    """A plane of that (w, h): averaged over whole samples first, which is quick, then interpolated."""
    step = min(plane.shape[1] // size[0], plane.shape[0] // size[1])
    if step >= 2:
        rows, columns = plane.shape[0] // step, plane.shape[1] // step
        whole = plane[: rows * step, : columns * step]
        plane = np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR))
