from __future__ import annotations

import numpy as np
import pytest

from operators.deepfake import eyes
from operators.deepfake.gazeforensics import data
from operators.deepfake.gazeforensics.clips import ClipSource, ClipTable
from operators.forge.face import GenuineFace
from tests.operators.deepfake.faces import crop_set, mesh, smooth

SIZE = 96


def face(seed: int = 0) -> GenuineFace:
    return GenuineFace(smooth(np.random.default_rng(seed), SIZE), mesh(SIZE))


@pytest.mark.parametrize("kind", ["real", *data.KINDS])
def test_a_still_becomes_a_clip(kind: str) -> None:
    clip = data.render(face(), face(1), kind, np.random.default_rng(0), frames=5, size=48)
    again = data.render(face(), face(1), kind, np.random.default_rng(0), frames=5, size=48)

    assert clip.frames.shape == (5, 48, 48, 3)
    assert np.array_equal(clip.frames, again.frames)
    assert not np.array_equal(clip.frames[0], clip.frames[1])


def test_irises_move_smoothly_or_jump() -> None:
    def step(kind: str) -> float:
        clips = [data.render(face(), face(), kind, np.random.default_rng(seed), frames=8, size=48) for seed in range(6)]
        return float(np.mean([np.abs(np.diff(clip.offsets, axis=0)).mean() for clip in clips]))

    assert step("jittered") > 1.5 * step("real")


def test_covered_eyes_look_alike_wherever_they_look() -> None:
    shown = [
        data.render(face(), face(), kind, np.random.default_rng(3), frames=2, size=SIZE, hidden="eyes").frames
        for kind in ("real", "opposed")
    ]

    assert np.abs(shown[0].astype(int) - shown[1]).mean() < 1


def test_a_teaching_still_is_labelled_by_where_its_irises_are_now() -> None:
    _, degrees, across = data.teaching(face(), np.random.default_rng(0), size=48)

    expected = np.degrees(np.arcsin(np.clip(across / eyes.RADIUS, -eyes.MOST, eyes.MOST)))
    assert degrees[1] == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("length", [14, 15, 40, 300])
def test_training_clips_stay_within_their_video_and_in_order(length: int) -> None:
    for seed in range(20):
        rows = data.training_rows(length, 14, np.random.default_rng(seed))
        assert len(rows) == 14
        assert (np.diff(rows) >= 1).all()
        assert 0 <= rows[0] <= rows[-1] < length


@pytest.mark.parametrize(
    ("length", "strides"),
    [(13, []), (14, [1]), (45, [3]), (100, [7] + [1] * 7), (300, [21] + [5] * 4)],
)
def test_test_clips_have_several_tempos(length: int, strides: list[int]) -> None:
    assert [int(rows[1] - rows[0]) for rows in data.testing_rows(length, 14)] == strides


def test_the_centre_is_kept_and_normalised() -> None:
    frames = np.zeros((2, 100, 100, 3), np.uint8)
    frames[:, 10:90, 10:90] = 255

    x = data.prepared(frames, 40, centre=0.8)

    assert x.shape == (2, 3, 40, 40)
    assert np.allclose(x[:, 0], (1 - 0.485) / 0.229, atol=1e-5)


def test_videos_are_sorted_by_clip_and_frame() -> None:
    stills = crop_set(2)
    clips = np.array(["b", "a"] * 4)
    rows = data.videos_of(type(stills)(**{**stills.arrays(), "clips": clips, "frames": np.arange(8)[::-1]}))

    assert [video.tolist() for video in rows] == [[7, 5, 3, 1], [6, 4, 2, 0]]


def test_a_part_of_the_table_is_new_in_each_epoch_whichever_were_seen() -> None:
    source = ClipSource(crop_set(4, 48).split("train"), frames=3, size=32)

    def table() -> ClipTable:
        return ClipTable(source, 20, redraw=0.3, chance=chance, encode=lambda clips: clips.mean((2, 3, 4))[..., None])

    def chance(name: str, step: int) -> np.random.Generator:
        return np.random.default_rng((len(name), step))

    walked, jumped = table(), table()
    walked.at(0)
    first = walked.frames.copy()
    walked.at(1)
    second = walked.frames.copy()
    walked.at(2)
    jumped.at(2)

    changed = (first != second).any(axis=(1, 2, 3, 4)).mean()
    assert 0 < changed < 0.7
    assert np.array_equal(walked.frames, jumped.frames)
    assert walked.real.mean() == 0.5
    assert np.allclose(walked.targets[:, :, 0], walked.frames.mean((2, 3, 4)))
