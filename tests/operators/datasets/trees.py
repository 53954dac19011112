"""Small folders in the layouts of the published sets."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def shade(number: int, size: int = 32) -> Image:
    """A plain picture; its grey tells its number."""
    return np.full((size, size, 3), 20 + number * 20, np.uint8)


def number_of(image: Image) -> int:
    return round((float(image.mean()) - 20) / 20)


def video(path: Path, images: Sequence[Image]) -> None:
    """An H.264 video of these pictures (BGR)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "10"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(stream.encode(None))


def short_video(path: Path, frames: int = 6) -> None:
    video(path, [shade(number) for number in range(frames)])


def names(root: Path, *paths: str) -> None:
    """Empty files: readers list them without opening them."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def table(path: Path, *rows: Sequence[object]) -> None:
    """A CSV file; the first row names the columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{','.join(map(str, row))}\n" for row in rows))


def pictures(folder: Path, count: int = 3) -> None:
    """`0.png`, `1.png`, ... without leading zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), shade(number))


def archive(path: Path, images: Mapping[str, Image]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tape:
        for name, image in images.items():
            content = cv2.imencode(".png", image)[1].tobytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tape.addfile(member, io.BytesIO(content))


def faceforensics(root: Path, pairs: Mapping[str, Sequence[tuple[str, str]]], *, level: str = "c23") -> None:
    """Both originals of each pair, and both directions of two kinds."""
    for split, of_it in pairs.items():
        root.mkdir(parents=True, exist_ok=True)
        (root / f"{split}.json").write_text(json.dumps(of_it))
        for one, other in of_it:
            for name in (one, other):
                short_video(root / "original_sequences" / "youtube" / level / "videos" / f"{name}.mp4")
            for kind in ("Deepfakes", "FaceSwap"):
                for target, source in ((one, other), (other, one)):
                    videos = root / "manipulated_sequences" / kind / level / "videos"
                    short_video(videos / f"{target}_{source}.mp4")
