"""The tracker's state: streams apart, handed over after any frame, and as large as what is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import FrameError, StreamError
from operators.track import Track
from tests.operators.tracking import HEIGHT, WIDTH, Box, face, follow, frame, same


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


@settings(max_examples=40, deadline=None)
@given(st.lists(LOOKS, max_size=8))
def test_handing_over_after_every_frame_changes_nothing(rows: list[list[Box] | None]) -> None:
    frames, state, resumed = [frame(index, boxes) for index, boxes in enumerate(rows)], Track().snapshot("s"), []

    for one in frames:
        track = Track()
        track.restore("s", state)
        resumed += track([one])
        state = track.snapshot("s")
        track.restore("s", state)
        assert track.snapshot("s") == state

    whole = Track()
    assert all(same(*pair) for pair in zip(resumed, whole(frames), strict=True))
    assert state == whole.snapshot("s")


@settings(max_examples=40, deadline=None)
@given(st.lists(LOOKS, max_size=8))
def test_the_same_frames_give_the_same_tracks_one_by_one_and_at_once(rows: list[list[Box] | None]) -> None:
    frames = [frame(index, boxes) for index, boxes in enumerate(rows)]
    one_by_one, at_once = Track(), Track()

    parts = [done for one in frames for done in one_by_one([one])]
    whole = at_once(frames)

    assert [done.index for done in whole] == list(range(len(rows)))
    assert all(same(*pair) for pair in zip(parts, whole, strict=True))
    assert one_by_one.snapshot("s") == at_once.snapshot("s")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.permutations(range(4)), min_size=2, max_size=6))
def test_the_order_in_which_a_detector_reports_faces_does_not_matter(orders: list[list[int]]) -> None:
    """Four faces that move apart from each other; each keeps the number that the first frame gave it."""
    faces = [[face(40 + 80 * who + 3 * i, 60 + 40 * (who % 2)) for who in range(4)] for i in range(len(orders))]

    done = Track()([frame(i, [faces[i][who] for who in order]) for i, order in enumerate(orders)])

    number = dict(zip(orders[0], done[0].faces.tracks.tolist(), strict=True))
    for row, order in zip(done, orders, strict=True):
        assert row.faces.tracks.tolist() == [number[who] for who in order]


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


@pytest.mark.parametrize(
    "state",
    [b"", b"\x02", b"\x01" + bytes(24), Track().snapshot("s")[:-1], Track().snapshot("s") + b"\x00"],
    ids=["empty", "cut off", "an older version", "a byte less", "a byte more"],
)
def test_a_foreign_snapshot_is_refused(state: bytes) -> None:
    track = Track()
    track([frame(0, [face(60)])])
    before = track.snapshot("s")

    with pytest.raises(StreamError, match=f"expected a snapshot of version 2, got {len(state)} bytes"):
        track.restore("s", state)

    assert track.snapshot("s") == before


def test_a_state_grows_with_the_faces_that_are_there_and_not_with_time() -> None:
    track, empty = Track(hold_ms=0), len(Track().snapshot("s"))

    sizes = []
    for i in range(40):
        track([frame(i, [face(20 + 7 * i), face(20 + 7 * i, 200)])])
        sizes.append(len(track.snapshot("s")) - empty)

    assert sizes == [sizes[0]] * 40
    assert 0 < sizes[0] < 300


def test_a_box_that_is_not_finite_fails_its_frame_only() -> None:
    track = Track()

    with pytest.raises(FrameError, match="finite"):
        track([frame(0, [(0, 0, float("nan"), 10)])])

    assert track([frame(1, [face(60)])])[0].faces.tracks.tolist() == [1]
