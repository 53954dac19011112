"""Sets with forgeries: who is made of whom, from whom, and that parts agree with the whole."""

from __future__ import annotations

import numpy as np

from operators.cropset import CropSet
from operators.forge import GenuineFace
from operators.forge.cache import Donors, forgeries, unforged
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
