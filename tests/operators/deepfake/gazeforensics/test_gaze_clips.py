"""The clips of a training: of videos where there are any, else of stills; a table of them that is renewed in part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engines import ConfigError
from operators.cropset import CropSet
from operators.deepfake.gazeforensics.clips import ClipSource, ClipTable
from operators.deepfake.gazeforensics.data import FaceClip
from operators.forge.face import GenuineFace
from tests.operators.deepfake.faces import crop_set

FRAMES, SIZE = 3, 24


def stills(people: int = 4) -> CropSet:
    return crop_set(people, 48).split("train")


def filmed(*lengths: int) -> CropSet:
    """Videos of so many frames, genuine and forged in turn; a frame's pixels say its number."""
    rows = np.concatenate([np.full(length, row) for row, length in enumerate(lengths)])
    numbers = np.concatenate([np.arange(length) for length in lengths])
    some = stills().where(rows % 4)
    names = np.array([f"video {row}" for row in rows])
    pixels = np.broadcast_to(numbers.astype(np.uint8)[:, None, None, None], (len(rows), 8, 8, 3))
    groups = np.array([f"person {row // 2}" for row in rows])
    return replace(some, pixels=pixels, clips=names, groups=groups, frames=numbers, labels=(rows % 2).astype(np.int8))


class Shown(ClipSource):
    """A source of stills whose clips say what they were to be made of."""

    def rendering(self, row: int, kind: str, rng: np.random.Generator, hidden: str = "") -> FaceClip:
        frames = np.full((FRAMES, 2, 2, 3), rng.integers(256), np.uint8)
        return FaceClip(frames, f"{row}/{kind}{hidden}", np.zeros((FRAMES, 2)))


def test_a_clip_is_a_genuine_still_or_a_forgery_of_one() -> None:
    source = Shown(stills(), frames=FRAMES, size=SIZE, kinds=("eyes", "swap"))

    drawn = {
        fake: {source.draw(np.random.default_rng(seed), fake).kind for seed in range(60)} for fake in (False, True)
    }

    assert source.rendered and source.genuine.tolist() == [0, 1, 2, 3]
    assert drawn[False] == {f"{row}/real" for row in range(4)}
    assert drawn[True] == {f"{row}/{kind}" for row in range(4) for kind in ("eyes", "swap")}


def test_the_donor_is_any_other_face() -> None:
    asked: list[int] = []

    class Asked(ClipSource):
        def face(self, row: int) -> GenuineFace:
            asked.append(row)
            return super().face(row)

    source = Asked(stills(), frames=FRAMES, size=SIZE)
    for seed in range(20):
        source.rendering(1, "real", np.random.default_rng(seed))

    assert set(asked[::2]) == {1} and set(asked[1::2]) == {0, 2, 3}


def test_held_stills_are_shown_as_they_are_and_forged_in_the_kinds_by_turns() -> None:
    source = Shown(stills(), frames=FRAMES, size=SIZE, kinds=("eyes", "swap"))

    held = source.held(6, np.random.default_rng(0))

    kinds = [str(subject).split("/")[1] for subject in held.subjects]
    assert kinds == ["real", "eyes", "real", "swap", "real", "eyes"] and held.labels.tolist() == [0, 1] * 3
    assert [clip.kind for clip in held.clips] == held.subjects.tolist()
    assert held.groups.tolist() == [stills().groups[int(str(subject).split("/")[0])] for subject in held.subjects]
    again = source.held(6, np.random.default_rng(0))
    assert all((a.frames == b.frames).all() for a, b in zip(held.clips, again.clips, strict=True))


def test_a_face_is_that_of_its_row() -> None:
    data = stills()

    face = ClipSource(data, frames=FRAMES, size=SIZE).face(2)

    assert isinstance(face, GenuineFace)
    np.testing.assert_array_equal(face.pixels, data.pixels[2])
    np.testing.assert_array_equal(face.points, data.points[2])


def test_videos_long_enough_go_before_stills() -> None:
    source = ClipSource(filmed(5, 4, 2, 3, 1, 1), frames=FRAMES, size=SIZE)

    drawn = [
        source.draw(np.random.default_rng(seed), fake).frames[:, 0, 0, 0]
        for seed in range(20)
        for fake in (False, True)
    ]

    assert not source.rendered
    assert {fake: [len(rows) for rows in videos] for fake, videos in source.videos.items()} == {
        False: [5],
        True: [4, 3],
    }
    assert all(len(clip) == FRAMES and (np.diff(clip.astype(int)) >= 1).all() for clip in drawn)
    assert len({tuple(clip) for clip in drawn}) > 2, "from a random frame at a random tempo"


def test_held_videos_are_cut_at_several_tempos() -> None:
    held = ClipSource(filmed(6, 3), frames=FRAMES, size=SIZE).held(9, np.random.default_rng(0))

    shown = [clip.frames[:, 0, 0, 0].tolist() for clip in held.clips]
    assert shown == [[0, 2, 4], [0, 1, 2]]
    assert held.labels.tolist() == [0, 1]
    assert held.subjects.tolist() == ["video 0", "video 1"] and held.groups.tolist() == ["person 0"] * 2


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        pytest.param(filmed(5, 1, 5, 1), r"got 2 and 0; raise per_clip", id="no forged videos"),
        pytest.param(filmed(1, 5), r"got 0 and 1; raise per_clip", id="no genuine videos"),
        pytest.param(stills().where(np.array([0])), "stills of two people, got 1 crops", id="one still"),
    ],
)
def test_there_is_nothing_to_make_clips_of(data: CropSet, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ClipSource(data, frames=FRAMES, size=SIZE)


# -- the table -------------------------------------------------------------------------------------


def chance(name: str, step: int) -> np.random.Generator:
    return np.random.default_rng((len(name), step))


def table(encoded: list[int], redraw: float) -> ClipTable:
    def encode(clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        encoded.append(len(clips))
        return np.asarray(clips.mean((2, 3))[..., :1], np.float32)

    return ClipTable(Shown(stills(), frames=FRAMES, size=SIZE), 10, redraw=redraw, chance=chance, encode=encode)


@pytest.mark.parametrize(("redraw", "sizes"), [(0.0, [10]), (1.0, [10, 10, 10])], ids=["nothing", "everything"])
def test_what_is_new_is_shown_to_the_teacher_once(redraw: float, sizes: list[int]) -> None:
    encoded: list[int] = []
    made = table(encoded, redraw)

    for epoch in (0, 0, 1, 1, 2):
        made.at(epoch)

    assert encoded == sizes
    assert made.frames.shape == (10, FRAMES, 2, 2, 3) and made.targets.shape == (10, FRAMES, 1)
    np.testing.assert_allclose(made.targets[..., 0], made.frames.mean((2, 3, 4)))


def test_the_teacher_sees_only_the_part_that_is_new() -> None:
    encoded: list[int] = []
    made = table(encoded, 0.3)
    made.at(0)
    before = made.frames.copy()

    made.at(1)

    changed = (made.frames != before).any(axis=(1, 2, 3, 4)).sum()
    assert encoded[0] == 10 and 0 < changed <= encoded[1] < 10


def test_the_frames_of_a_clip_are_all_turned_round_or_none() -> None:
    """Somebody who is mirrored from frame to frame looks to the other side each time."""

    class Aside(Shown):
        def rendering(self, *_: object) -> FaceClip:
            frames = np.zeros((FRAMES, 2, 2, 3), np.uint8)
            frames[:, :, 1] = 255
            return FaceClip(frames, "real", np.zeros((FRAMES, 2)))

    def encode(clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.zeros((len(clips), 1), np.float32)

    made = ClipTable(Aside(stills(), frames=FRAMES, size=SIZE), 20, redraw=0, chance=chance, encode=encode)
    made.at(0)

    bright = made.frames[:, :, 0, :, 0].argmax(-1)
    assert (bright == bright[:, :1]).all() and set(bright[:, 0]) == {0, 1}


def test_clips_are_genuine_and_forged_in_turn() -> None:
    asked: dict[bool, int] = {True: 0, False: 0}

    class Asked(Shown):
        def draw(self, rng: np.random.Generator, fake: bool) -> FaceClip:
            asked[fake] += 1
            return super().draw(rng, fake)

    def encode(clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.zeros((len(clips), 1), np.float32)

    source = Asked(stills(), frames=FRAMES, size=SIZE)
    made = ClipTable(source, 7, redraw=0, chance=chance, encode=encode)
    made.at(0)

    assert made.real.tolist() == [0, 1, 0, 1, 0, 1, 0] and asked == {True: 4, False: 3}
