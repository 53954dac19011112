"""Sets with forgeries: who is made of whom, from whom, and that parts agree with the whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators.arrays import Array
from operators.cropset import CropSet
from operators.forge import KINDS as ALL_KINDS
from operators.forge import GenuineFace, forge
from operators.forge.cache import Donors, forgeries, need_donors, unforged
from tests.operators.forge.faces import SIZE, made_face

KINDS = ["swap", "iris", "mouth"]
PEOPLE = 6


def genuine() -> CropSet:
    """Six people, the last two in `val`, and one forgery that is to be passed over."""
    faces = [made_face(seed) for seed in range(PEOPLE + 1)]
    names = np.array([f"person {number}" for number in range(len(faces))])
    return CropSet(
        pixels=np.stack([face.pixels for face in faces]),
        points=np.stack([face.points for face in faces]),
        labels=np.array([0] * PEOPLE + [1], np.int8),
        groups=names,
        clips=names,
        frames=np.zeros(len(faces), np.int64),
        splits=np.array(["train"] * 4 + ["val"] * 2 + ["train"]),
        kinds=np.array(["real"] * PEOPLE + ["elsewhere"]),
        masks=np.empty((0, 40, 40), np.uint8),
        origins=np.full(len(faces), -1),
    )


def test_each_face_gets_so_many_forgeries_of_different_kinds() -> None:
    faces = unforged(genuine())

    made = forgeries(faces, range(PEOPLE), KINDS, 2, seed=0)

    assert len(faces) == PEOPLE and not faces.masks.any()
    assert made.origins.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert made.groups.tolist() == faces.groups[made.origins].tolist()
    assert made.splits.tolist() == faces.splits[made.origins].tolist()
    assert all(first != second for first, second in made.kinds.reshape(-1, 2))
    assert made.labels.all() and made.masks.shape == (12, SIZE // 4, SIZE // 4) and made.masks.any(axis=(1, 2)).all()


def test_a_part_is_as_in_the_whole() -> None:
    faces = unforged(genuine())

    whole, part = (forgeries(faces, rows, KINDS, 2, seed=3) for rows in (range(PEOPLE), [4, 1]))

    np.testing.assert_array_equal(part.pixels[:2], whole.pixels[8:10])
    np.testing.assert_array_equal(part.pixels[2:], whole.pixels[2:4])
    assert (forgeries(faces, [4, 1], KINDS, 2, seed=4).pixels != part.pixels).any()


def test_donors_are_others_of_the_same_split() -> None:
    faces = unforged(genuine())
    donors = Donors(faces)

    def who(face: GenuineFace) -> int:
        return int(np.flatnonzero((faces.pixels == face.pixels).all(axis=(1, 2, 3)))[0])

    drawn = {who(donors.draw(0, np.random.default_rng(seed))) for seed in range(20)}
    of_val = {who(donors.draw(5, np.random.default_rng(seed))) for seed in range(20)}

    assert drawn and drawn <= {1, 2, 3}
    assert of_val == {4}


def test_nobody_else_means_oneself() -> None:
    alone = unforged(genuine()).where(np.array([0]))

    donor = Donors(alone).draw(0, np.random.default_rng(0))

    np.testing.assert_array_equal(donor.pixels, alone.pixels[0])


@pytest.mark.parametrize(
    ("kinds", "needed"),
    [([], False), (["iris", "recolour"], False), (["iris", "swap"], True), (["reenact"], True)],
    ids=["none", "of the face alone", "one of two", "of another's points"],
)
def test_which_kinds_need_donors(kinds: list[str], needed: bool) -> None:
    assert need_donors(kinds) == needed


def test_a_forgery_is_that_of_its_kind_and_says_where_it_is_from() -> None:
    faces = replace(unforged(genuine()), frames=np.arange(PEOPLE))

    made = forgeries(faces, [3], ["iris", "recolour", "soften"], 4, seed=1)

    assert made.clips.tolist() == [f"person 3#{number}" for number in range(4)] and made.frames.tolist() == [3] * 4
    assert sorted(made.kinds[:3]) == ["iris", "recolour", "soften"] and made.kinds[3] == made.kinds[0]
    np.testing.assert_array_equal(made.points, faces.points[[3] * 4])
    differs = (made.pixels != faces.pixels[3]).any(axis=3)
    cells = differs.reshape(4, SIZE // 4, 4, SIZE // 4, 4).any(axis=(2, 4))
    assert cells.any(axis=(1, 2)).all()
    assert (made.masks[cells] > 0).mean() > 0.95  # that of a cell is a mean, and may round to 0


def test_frames_of_a_clip_are_forged_by_chances_of_their_own() -> None:
    still = unforged(genuine()).where(np.array([2, 2]))

    first, second = (
        forgeries(replace(still, frames=np.array([0, frame])), [1], ["recolour"], 1, seed=0).pixels for frame in (1, 2)
    )

    assert (first != second).any()


def test_no_rows_are_no_forgeries() -> None:
    made = forgeries(unforged(genuine()), [], KINDS, 2, seed=0)

    assert len(made) == 0 and made.size == SIZE and made.masks.shape == (0, SIZE // 4, SIZE // 4)


def like(*points: Array, tones: tuple[int, ...]) -> CropSet:
    """A person for each mesh, evenly grey."""
    some = unforged(genuine()).where(np.zeros(len(points), int))
    names = np.array([f"person {number}" for number in range(len(points))])
    pixels = np.broadcast_to(np.array(tones, np.uint8)[:, None, None, None], (len(points), SIZE, SIZE, 3))
    return replace(some, points=np.stack(points), pixels=pixels, groups=names, clips=names)


FACE = made_face(0).points
NARROW = FACE * np.array([0.5, 1], np.float32)
TURNED = ((FACE - 48) @ np.array([[0.8, 0.6], [-0.6, 0.8]], np.float32)) * 0.7 + 48


@pytest.mark.parametrize(
    ("faces", "chosen"),
    [
        pytest.param(like(FACE, NARROW, TURNED, tones=(90, 90, 90)), TURNED, id="the pose, however turned or large"),
        pytest.param(like(FACE, FACE + 1, FACE + 2, tones=(90, 200, 100)), FACE + 2, id="the light"),
    ],
)
def test_the_donor_is_the_likest_of_the_others(faces: CropSet, chosen: Array) -> None:
    donors = Donors(faces)

    for seed in range(5):
        np.testing.assert_array_equal(donors.draw(0, np.random.default_rng(seed)).points, chosen)


@pytest.mark.parametrize("kind", sorted(set(ALL_KINDS) - {"swap", "swap_seamless", "eyes", "mouth", "reenact"}))
def test_kinds_that_need_no_donor_take_nothing_of_one(kind: str) -> None:
    face, other = made_face(0), made_face(1)

    alone, given = (forge(kind, face, np.random.default_rng(4), donor) for donor in (None, other))

    np.testing.assert_array_equal(alone.pixels, given.pixels)
