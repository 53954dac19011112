"""Still pictures as frames, and labelled sets of them: for calibration, benches and tests, which have no video."""

from __future__ import annotations

import csv
import tarfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import ConfigError
from operators.arrays import Array
from operators.frame import PIXEL_FORMATS, Frame, Picture
from operators.shown import AS_IT_LIES, Shown

SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_images(archive: Path) -> Mapping[str, bytes]:
    """The encoded images of a tar archive, by their path in it."""
    with tarfile.open(archive) as tape:
        files = ((member.name, tape.extractfile(member)) for member in tape)
        return {name.removeprefix("./"): file.read() for name, file in files if file}


def decode_image(content: bytes) -> NDArray[np.uint8]:
    """`(h, w, 3)` uint8 BGR of an encoded image."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"not an image: {content[:16]!r}")
    return np.asarray(image, np.uint8)


def read_image(file: Path, flags: int = cv2.IMREAD_COLOR) -> Array | None:
    """What an image file holds, as OpenCV reads it with these flags; None if there is no file, or no image in it."""
    return cv2.imread(str(file), flags) if file.is_file() else None  # OpenCV prints a warning where none is


def picture_of(image: Array) -> Picture:
    """A `(h, w, 3)` uint8 BGR image as decoders give it: yuv420p, limited range; odd sizes repeat the last line.

    >>> [plane.shape for plane in picture_of(np.zeros((3, 5, 3), np.uint8)).planes]
    [(4, 6), (2, 3), (2, 3)]
    """
    height, width = image.shape[:2]
    even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return planar(cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420))


def planar(stacked: Array) -> Picture:
    """A picture of the planes of yuv420p one below the other, `(h + h / 2, w)` uint8, h and w even.

    >>> [plane.shape for plane in planar(np.zeros((6, 4), np.uint8)).planes]
    [(4, 4), (2, 2), (2, 2)]
    """
    height, width = len(stacked) * 2 // 3, stacked.shape[1]
    luma, chroma = height * width, height * width // 4
    y, u, v = np.split(stacked.reshape(-1), [luma, luma + chroma])
    half = (height // 2, width // 2)
    return Picture((y.reshape(height, width), u.reshape(half), v.reshape(half)), PIXEL_FORMATS["yuv420p"])


def frame_of(image: Array, index: int = 0, *, stream: str = "still", shown: Shown = AS_IT_LIES) -> Frame:
    """A frame of a coded picture that holds a `(h, w, 3)` uint8 BGR image.

    >>> frame_of(np.zeros((4, 4, 3), np.uint8), index=50).time_s
    2.0
    """
    return Frame(stream, index, index / 25, picture_of(image), shown=shown)


@dataclass(frozen=True, eq=False, slots=True)
class Labelled:
    """A picture with the boxes `(n, 4)` xyxy px of all faces in it."""

    content: bytes
    boxes: Array

    @property
    def frame(self) -> Frame:
        return frame_of(decode_image(self.content))


def read_labelled(folder: Path) -> list[Labelled]:
    """A labelled set, in the order of its file names: `boxes.csv` (file, xmin, ymin, xmax, ymax) next to `images.tar`.

    Raises:
        ConfigError: one of the two is missing, or they do not belong together.
    """
    lines = defaultdict(list)
    try:
        with (folder / "boxes.csv").open() as file:
            for line in csv.DictReader(file):
                lines[line["file"]].append([float(line[side]) for side in SIDES])
        images = {Path(name).name: content for name, content in read_images(folder / "images.tar").items()}
        return [Labelled(images[name], np.array(lines[name])) for name in sorted(lines)]
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        raise ConfigError(f"{folder}: expected boxes.csv (file,{','.join(SIDES)}) and images.tar: {error!r}") from error
