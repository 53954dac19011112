"""From clips to crops, with a landmarker that knows where the faces are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines import FrameError
from operators import Operator
from operators.cutting import Cutting, prepare, turned_away
from operators.datasets import Clip
from operators.frame import Faces, Frame
from tests.operators.forge.faces import made_face

FACE = made_face(0, 60)
MESH = np.concatenate([FACE.points, np.zeros((478, 1), np.float32)], axis=1)
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """Pictures of the made face at places; None stands for one that cannot be read."""

    places: Sequence[tuple[int, int] | None]

    def frames(self, most: int = 0) -> Iterator[tuple[int, Image]]:
        for index, place in enumerate(self.places[: most or None]):
            if place is None:
                raise FrameError("broken")
            image = np.full((120, 160, 3), 90, np.uint8)
            x, y = place
            image[y : y + 60, x : x + 60] = FACE.pixels[:, :, ::-1]
            yield index, image

    def files(self) -> Sequence[Path]:
        return ()


def meshes(*at: tuple[int, int], scales: Sequence[float] = (1.0, 0.5)) -> Operator:
    """A landmarker that sees a face at each place in every frame, the second at half the size."""

    def look(frames: Sequence[Frame]) -> list[Frame]:
        found = [
            np.append(MESH[:, :2] * scale + place, MESH[:, 2:], axis=1)
            for place, scale in zip(at, scales, strict=False)
        ]
        boxes = [[*mesh[:, :2].min(axis=0), *mesh[:, :2].max(axis=0)] for mesh in found]
        mesh = np.asarray(found, np.float32).reshape(-1, 478, 3)
        return [replace(frame, faces=Faces.of(boxes, data={"mesh": mesh})) for frame in frames]

    return look


def clip(*places: tuple[int, int] | None, name: str = "clip") -> Clip:
    return Clip(name, Shown(places), 1, "val", "host", "swap")


def test_the_largest_face_of_each_frame() -> None:
    made = prepare([clip((50, 30), (50, 30))], [meshes((50, 30), (5, 5))], Cutting(size=66, per_clip=0))

    assert len(made) == 2
    assert made.frames.tolist() == [0, 1] and made.clips.tolist() == ["clip", "clip"]
    assert (made.labels[0], made.groups[0], made.splits[0], made.kinds[0]) == (1, "host", "val", "swap")
    iris = np.rint(made.points[0, 468]).astype(int)
    assert made.pixels[0][iris[1], iris[0]].max() < 90  # RGB of the dark iris is where the mesh has it
    assert made.pixels[0].mean(axis=(0, 1))[0] > made.pixels[0].mean(axis=(0, 1))[2]  # skin is red first


def test_frames_without_a_face_and_broken_clips_are_passed_over() -> None:
    clips = [clip(None, name="broken"), clip((50, 30), name="whole")]

    assert prepare(clips, [meshes((50, 30))], Cutting()).clips.tolist() == ["whole"]
    assert len(prepare(clips, [meshes()], Cutting())) == 0
    assert len(prepare([], [meshes()], Cutting())) == 0


def test_a_face_that_reaches_over_the_edge_is_left_out_if_asked_for() -> None:
    outside = [meshes((-12, 30))]

    assert len(prepare([clip((0, 30))], outside, Cutting(whole=True))) == 0
    assert len(prepare([clip((0, 30))], outside, Cutting(whole=False))) == 1


@pytest.mark.parametrize(("nose", "turned"), [(0.5, 0.0), (0.75, 0.5), (0.0, 1.0)])
def test_how_far_a_face_looks_aside(nose: float, turned: float) -> None:
    mesh = MESH.copy()
    mesh[[234, 454, 1], 0] = 10, 50, 10 + 40 * nose

    assert turned_away(mesh) == pytest.approx(turned)
