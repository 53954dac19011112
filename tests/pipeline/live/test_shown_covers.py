"""The default pipeline on small clips of one portrait: however it is coded and timed, its covers lie on the face."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from operators import Operator
from operators.arrays import Array
from operators.boxes import area, intersection
from operators.shown import Shown
from pipeline.config import Config, load
from pipeline.live.dry_run import read_clip, try_out
from pipeline.live.steps import open_steps
from tests import field_pictures
from tests.clips import portrait
from tests.model_files import model_file

WIDTH, HEIGHT, COUNT, EMPTY = 384, 288, 60, 15
"""Nobody is there in the first pictures."""
FACE_PX = 110
Clocks = Callable[[int], tuple[int, Fraction]]


def scene(number: int) -> tuple[NDArray[np.uint8], Array]:
    """What the viewer sees, `(h, w, 3)`, and the box around the face in it, `(4,)`."""
    noise = np.random.default_rng(0).integers(110, 140, (HEIGHT, WIDTH, 1), np.uint8)
    picture = np.repeat(cv2.GaussianBlur(noise, (0, 0), 3)[..., None], 3, axis=2)
    x, y = 60 + 3 * (number - EMPTY), 40
    if number >= EMPTY:
        head = cv2.resize(portrait()[60:460, 120:460], (FACE_PX * 340 // 400 * 3 // 2, FACE_PX * 3 // 2))
        picture[y : y + head.shape[0], x : x + head.shape[1]] = head
    return np.asarray(picture, np.uint8), np.array([x + 42, y + 36, x + 105, y + 110], np.float64)


def coded(picture: NDArray[np.uint8], shown: Shown) -> NDArray[np.uint8]:
    """As it is stored where a player shows it like that."""
    turned = np.rot90(picture[:, ::-1] if shown.mirrored else picture, -shown.turns)
    across, down = max(shown.sample_aspect, 1), min(shown.sample_aspect, 1)
    size = round(turned.shape[1] / across), round(turned.shape[0] * down)
    return np.asarray(cv2.resize(np.ascontiguousarray(turned), size, interpolation=cv2.INTER_AREA), np.uint8)


def write(path: Path, shown: Shown, clock: Clocks = lambda n: (n, Fraction(1, 25)), *, rate: int = 25) -> Path:
    timescale = {"video_track_timescale": "90000"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=timescale) as file:
        stream: Any = file.add_stream("libx264", rate=rate)
        stream.height, stream.width = coded(scene(0)[0], shown).shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "20", "preset": "veryfast", "bf": "0", "threads": "1"}
        stream.codec_context.sample_aspect_ratio = shown.sample_aspect
        if shown.matrix:
            stream.set_display_matrix(shown.matrix)
        frames = [av.VideoFrame.from_ndarray(coded(scene(n)[0], shown), format="bgr24") for n in range(COUNT)]
        packets = [packet for frame in [*frames, None] for packet in stream.encode(frame)]
        for number, packet in enumerate(packets):
            packet.pts, packet.time_base = clock(number)
            packet.dts, packet.duration = packet.pts, 0
            file.mux(packet)
    return path


def box_in_coded(number: int, shown: Shown) -> Array:
    """Around the face in the picture that is stored, `(1, 4)`: where what is drawn there comes to lie."""
    x1, y1, x2, y2 = scene(number)[1].astype(int).tolist()
    drawn = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    drawn[y1:y2, x1:x2] = 255
    y, x = np.nonzero(coded(drawn, shown)[..., 0] > 127)
    return np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], np.float64)


def open_shares(covers: Mapping[int, Array], shown: Shown, frames: range) -> list[float]:
    """How much of the face's box lies under no cover's box, in each of these frames."""
    shares = []
    for number in frames:
        box = box_in_coded(number, shown)
        over = covers.get(number, np.zeros((0, 4)))
        shares.append(1 - float((intersection(box, over) / area(box)[:, None]).max(initial=0)))
    return shares


@pytest.fixture(scope="module")
def pipeline() -> tuple[Config, dict[str, Operator]]:
    for name in ("centerface", "yunet"):
        model_file(name)
    config = load()
    return config, open_steps(config)


def covered(pipeline: tuple[Config, dict[str, Operator]], path: Path, *, live: bool = False) -> Mapping[int, Array]:
    trial = try_out(*pipeline, read_clip(path, frames=1000, live=live))
    assert trial.failed == 0
    return trial.covers


SAME = Shown()


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(SAME, id="as it lies"),
        pytest.param(Shown.turned(0, sample_aspect=4), id="four times as wide"),
        pytest.param(Shown.turned(0, sample_aspect=Fraction(1, 4)), id="four times as high"),
        pytest.param(Shown.turned(90, mirrored=True, sample_aspect=2), id="wide, lying, mirrored"),
    ],
)
def test_covers_lie_on_the_face_in_the_coded_picture(
    pipeline: tuple[Config, dict[str, Operator]], tmp_path: Path, shown: Shown
) -> None:
    path = write(tmp_path / "clip.mp4", shown)

    covers = covered(pipeline, path)

    height, width = coded(scene(0)[0], shown).shape[:2]
    shares = open_shares(covers, shown, range(EMPTY + 1, COUNT))
    assert max(shares) < 0.25
    boxes = np.concatenate([covers[number] for number in range(EMPTY + 1, COUNT)])
    assert np.median(area(boxes)) < 0.3 * width * height


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    ("suffix", "clock", "rate"),
    [
        pytest.param("mkv", lambda _: (0, Fraction(1, 1000)), 25, id="stands"),
        pytest.param("mp4", lambda n: (n, Fraction(1, 90_000)), 25, id="a tick a picture"),
        pytest.param("mp4", lambda n: (n * 360, Fraction(1, 90_000)), 25, id="ten times too fast"),
        pytest.param("mp4", lambda n: (n, Fraction(1, 800)), 800, id="labelled 800 a second"),
        pytest.param("h264", lambda n: (n, Fraction(1, 800)), 800, id="labelled within its pictures"),
    ],
)
def test_no_clock_uncovers_anybody(
    pipeline: tuple[Config, dict[str, Operator]], tmp_path: Path, suffix: str, clock: Clocks, rate: int, live: bool
) -> None:
    path = write(tmp_path / f"clip.{suffix}", SAME, clock, rate=rate)

    covers = covered(pipeline, path, live=live)

    # A camera's look-ahead of 250 ms is seven pictures then: a face may be found as late as that after it came.
    first = EMPTY + (1 if not live else 2)
    assert max(open_shares(covers, SAME, range(first, COUNT))) < 0.25


def test_field_pictures_are_covered_and_none_is_lost(
    pipeline: tuple[Config, dict[str, Operator]], tmp_path: Path
) -> None:
    frames = [cv2.resize(scene(n)[0], (192, 160), interpolation=cv2.INTER_AREA) for n in range(EMPTY, EMPTY + 12)]
    path = field_pictures.write(tmp_path / "fields.ts", [np.asarray(frame, np.uint8) for frame in frames])

    covers = covered(pipeline, path)

    assert sorted(covers) == list(range(12))
    assert all(len(covers[number]) == 1 for number in covers)
