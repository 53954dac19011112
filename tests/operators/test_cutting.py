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
from operators.cutting import Cutting, of_faces, prepare, turned_away
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


def test_frames_go_through_the_steps_in_batches() -> None:
    batches: list[int] = []

    def counted(frames: Sequence[Frame]) -> list[Frame]:
        batches.append(len(frames))
        return list(frames)

    made = prepare([clip(*[(50, 30)] * 33)], [counted, meshes((50, 30))], Cutting(size=16, per_clip=0))

    assert batches == [16, 16, 1] and made.frames.tolist() == [*range(33)]


def test_of_a_clip_that_breaks_the_batches_before_are_kept() -> None:
    made = prepare([clip(*[(50, 30)] * 20, None)], [meshes((50, 30))], Cutting(size=16, per_clip=0))

    assert made.frames.tolist() == [*range(16)]


@pytest.mark.parametrize("cropped", [False, True])
def test_a_cropped_picture_is_taken_for_one_face(cropped: bool) -> None:
    given: list[Frame] = []

    def remember(frames: Sequence[Frame]) -> list[Frame]:
        given.extend(frames)
        return list(frames)

    prepare([replace(clip((50, 30)), cropped=cropped)], [remember], Cutting())

    assert given[0].stream == "clip" and given[0].examined == cropped
    assert given[0].faces.boxes.tolist() == ([[0, 0, 160, 120]] if cropped else [])


def test_a_face_without_a_mesh_is_passed_over_for_a_smaller_one() -> None:
    def hide_first(frames: Sequence[Frame]) -> list[Frame]:
        hidden = [frame.faces.data["mesh"].copy() for frame in frames]
        for mesh in hidden:
            mesh[0, 7] = np.nan
        return [replace(f, faces=f.faces.with_data(mesh=mesh)) for f, mesh in zip(frames, hidden, strict=True)]

    made = prepare([clip((5, 5))], [meshes((50, 30), (5, 5)), hide_first], Cutting(size=66))

    expected = prepare([clip((5, 5))], [meshes((5, 5), scales=(0.5,))], Cutting(size=66))
    np.testing.assert_array_equal(made.pixels, expected.pixels)


def test_without_a_landmarker_there_are_no_crops() -> None:
    def detect(frames: Sequence[Frame]) -> list[Frame]:
        return [replace(frame, faces=Faces.of([[10, 10, 60, 60]])) for frame in frames]

    assert len(prepare([clip((5, 5))], [detect], Cutting())) == 0


@pytest.mark.parametrize(("turned", "kept"), [(1.0, 1), (0.5, 1), (0.4, 0)])
def test_faces_turned_away_are_left_out(turned: float, kept: int) -> None:
    """The tip of the nose is moved to half of the way to the edge of the face."""

    def turn(frames: Sequence[Frame]) -> list[Frame]:
        mesh = frames[0].faces.data["mesh"].copy()
        mesh[:, 1, 0] = 0.75 * mesh[:, 454, 0] + 0.25 * mesh[:, 234, 0]
        return [replace(frames[0], faces=frames[0].faces.with_data(mesh=mesh))]

    assert len(prepare([clip((50, 30))], [meshes((50, 30)), turn], Cutting(size=16, turned=turned))) == kept


@pytest.mark.parametrize("level", [True, False])
def test_crops_are_turned_until_the_eyes_are_level(level: bool) -> None:
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    def tilt(frames: Sequence[Frame]) -> list[Frame]:
        mesh = frames[0].faces.data["mesh"].copy()
        mesh[..., :2] = (mesh[..., :2] - 80) @ turn + 80
        return [replace(frames[0], faces=frames[0].faces.with_data(mesh=mesh))]

    (points,) = prepare([clip((50, 50))], [meshes((50, 50)), tilt], Cutting(size=64, level=level)).points

    along = points[[362, 263]].mean(axis=0) - points[[33, 133]].mean(axis=0)
    assert np.degrees(np.arctan2(along[1], along[0])) == pytest.approx(0 if level else 20, abs=3)


def test_no_faces_are_a_set_of_the_right_shapes() -> None:
    empty = of_faces([], 48)

    assert len(empty) == 0 and empty.size == 48
    assert empty.points.shape == (0, 478, 2) and empty.masks.shape == (0, 40, 40)
    assert {name: array.dtype.kind for name, array in empty.arrays().items()} == {
        "pixels": "u", "points": "f", "labels": "i", "groups": "U", "clips": "U", "frames": "i", "splits": "U",
        "kinds": "U", "masks": "u", "origins": "i",
    }  # fmt: skip
