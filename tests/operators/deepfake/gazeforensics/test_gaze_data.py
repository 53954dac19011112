from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.arrays import Array
from operators.deepfake import eyes
from operators.deepfake.gazeforensics import data
from operators.deepfake.gazeforensics.clips import ClipSource, ClipTable
from operators.forge.face import GenuineFace
from operators.forge.gaze import MOST
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


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 4))
def test_paths_are_smooth_and_keep_within_bounds(seed: int, frames: int, axes: int) -> None:
    """Two waves of at most 0.8 cycles: between neighbours at most 2 pi * 0.8 of their way."""
    path = data.smooth_path(np.random.default_rng(seed), frames, axes)

    assert path.shape == (frames, axes) and np.abs(path).max() <= 1
    assert np.abs(np.diff(path, axis=0)).max() <= 2 * np.pi * 0.8 / (frames - 1) + 1e-9


@given(st.integers(1, 30), st.integers(0, 400), st.integers(0, 2**32 - 1))
def test_training_rows_rise_within_any_video(frames: int, more: int, seed: int) -> None:
    rows = data.training_rows(frames + more, frames, np.random.default_rng(seed))

    assert len(rows) == frames and rows[0] >= 0 and rows[-1] < frames + more
    steps = np.diff(rows)
    assert not len(steps) or (steps.min() >= 1 and steps.max() - steps.min() <= 1)  # an even tempo


def test_a_video_shorter_than_a_clip_gives_none() -> None:
    with pytest.raises(ValueError, match="at least 5 frames, got 4"):
        data.training_rows(4, 5, np.random.default_rng(0))


@given(st.integers(1, 20), st.integers(0, 500))
def test_test_clips_lie_within_their_video(frames: int, length: int) -> None:
    clips = data.testing_rows(length, frames)

    assert bool(clips) == (length >= frames)
    for rows in clips:
        assert len(rows) == frames and rows[0] >= 0 and rows[-1] < length and len(set(np.diff(rows))) <= 1
    spans = [int(rows[-1] - rows[0]) for rows in clips]
    assert spans == sorted(spans, reverse=True)


def offsets(kind: str) -> Array:
    return data.render(face(), face(1), kind, np.random.default_rng(4), frames=20, size=32).offsets


def test_offsets_of_the_right_iris_by_kind() -> None:
    """Opposed irises: the right one goes where it would in a real clip. Jittered ones: the same places in another
    order, and a deviation of 0.06 more."""
    real, opposed, jittered = (offsets(kind) for kind in ("real", "opposed", "jittered"))

    assert (np.abs(real) <= MOST).all() and real[:, 0].std() > 0.1
    np.testing.assert_array_equal(real, opposed)
    assert jittered.mean(axis=0) == pytest.approx(real.mean(axis=0), abs=0.04)
    assert jittered[:, 0].std() == pytest.approx(np.hypot(real[:, 0].std(), 0.06), abs=0.03)


@pytest.mark.parametrize(
    ("hidden", "covered", "seen"),
    [
        ("eyes", [(0.35, 0.42), (0.65, 0.42)], [(0.5, 0.8), (0.5, 0.2)]),
        ("mouth", [(0.5, 0.5)], [(0.1, 0.1), (0.9, 0.9)]),
    ],
    ids=["eyes", "mouth"],
)
def test_boxes_of_grey_hide_parts(
    hidden: str, covered: list[tuple[float, float]], seen: list[tuple[float, float]]
) -> None:
    still = np.zeros((SIZE, SIZE, 3), np.uint8)

    made = data._covered(still, mesh(SIZE), data.HIDES[hidden])

    for grey, points in ((128, covered), (0, seen)):
        assert [made[int(y * SIZE), int(x * SIZE)].tolist() for x, y in points] == [[grey] * 3] * len(points)
    assert not still.any()


@pytest.mark.parametrize(("centre", "kept"), [(1.0, 100), (0.8, 80), (177 / 224, 80), (0.5, 50)])
def test_how_much_of_a_frame_is_kept(centre: float, kept: int) -> None:
    frames = np.zeros((1, 100, 100, 3), np.uint8)
    edge = (100 - kept) // 2
    frames[:, edge : 100 - edge, edge : 100 - edge] = 255

    white = (
        data.prepared(frames, kept, centre=centre)[0] * np.array(data.STD)[:, None, None]
        + np.array(data.MEAN)[:, None, None]
    )

    assert white == pytest.approx(1, abs=1e-5)
