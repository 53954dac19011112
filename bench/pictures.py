"""Still pictures as frames, for benches and tests that have no video."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.frame import PIXEL_FORMATS, Array, Frame, Picture


def data_folder() -> Path:
    """The folder named in FACEWARDEN_DATA.

    Raises:
        SystemExit: the variable is not set, or names no folder.
    """
    folder = Path(os.environ.get("FACEWARDEN_DATA", ""))
    if not os.environ.get("FACEWARDEN_DATA") or not folder.is_dir():
        raise SystemExit("FACEWARDEN_DATA: expected the folder with the data sets; export it and run again")
    return folder


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


def picture_of(image: Array) -> Picture:
    """A `(h, w, 3)` uint8 BGR image as decoders give it: yuv420p, limited range; odd sizes repeat the last line."""
    height, width = image.shape[:2]
    even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    rows, columns = even.shape[:2]
    luma, chroma = rows * columns, rows * columns // 4
    samples = cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    y, u, v = np.split(samples, [luma, luma + chroma])
    half = (rows // 2, columns // 2)
    return Picture((y.reshape(rows, columns), u.reshape(half), v.reshape(half)), PIXEL_FORMATS["yuv420p"])


def frame_of(image: Array, index: int = 0, *, stream: str = "still", rotation: int = 0) -> Frame:
    """A frame that shows a `(h, w, 3)` uint8 BGR image."""
    return Frame(stream, index, index / 25, picture_of(image), rotation=rotation)
