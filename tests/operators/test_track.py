"""Tracks: numbers that stay, gaps that are filled from both sides, and a state that can change hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import FrameError, StreamError
from operators import LooksAhead, Remembers, find
from operators.frame import PIXEL_FORMATS, Faces, Frame, Picture
from operators.track import Track

FPS = 25
WIDTH, HEIGHT = 320, 240
Box = tuple[float, float, float, float]


def blank(width: int = WIDTH, height: int = HEIGHT) -> Picture:
    yuv = PIXEL_FORMATS["yuv420p"]
    y, u, v = (np.zeros(shape, np.uint8) for shape in yuv.plane_shapes(width, height))
    return Picture((y, u, v), yuv)


PICTURE = blank()


def face(x: float, y: float = 100, size: float = 40) -> Box:
    """A square box around a centre."""
    return (x - size / 2, y - size / 2, x + size / 2, y + size / 2)


def frame(index: int, boxes: Sequence[Box] | None = (), *, stream: str = "s", scores: object = None) -> Frame:
    """A frame on which a detector saw these boxes, or, with None, at which it did not look."""
    faces = Faces.of(boxes or (), scores)
    return Frame(stream, index, index / FPS, PICTURE, faces, examined=boxes is not None)


def follow(rows: Sequence[Sequence[Box] | None], track: Track | None = None) -> list[Frame]:
    """One frame for each row of boxes, through the tracker and settled with all that came after."""
    track = track or Track()
    tracked = track([frame(index, boxes) for index, boxes in enumerate(rows)])
    return [track.settle(now, tracked[index + 1 :]) for index, now in enumerate(tracked)]


def same(a: Frame, b: Frame) -> bool:
    names = ("boxes", "scores", "tracks", "seen", "kept")
    return all(np.array_equal(getattr(a.faces, name), getattr(b.faces, name)) for name in names)


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
    gap = range(10, 10 + missed)

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


def test_without_look_ahead_a_lost_face_is_held_where_it_goes() -> None:
    track = Track(hold_ms=190)
    rows: list[Sequence[Box]] = [[face(60 + 4 * i)] for i in range(10)]

    done = track([frame(i, boxes) for i, boxes in enumerate([*rows, *[[]] * 8])])

    assert [len(row.faces) for row in done[10:]] == [1] * 5 + [0] * 3
    for i, row in enumerate(done[10:15], 10):
        assert np.abs(row.faces.boxes[0] - face(60 + 4 * i)).max() < 3
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

    done = track([frame(i, [face(270 + 10 * i)] if i < 4 else []) for i in range(30)])

    assert done[-1].faces.boxes[0] == pytest.approx(face(WIDTH), abs=1e-3)


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


def test_a_face_is_covered_back_to_the_last_look_however_long_ago() -> None:
    done = follow([[], *[None] * 9, [face(100)]], Track(back_ms=0))

    assert [len(row.faces) for row in done] == [0] + [1] * 10


def test_what_is_covered_already_is_not_covered_again() -> None:
    """Another track ends where one begins: the frames before it already had a cover at that place."""
    done = follow([[face(100, size=110)], [face(100)], [face(100)]])

    assert [len(row.faces) for row in done] == [1, 2, 2]


def test_a_new_size_or_clock_is_another_scene() -> None:
    track = Track()
    first = frame(0, [face(100)])
    wider = Frame("s", 1, 0.04, blank(640), examined=True)
    earlier = Frame("s", 2, -5.0, blank(640), Faces.of([face(100)]), examined=True)

    done = track([first, wider, earlier])

    assert [row.faces.tracks.tolist() for row in done] == [[1], [], [2]]
    assert len(track.settle(done[1], done[2:]).faces) == 0


def test_nobody_crosses_a_cut() -> None:
    track = Track()
    rows = [frame(0, [face(100)]), replace(frame(1, [face(200)]), cut=True), frame(2, [face(200)])]

    done = track(rows)

    assert [row.faces.tracks.tolist() for row in done] == [[1], [2], [2]]
    assert track.settle(done[0], done[1:]).faces.tracks.tolist() == [1]


def test_streams_do_not_mix() -> None:
    apart = [follow([[face(60 + 3 * i)] for i in range(6)]), follow([[face(200)], [], [], [face(200)], [], []])]
    track = Track()

    mixed = track(
        [
            frame(i, boxes, stream=stream)
            for i in range(6)
            for stream, boxes in (("a", [face(60 + 3 * i)]), ("b", [face(200)] if i in (0, 3) else []))
        ]
    )

    for name, alone in zip("ab", apart, strict=True):
        assert [row.faces.tracks.tolist() for row in mixed if row.stream == name] == [
            row.faces.tracks.tolist() for row in alone
        ]


def test_the_input_is_left_as_it_was() -> None:
    track = Track()
    frames = [frame(0, [face(60)]), frame(1, []), frame(2, [face(66)])]

    tracked = track(frames)
    held = tracked[1].faces.boxes.copy()
    track.settle(tracked[1], tracked[2:])

    assert [now.faces.tracks.tolist() for now in frames] == [[-1], [], [-1]]
    assert np.array_equal(tracked[1].faces.boxes, held)


LOOKS = st.none() | st.lists(st.builds(face, st.floats(0, WIDTH), st.floats(0, HEIGHT), st.floats(4, 80)), max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(LOOKS, max_size=12), st.data())
def test_whoever_takes_over_goes_on_the_same_way(rows: list[list[Box] | None], data: st.DataObject) -> None:
    frames = [frame(index, boxes) for index, boxes in enumerate(rows)]
    cut = data.draw(st.integers(0, len(frames)))
    first, second, whole = Track(), Track(), Track()

    first(frames[:cut])
    second.restore("s", first.snapshot("s"))

    assert all(same(*pair) for pair in zip(second(frames[cut:]), whole(frames)[cut:], strict=True))
    assert second.snapshot("s") == whole.snapshot("s")


@settings(max_examples=60, deadline=None)
@given(st.lists(LOOKS, max_size=12))
def test_every_detection_stays_and_has_a_number_of_its_own(rows: list[list[Box] | None]) -> None:
    done = follow(rows)

    for boxes, row in zip(rows, done, strict=True):
        found = row.faces[row.faces.seen]
        assert np.array_equal(found.boxes, np.asarray(boxes or (), np.float32).reshape(-1, 4))
        assert len(set(row.faces.tracks.tolist())) == len(row.faces)
        assert (row.faces.tracks > 0).all()


def test_forgetting_begins_anew() -> None:
    track = Track()
    track([frame(0, [face(60)])])

    track.forget("s")

    assert track.snapshot("s") == Track().snapshot("s")


def test_a_foreign_snapshot_is_refused() -> None:
    with pytest.raises(StreamError, match="expected a snapshot of version 1"):
        Track().restore("s", b"\x63" + bytes(40))


def test_a_box_that_is_not_finite_fails_its_frame_only() -> None:
    track = Track()

    with pytest.raises(FrameError, match="finite"):
        track([frame(0, [(0, 0, float("nan"), 10)])])

    assert track([frame(1, [face(60)])])[0].faces.tracks.tolist() == [1]
