"""Tracks: numbers that stay, and gaps that are filled from both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from operators import LooksAhead, Remembers, find
from operators.frame import Faces, Frame
from operators.track import Track
from tests.operators.tracking import FPS, PICTURE, WIDTH, Box, blank, face, follow, frame, same


def test_it_fulfils_the_protocols() -> None:
    assert find("track") is Track
    assert isinstance(Track(), Remembers)
    assert isinstance(Track(), LooksAhead)


def test_no_faces() -> None:
    assert [len(done.faces) for done in follow([(), None, ()])] == [0, 0, 0]


def test_a_face_keeps_its_number_and_new_ones_count_up() -> None:
    done = follow([[face(60)], [face(64), face(200)], [face(204), face(68)]])

    assert [row.faces.tracks.tolist() for row in done[1:]] == [[1, 2], [2, 1]]


def test_numbers_are_not_used_again() -> None:
    track = Track(hold_ms=0, back_ms=0)

    done = follow([[face(60)], [], [face(60)]], track)

    assert [row.faces.tracks.tolist() for row in done] == [[1], [], [2]]


def named(index: int, faces: Sequence[tuple[int, Box]], *, sudden: Sequence[int] | None = None) -> Frame:
    """As `frame`, of a detector that follows faces itself: each has a name, and may have come in that frame."""
    data = {"who": np.array([who for who, _ in faces], np.int64)}
    if sudden is not None:
        data["sudden"] = np.array(sudden, np.float32)
    found = Faces.of([box for _, box in faces], data=data)
    return Frame("s", index, index / FPS, PICTURE, found, examined=True)


def test_a_detector_that_follows_faces_itself_knows_best() -> None:
    """Two faces change places from one frame to the next: by their places alone each would be the other."""
    done = Track()([named(0, [(7, face(60)), (8, face(200))]), named(1, [(7, face(200)), (8, face(60))])])

    assert [row.faces.tracks.tolist() for row in done] == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    ("who", "tracks"),
    [
        pytest.param([7, 9], [1, 2], id="another name, but the place of a track that is left"),
        pytest.param([9, 7], [2, 1], id="the name goes before the place"),
        pytest.param([0, 0], [1, 2], id="no names"),
        pytest.param([0, 8], [1, 2], id="one name"),
        pytest.param([8, 0], [2, 1], id="one name, elsewhere"),
    ],
)
def test_names_go_before_places_and_places_take_what_is_left(who: Sequence[int], tracks: Sequence[int]) -> None:
    second = list(zip(who, [face(60), face(90)], strict=True))

    done = Track()([named(0, [(7, face(60)), (8, face(90))]), named(1, second)])

    assert done[1].faces.tracks.tolist() == tracks


def test_a_name_is_known_to_whoever_takes_over() -> None:
    first, second = Track(), Track()
    first([named(0, [(7, face(60))])])

    second.restore("s", first.snapshot("s"))

    assert second([named(1, [(9, face(60)), (7, face(250))])])[0].faces.tracks.tolist() == [2, 1]


def test_a_face_that_is_known_to_be_there_without_a_look_is_a_hit() -> None:
    """It is neither predicted nor held, stays where the detector puts it, and tells how the face moves."""
    known = [at(0.04 * i, [face(60 + 4 * i)], seen=[i == 0]) for i in range(26)]
    track = Track(hold_ms=500)

    *there, lost = track([*known, at(1.04, [])])

    assert all(row.faces.tracks.tolist() == [1] for row in there)
    assert [row.faces.seen.item() for row in there] == [True, *[False] * 25]
    assert not any("age" in row.faces.data and np.isfinite(row.faces.data["age"]).any() for row in there)
    settled = [track.settle(row, [*there[i + 1 :], lost]) for i, row in enumerate(there)]
    assert all(same(*pair) for pair in zip(settled, there, strict=True))
    assert center(lost) == pytest.approx((60 + 4 * 26, 100), abs=0.5)


@pytest.mark.parametrize(
    ("sudden", "before"),
    [(0, [0, 0, 1, 1, 1]), (1, [0] * 5), (None, [0, 0, 1, 1, 1])],
    ids=["came slowly", "sudden", "not said"],
)
def test_a_face_that_was_suddenly_there_is_not_carried_back(sudden: int | None, before: list[int]) -> None:
    found = [named(i, [(7, face(100))], sudden=None if sudden is None else [sudden if i == 5 else 0]) for i in (5, 6)]
    track = Track(back_ms=130)
    tracked = track([*(frame(i) for i in range(5)), *found])

    done = [track.settle(now, tracked[i + 1 :]) for i, now in enumerate(tracked)]

    assert [len(row.faces) for row in done] == [*before, 1, 1]


def test_a_sudden_face_is_carried_back_over_frames_at_which_nobody_looked() -> None:
    """It may have come in any of them."""
    track = Track(back_ms=0)
    tracked = track([frame(0), frame(1, None), frame(2, None), named(3, [(7, face(100))], sudden=[1])])

    done = [track.settle(now, tracked[i + 1 :]) for i, now in enumerate(tracked)]

    assert [len(row.faces) for row in done] == [0, 1, 1, 1]


def test_crossing_faces_keep_their_numbers() -> None:
    rows = [[face(60 + 6 * i, 90), face(240 - 6 * i, 104)] for i in range(30)]

    done = follow(rows)

    assert [row.faces.tracks.tolist() for row in done] == [[1, 2]] * 30


def test_a_small_fast_face_is_followed_without_overlap() -> None:
    done = follow([[face(20 + 14 * i, size=12)] for i in range(15)], Track(match_distance=1.5))

    assert {number for row in done for number in row.faces.tracks} == {1}


def test_weak_detections_take_what_strong_ones_leave() -> None:
    track = Track(high=0.5)
    track([frame(0, [face(100)])])

    (done,) = track([frame(1, [face(100), face(104)], scores=[0.3, 0.9])])

    assert done.faces.tracks.tolist() == [2, 1]


@pytest.mark.parametrize("missed", [1, 3, 6, 10])
def test_a_miss_is_filled_to_within_a_pixel(missed: int) -> None:
    truth = [face(60 + 3 * i, 80 + 2 * i) for i in range(30)]
    gap = range(15, 15 + missed)

    done = follow([[] if i in gap else [box] for i, box in enumerate(truth)])

    for i in gap:
        assert done[i].faces.tracks.tolist() == [1]
        assert done[i].faces.seen.tolist() == [False]
        assert np.abs(done[i].faces.boxes[0] - truth[i]).max() < 1


def test_a_detector_that_looks_at_every_third_frame() -> None:
    truth = [face(60 + 3 * i) for i in range(31)]

    done = follow([[box] if i % 3 == 0 else None for i, box in enumerate(truth)])

    assert [row.faces.tracks.tolist() for row in done] == [[1]] * 31
    assert max(np.abs(row.faces.boxes[0] - box).max() for row, box in zip(done, truth, strict=True)) < 1


def test_frames_not_looked_at_miss_nothing() -> None:
    done = follow([[face(100)], *[None] * 40], Track(hold_ms=200))

    assert [len(row.faces) for row in done] == [1] * 41


def center(frame: Frame, row: int = 0) -> tuple[float, float]:
    x1, y1, x2, y2 = frame.faces.boxes[row].tolist()
    return (x1 + x2) / 2, (y1 + y2) / 2


def at(time_s: float, boxes: Sequence[Box] | None = (), **columns: Any) -> Frame:
    """As `frame`, at any time."""
    faces = Faces.of(boxes or (), **columns)
    return Frame("s", round(time_s * 1000), time_s, PICTURE, faces, examined=boxes is not None)


def test_a_face_goes_on_at_its_smoothed_speed() -> None:
    """4 px in 0.04 s are 100 px/s, taken as they are; 8 px are 200, of which half enters: 150. Fading by e in a second,
    that reaches 150 * (1 - exp(-0.04)) = 5.88 px further."""
    done = Track()([frame(0, [face(60)]), frame(1, [face(64)]), frame(2, [face(72)]), frame(3, [])])

    assert center(done[3]) == pytest.approx((77.88, 100), abs=0.01)


@pytest.mark.parametrize(("after_s", "x"), [(0.5, 64 + 39.35), (1.0, 64 + 63.21), (30.0, 164)])
def test_a_predicted_face_slows_down(after_s: float, x: float) -> None:
    """From 100 px/s, 100 px at most."""
    done = Track()([at(0, [face(60)]), at(0.04, [face(64)]), at(0.04 + after_s, None)])

    assert center(done[2]) == pytest.approx((x, 100), abs=0.05)


def test_a_predicted_face_counts_half_after_half_a_second() -> None:
    done = Track()([at(1, [face(60)], scores=[0.8], kept=[True]), at(1.5, None), at(2, None), at(2.25, None)])

    assert [row.faces.scores.item() for row in done] == pytest.approx([0.8, 0.4, 0.2, 0.8 * 0.5**2.5])
    assert [row.faces.data["age"].item() for row in done[1:]] == pytest.approx([0.5, 1, 1.25])
    assert [row.faces.data["hit_box"].tolist() for row in done[1:]] == [[list(face(60))]] * 3
    assert [row.faces.kept.item() for row in done] == [True, False, False, False]
    assert all(np.isnan(row.faces.landmarks).all() for row in done)


def test_a_face_is_held_from_the_first_look_that_missed_it() -> None:
    """Not from when it was seen: nobody looked for two seconds."""
    looks = [at(0, [face(60)]), at(0.6, [face(60)]), at(1, None), at(2, []), at(2.2, None), at(2.49, []), at(2.51, [])]

    done = Track(hold_ms=500)(looks)

    assert [len(row.faces) for row in done] == [1, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("there_s", "held_s"),
    [
        pytest.param(0.0, 0.12, id="once"),
        pytest.param(0.08, 0.12, id="for less than an eighth of a second"),
        pytest.param(0.3, 0.3, id="for a while"),
        pytest.param(0.6, 0.5, id="for longer than faces are held"),
    ],
)
def test_a_face_is_held_no_longer_than_it_had_been_there(there_s: float, held_s: float) -> None:
    before = [at(0, [face(60)]), *([at(there_s, [face(60)])] if there_s else [])]
    missed_s = there_s + 0.04

    *_, first, last, none = Track(hold_ms=500)(
        [*before, at(missed_s, []), at(missed_s + held_s - 0.001, []), at(missed_s + held_s + 0.001, [])]
    )

    assert [len(row.faces) for row in (first, last, none)] == [1, 1, 0]


@pytest.mark.parametrize(("after_s", "size"), [(0.1, 42.4), (0.25, 46), (0.5, 52), (2.0, 52)])
def test_a_predicted_face_grows(after_s: float, size: float) -> None:
    """Of 40 pixels, by six tenths of its size in a second, and by three tenths at most; the hit stays as it was."""
    done = Track()([at(1, [face(60)]), at(1 + after_s, None)])

    assert done[1].faces.boxes[0] == pytest.approx(face(60, size=size), abs=1e-3)
    assert done[1].faces.data["hit_box"].tolist() == [list(face(60))]


def test_a_face_that_is_seen_again_is_held_anew() -> None:
    looks = [at(0, [face(60)]), at(0.4, []), at(0.6, [face(60)]), at(0.8, []), at(1.2, []), at(1.4, [])]

    done = Track(hold_ms=500)(looks)

    assert [row.faces.tracks.tolist() for row in done] == [[1], [1], [1], [1], [1], []]


@pytest.mark.parametrize(
    ("box", "options", "track"),
    [
        pytest.param(face(110, size=20), {}, 1, id="overlaps by a third"),
        pytest.param(face(115, size=20), {}, 1, id="overlaps too little, but is near"),
        pytest.param(face(115, size=20), {"match_distance": 0.5}, 2, id="not near enough"),
        pytest.param(face(119, size=20), {}, 1, id="just within its size"),
        pytest.param(face(121, size=20), {}, 2, id="just beyond its size"),
        pytest.param(face(121, size=20), {"match_distance": 2}, 1, id="within twice its size"),
        pytest.param(face(125, size=39), {}, 1, id="nearly twice as large"),
        pytest.param(face(125, size=41), {}, 2, id="more than twice as large"),
        pytest.param(face(100, size=45), {}, 2, id="around it, overlapping by less than a fifth"),
        pytest.param(face(100, size=44), {"match_iou": 0.2}, 1, id="around it, overlapping by a fifth"),
        pytest.param(face(100, 121, size=20), {}, 2, id="below it"),
    ],
)
def test_which_face_is_the_same(box: Box, options: dict[str, float], track: int) -> None:
    """The first is 20 pixels wide, and stands still."""
    done = Track(**options)([frame(0, [face(100, size=20)]), frame(1, [box])])

    assert done[1].faces.tracks[0] == track


def test_two_faces_share_out_two_tracks_so_that_both_fit_best() -> None:
    """The face at 110 overlaps both tracks; if it took the nearer one, the other face would be left with none."""
    done = Track()([frame(0, [face(100), face(118)]), frame(1, [face(110), face(140)])])

    assert done[1].faces.tracks.tolist() == [1, 2]


def test_without_look_ahead_a_lost_face_is_held_where_it_goes() -> None:
    track = Track(hold_ms=190)
    rows: list[Sequence[Box]] = [[face(60 + 4 * i)] for i in range(10)]

    done = track([frame(i, boxes) for i, boxes in enumerate([*rows, *[[]] * 8])])

    assert [len(row.faces) for row in done[10:]] == [1] * 5 + [0] * 3
    for i, row in enumerate(done[10:15], 10):
        assert center(row) == pytest.approx((60 + 4 * i, 100), abs=3)
    scores = [float(row.faces.scores[0]) for row in done[9:15]]
    assert scores == sorted(scores, reverse=True)


def test_two_frames_at_one_instant_send_no_face_away() -> None:
    track = Track()
    looks = [(0.0, [face(100)]), (1e-5, [face(101)]), (0.04, [])]

    done = track([Frame("s", i, t, PICTURE, Faces.of(boxes), examined=True) for i, (t, boxes) in enumerate(looks)])

    assert done[2].faces.tracks.tolist() == [1]
    assert done[2].faces.boxes[0] == pytest.approx(face(101), abs=12)


def test_a_held_face_does_not_leave_the_picture() -> None:
    track = Track(hold_ms=2000)

    done = track([frame(i, [face(10 * i)] if i < 30 else []) for i in range(55)])

    assert center(done[-1]) == pytest.approx((WIDTH, 100), abs=1e-3)


def test_a_face_whose_middle_is_outside_already_is_not_drawn_in() -> None:
    done = Track()([frame(0, [face(-10, 250)]), frame(1, [])])

    assert center(done[1]) == pytest.approx((-10, 250))


def test_a_face_that_was_seen_in_a_frame_not_looked_at_counts_as_well() -> None:
    """Such as one that an earlier step knew of."""
    track = Track()
    _, missed, later = track([frame(0, [face(60)]), frame(1, []), frame(2, [face(80)])])

    settled = track.settle(missed, [replace(later, examined=False)])

    assert center(missed) == pytest.approx((60, 100))
    assert center(settled) == pytest.approx((70, 100))


def test_where_interpolation_and_prediction_disagree_both_are_covered() -> None:
    """A face runs right, is lost, and comes back far to the left: it may have been anywhere in between."""
    track = Track(match_distance=6)
    rows: list[Sequence[Box]] = [[face(60 + 10 * i)] for i in range(10)]

    done = follow([*rows, [], [], [], [], [face(100)]], track)

    x1, _, x2, _ = done[13].faces.boxes[0]
    assert done[13].faces.tracks.tolist() == [1]
    assert (x1, x2) == (pytest.approx(110 - 20, abs=0.1), pytest.approx(150 + 40 + 20, abs=12))


def test_a_face_found_now_is_covered_in_the_frames_before() -> None:
    truth = [face(60 + 3 * i) for i in range(20)]

    done = follow([[box] if i >= 12 else [] for i, box in enumerate(truth)], Track(back_ms=200))

    assert [len(row.faces) for row in done] == [0] * 7 + [1] * 13
    for i in range(7, 12):
        x1, y1, x2, y2 = done[i].faces.boxes[0]
        assert x1 < truth[i][0] and y1 < truth[i][1] and x2 > truth[i][2] and y2 > truth[i][3]
        assert (done[i].faces.seen.tolist(), done[i].faces.tracks.tolist()) == ([False], [1])


def test_how_large_a_face_is_covered_before_it_was_found() -> None:
    """Of 40 pixels, 15 % on each side; and its score halves in half a second, backwards too."""
    track = Track(back_ms=300)
    tracked = track([at(0, []), at(0.25, [face(100)], scores=[0.8]), at(0.3, [face(100)], scores=[0.8])])

    before = track.settle(tracked[0], tracked[1:]).faces

    assert before.boxes.tolist() == [pytest.approx([74, 74, 126, 126])]
    assert before.scores.tolist() == pytest.approx([0.8 * 0.5**0.5])
    assert (before.seen.tolist(), before.kept.tolist()) == ([False], [False])


def test_a_face_that_came_in_is_not_covered_outside_of_the_picture() -> None:
    """It ran right at 500 px/s: a quarter of a second before, its middle would have been 100 px left of the edge."""
    track = Track(back_ms=300)
    tracked = track([at(0, []), at(0.25, [face(10)]), at(0.29, [face(30)])])

    before = track.settle(tracked[0], tracked[1:]).faces

    assert before.boxes[0].tolist() == pytest.approx([-26, 74, 26, 126])


def test_a_face_that_nothing_came_after_stays_where_it_is() -> None:
    track = Track()
    tracked = track([frame(0, [face(60)]), frame(1, [face(64)]), frame(2, [])])

    alone = [track.settle(now, ()) for now in tracked]

    assert all(same(*pair) for pair in zip(alone, tracked, strict=True))


def test_a_face_is_covered_back_to_the_last_look_however_long_ago() -> None:
    done = follow([[], *[None] * 9, [face(100)]], Track(back_ms=0))

    assert [len(row.faces) for row in done] == [0] + [1] * 10


@pytest.mark.parametrize(("x", "faces"), [(100, 1), (132, 1), (136, 2), (250, 2)])
def test_what_is_covered_already_is_not_covered_again(x: float, faces: int) -> None:
    """A face reaches from 50 to 150. Another, 40 wide, is found a frame later: at 132 it lies within the first by 38 of
    40, at 136 by 34 of 40, which is less than nine tenths."""
    around = face(100, size=100)

    done = follow([[around], [around, face(x)], [around, face(x)]])

    assert [len(row.faces) for row in done] == [faces, 2, 2]


def test_a_new_size_or_clock_is_another_scene() -> None:
    track = Track()
    first = frame(0, [face(100)])
    wider = Frame("s", 1, 0.04, blank(640), examined=True)
    earlier = Frame("s", 2, -5.0, blank(640), Faces.of([face(100)]), examined=True)

    done = track([first, wider, earlier])

    assert [row.faces.tracks.tolist() for row in done] == [[1], [], [2]]
    assert len(track.settle(done[1], done[2:]).faces) == 0


@pytest.mark.parametrize(("time_s", "tracks"), [(5.04, [1]), (5.0, [1]), (4.99, [2])])
def test_a_clock_that_runs_back_begins_anew_and_one_that_stands_does_not(time_s: float, tracks: list[int]) -> None:
    done = Track()([at(5, [face(100)]), at(time_s, [face(100)])])

    assert done[1].faces.tracks.tolist() == tracks


def test_nobody_crosses_a_cut() -> None:
    track = Track()
    rows = [frame(0, [face(100)]), replace(frame(1, [face(200)]), cut=True), frame(2, [face(200)])]

    done = track(rows)

    assert [row.faces.tracks.tolist() for row in done] == [[1], [2], [2]]
    assert track.settle(done[0], done[1:]).faces.tracks.tolist() == [1]
