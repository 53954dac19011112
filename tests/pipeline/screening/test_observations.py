"""What is noted of a video stays small, and keeps what matters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.deepfake.quality import BETWEEN, TOO_FEW
from operators.deepfake.scores import CALM
from operators.frame import Faces, Frame, Verdict
from operators.shown import Shown
from pipeline.screening.observations import CROP_PX, Album, Notes, Series, Shot, TrackNotes
from tests.operators.deepfake.faces import frame_of, mesh


@given(st.lists(st.one_of(st.floats(-90, 90), st.just(np.nan)), min_size=1, max_size=200))
def test_a_series_stays_short_and_keeps_its_order(values: list[float]) -> None:
    series = Series(1, most=8)
    for time_s, value in enumerate(values):
        series.add(time_s, [value])

    times, means = series.rows().T

    assert 1 <= len(times) <= 8 and (np.diff(times) > 0).all()
    known = np.array(values)[np.isfinite(values)]
    assert np.isfinite(means).any() == bool(len(known))
    if len(known):
        assert known.min() - 1e-9 <= np.nanmin(means) and np.nanmax(means) <= known.max() + 1e-9


def test_a_series_of_means_by_hand() -> None:
    series = Series(2, most=2)
    for time_s, one, other in ((0, 1, np.nan), (1, 3, np.nan), (2, 5, 7), (3, 7, np.nan)):
        series.add(time_s, [one, other])

    np.testing.assert_allclose(series.rows(), [[0.5, 2, np.nan], [2.5, 6, 7]])


def shot(time_s: float, rank: float) -> Shot:
    return Shot(time_s, np.zeros((2, 2, 3), np.uint8), None, (False, rank))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=100))
def test_an_album_is_spread_over_the_track_and_holds_the_best(ranks: list[float]) -> None:
    album = Album(most=6)
    for time_s, rank in enumerate(ranks):
        album.add(shot(time_s, rank))

    times = [each.time_s for each in album]

    assert min(len(ranks), 3) <= len(times) <= 6 and times == sorted(times)
    assert max(each.rank for each in album) == (False, max(ranks))


def scored(frame: Frame, *probabilities: float) -> Frame:
    """The frame with what `deepfake.acmf` and the measuring of gaze add."""
    n = len(frame.faces)
    data: dict[str, Any] = {
        "forged_acmf": np.array(probabilities, np.float32), "acmf_map": np.ones((n, 4, 4), np.float32),
        "gaze": np.full((n, 2, 2), 5.0), "vergence": np.zeros(n), "eyes_agree": np.full(n, np.nan),
    }  # fmt: skip
    return replace(frame, faces=frame.faces.with_data(**data))


def test_a_face_is_noted_by_its_track() -> None:
    notes = Notes()
    for index in range(3):
        notes.add(scored(frame_of(mesh(80), mesh(90) + 95, index=index, tracks=(4, 2)), 0.5, np.nan))

    four, two = notes.tracks[4], notes.tracks[2]

    assert (four.seen, four.scored["acmf"], two.scored["acmf"], notes.faces) == (3, 3, 0, 6)
    assert four.scores["acmf"].rows().tolist() == [[0.0, 0.5], [0.04, 0.5], [0.08, 0.5]]
    assert four.gaze is not None and four.gaze.rows()[0].tolist()[:6] == [0, 5, 5, 5, 5, 0]
    assert [each.evidence is None for each in (*four.album, *two.album)] == [False] * 3 + [True] * 3
    assert [each.rank[0] for each in (*four.album, *two.album)] == [True] * 3 + [False] * 3  # what was scored is better
    assert {each.rgb.shape for each in four.album} == {(CROP_PX, CROP_PX, 3)}


@pytest.mark.parametrize("rotation", [0, 90])
def test_a_face_without_a_mesh_is_shown_as_its_box(rotation: int) -> None:
    frame = replace(frame_of(mesh(150)), shown=Shown.turned(rotation))
    notes = Notes()

    notes.add(replace(frame, faces=Faces.of([[20, 20, 120, 120]], tracks=[1])))

    (only,) = notes.tracks[1].album
    assert only.rgb.shape == (CROP_PX, CROP_PX, 3) and only.evidence is None


def test_faces_that_nobody_saw_are_not_noted() -> None:
    frame = frame_of(mesh(150))
    notes = Notes()

    notes.add(replace(frame, faces=Faces.of([[0, 0, 9, 9]] * 2, tracks=[1, -1], seen=[False, True])))

    assert not notes.tracks and not notes.faces


def test_of_many_tracks_the_most_suspicious_and_the_longest_stay() -> None:
    notes = Notes(most=2)
    for number in range(1, 7):
        for index in range(number):
            notes.add(frame_of(mesh(80), index=index, tracks=(number,)))
    silent = [Verdict(f"s/{number}", "m", None, (TOO_FEW,)) for number in (2, 3, 4, 5, 6)]
    notes.hear("acmf", [Verdict("s/1", "m", 0.9, (), "indication of a forgery"), *silent])

    notes.thin(6)

    assert sorted(notes.tracks) == [1, 6] and notes.dropped == 4
    assert list(notes.left_out["acmf"].values()) == [4]
    assert [verdict.probability for verdict in notes.said("acmf")] == [0.9, None, None]


def test_a_track_that_is_neither_matters_more_than_a_calm_one() -> None:
    notes = Notes(most=1)
    for number in (1, 2):
        notes.add(frame_of(mesh(80), index=0, tracks=(number,)))
    notes.hear("acmf", [Verdict("s/1", "m", None, (BETWEEN,)), Verdict("s/2", "m", 0.2, (), CALM)])

    notes.thin(1)

    assert list(notes.tracks) == [1]


def test_tracks_that_still_live_are_never_left_out() -> None:
    notes = Notes(most=1)
    for number in (1, 2, 3):
        notes.add(frame_of(mesh(80), index=number, tracks=(number,)))

    notes.thin(2)

    assert sorted(notes.tracks) == [2, 3]


@pytest.mark.parametrize(
    ("count", "rows"),
    [(3, [0, 1, 2]), (4, [0, 1, 2, 3]), (5, [0.5, 2.5, 4]), (8, [0.5, 2.5, 4.5, 6.5]), (9, [1.5, 5.5, 8])],
)
def test_a_series_halves_itself_when_it_is_full(count: int, rows: list[float]) -> None:
    series = Series(1, most=4)
    for number in range(count):
        series.add(number, [10 * number])

    assert series.rows().tolist() == [[time_s, 10 * time_s] for time_s in rows]


def test_an_album_keeps_one_shot_of_each_part_of_the_time() -> None:
    """Of ten shots: the best of the first four, of the next four, and of the last two."""
    album = Album(most=4)
    for time_s, rank in enumerate([1, 9, 2, 8, 3, 3, 7, 1, 5, 6]):
        album.add(shot(time_s, rank))

    assert [(each.time_s, each.rank[1]) for each in album] == [(1, 9), (6, 7), (9, 6)]


def test_a_shot_that_was_scored_is_better_than_a_sharper_one_that_was_not() -> None:
    album = Album(most=2)
    for scored, sharpness in ((False, 9.0), (True, 1.0), (False, 8.0)):
        album.add(Shot(sharpness, np.zeros((2, 2, 3), np.uint8), None, (scored, sharpness)))

    assert [each.time_s for each in album] == [1.0, 8.0]  # of the first two, and of the last


def test_a_track_lasts_from_its_first_sight_to_its_last() -> None:
    notes = Notes()
    for index, size in ((5, 60), (6, 90), (9, 80)):
        notes.add(frame_of(mesh(size), index=index, tracks=(3,)))

    (track,) = notes.tracks.values()
    assert (track.from_s, track.to_s, track.met_at, track.seen) == (5 / 25, 9 / 25, 9, 3)
    assert track.face_px == int(0.76 * 90)  # the oval is 0.76 of the picture wide, and higher than that


@pytest.mark.parametrize(
    ("more", "less"),
    [
        (Verdict("s/1", "m", 0.81, (), "weak indication of a forgery"), Verdict("s/1", "m", None, (BETWEEN,))),
        (Verdict("s/1", "m", None, (BETWEEN,)), Verdict("s/1", "m", 0.2, (), CALM)),
        (Verdict("s/1", "m", 0.2, (), CALM), Verdict("s/1", "m", 0.1, (), CALM)),
        (Verdict("s/1", "m", 0.1, (), CALM), Verdict("s/1", "m", None, (TOO_FEW,))),
    ],
    ids=["suspicious", "in between", "less calm", "calm"],
)
def test_what_is_more_suspicious_matters_more_however_briefly_it_was_seen(more: Verdict, less: Verdict) -> None:
    brief, long = TrackNotes(1, 0.0, seen=1), TrackNotes(2, 0.0, seen=99)
    brief.verdicts["acmf"], long.verdicts["acmf"] = more, less

    assert brief.weight > long.weight


def test_the_most_suspicious_system_decides_how_much_a_track_matters() -> None:
    two, one = TrackNotes(1, 0.0, seen=1), TrackNotes(2, 0.0, seen=1)
    one.verdicts = {"acmf": Verdict("s/2", "m", 0.3, (), CALM)}
    two.verdicts = {**one.verdicts, "gazeforensics": Verdict("s/1", "m", 0.9, (), "indication of a forgery")}

    assert two.weight > one.weight > TrackNotes(3, 0.0, seen=1).weight
    assert TrackNotes(3, 0.0, seen=2).weight > TrackNotes(4, 0.0, seen=1).weight


def test_verdicts_on_tracks_that_are_not_noted_are_not_heard() -> None:
    notes = Notes()
    notes.add(frame_of(mesh(80), tracks=(1,)))

    notes.hear("acmf", [Verdict("a stream/with/1", "m", 0.9, (), "x"), Verdict("s/7", "m", 0.9, (), "x")])

    assert list(notes.tracks) == [1] and notes.tracks[1].verdicts["acmf"].subject == "a stream/with/1"
    assert len(notes.said("acmf")) == 1 and notes.said("gazeforensics") == []


def test_the_latest_verdict_stands() -> None:
    notes = Notes()
    notes.add(frame_of(mesh(80), tracks=(1,)))

    for probability in (0.9, 0.4):
        notes.hear("acmf", [Verdict("s/1", "m", probability, (), "x")])

    assert [verdict.probability for verdict in notes.said("acmf")] == [0.4]


def test_few_tracks_are_all_kept() -> None:
    notes = Notes(most=3)
    for number in (1, 2, 3):
        notes.add(frame_of(mesh(80), index=0, tracks=(number,)))

    notes.thin(10**6)

    assert sorted(notes.tracks) == [1, 2, 3] and (notes.dropped, notes.left_out) == (0, {})


def test_verdicts_of_tracks_that_are_left_out_are_alike_to_a_hundredth() -> None:
    notes = Notes(most=0)
    for number, probability in enumerate((0.101, 0.104, 0.106), 1):
        notes.add(frame_of(mesh(80), index=0, tracks=(number,)))
        notes.hear("acmf", [Verdict(f"s/{number}", "m", probability, (), CALM)])

    notes.thin(1)

    left = notes.left_out["acmf"]
    assert sorted((verdict.subject, verdict.probability, count) for verdict, count in left.items()) == [
        ("others/0", 0.1, 2), ("others/0", 0.11, 1),
    ]  # fmt: skip


def test_a_crop_shows_as_much_as_the_detector_saw() -> None:
    """The same face in crops of two margins: the larger one holds the smaller one in its middle."""
    frame = frame_of(mesh(100) + 50, tracks=(1,))
    tight, wide = Notes(margin=1.0), Notes(margin=2.0)
    for notes in (tight, wide):
        notes.add(frame)

    one, other = (next(iter(notes.tracks[1].album)).rgb.astype(float) for notes in (tight, wide))

    half = CROP_PX // 4
    middle = other[half:-half, half:-half]
    assert np.abs(one[::2, ::2][:78, :78] - middle[:78, :78]).mean() < 12
    assert np.abs(one - other).mean() > 12
