"""The resume primitive: what is stored comes back as it was, and decoding begins two keyframes before the border."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.live.resume import DecodeMark, DecodeMarks, OutputPoint, ResumePoint
from pipeline.wire import Head, Ledger, StreamState

COUNTS = st.integers(0, 2**63)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
HEADS = st.builds(Head, epoch=st.integers(0, 9), codec=NAMES, live=st.booleans(), extradata=st.binary(max_size=8))
LEDGERS = st.builds(
    Ledger, packets=COUNTS, shown=COUNTS, withheld=st.dictionaries(NAMES, COUNTS, max_size=2), wall_s=st.floats(0, 1e9)
)


@st.composite
def points(draw: st.DrawFn) -> ResumePoint:
    epoch_index = draw(st.integers(0, 3))
    return ResumePoint(
        next_index=draw(COUNTS),
        epoch_index=epoch_index,
        last_pts=draw(st.integers(-(2**63), 2**63 - 1)) if epoch_index else None,
        scene_s=draw(st.none() | st.floats(allow_nan=False)) if epoch_index else None,
        resume_offset=draw(COUNTS),
        source=draw(st.none() | HEADS),
        settled_below=draw(COUNTS),
        settled=tuple(draw(st.lists(COUNTS, max_size=4))),
        operators=draw(st.dictionaries(NAMES, st.binary(max_size=8), max_size=3)),
        ledger=draw(LEDGERS),
        output=OutputPoint(draw(st.integers(0, 2**32 - 1)), draw(st.booleans()), draw(st.binary(max_size=16))),
        ended=draw(st.booleans()),
    )


@given(points())
def test_what_is_stored_comes_back_as_it_was(point: ResumePoint) -> None:
    assert ResumePoint.from_bytes(point.to_bytes()) == point


@pytest.mark.parametrize("stored", [None, b""])
def test_a_stream_that_was_never_committed_is_at_its_beginning(stored: bytes | None) -> None:
    assert ResumePoint.from_bytes(stored) == ResumePoint()


def test_the_fields_are_those_that_others_read() -> None:
    """Ingest, the sinks and what shows progress read `StreamState` too."""
    point = ResumePoint(
        next_index=1,
        epoch_index=2,
        last_pts=3,
        resume_offset=4,
        source=Head(codec="h264"),
        settled_below=5,
        settled=(7, 9),
        operators={"track": b"x"},
        ledger=Ledger(shown=6),
        output=OutputPoint(8, True, b"clock"),
        ended=True,
    )

    assert StreamState.FromString(point.to_bytes()) == StreamState(
        next_index=1,
        epoch_index=2,
        last_pts=3,
        resume_offset=4,
        source=Head(codec="h264"),
        settled_below=5,
        settled=[7, 9],
        operators={"track": b"x"},
        ledger=Ledger(shown=6),
        epoch=8,
        anew=True,
        encoder_clock=b"clock",
        ended=True,
    )


def test_a_picture_at_time_zero_is_not_the_beginning_of_an_epoch() -> None:
    point = ResumePoint(epoch_index=1, last_pts=0)

    assert ResumePoint.from_bytes(point.to_bytes()).last_pts == 0


def marks_of(first: int, keys: Sequence[int]) -> DecodeMarks:
    marks = DecodeMarks(DecodeMark(first * 10, first, Head()))
    for number in keys:
        marks.add(DecodeMark(number * 10, number, Head()))
    return marks


@pytest.mark.parametrize(
    ("border", "number"),
    [(0, 0), (9, 0), (19, 0), (20, 10), (29, 10), (30, 20), (1000, 20)],
    ids=["the head", "before the first", "past the first", "the second", "past it", "the third", "all"],
)
def test_decoding_begins_one_keyframe_before_the_last_that_the_border_has_reached(border: int, number: int) -> None:
    marks = marks_of(0, [10, 20, 30])

    assert marks.resume_at(border) == DecodeMark(number * 10, number, Head())


def test_a_source_whose_keyframes_are_not_known_is_decoded_from_its_head() -> None:
    assert marks_of(7, []).resume_at(1000).number == 7
    assert marks_of(7, [9]).resume_at(1000).number == 7


@given(st.sets(st.integers(1, 60), max_size=12), st.lists(st.integers(0, 70), min_size=1, max_size=8))
def test_however_the_border_moves_two_keyframes_up_to_it_are_kept(keys: set[int], borders: list[int]) -> None:
    marks = marks_of(0, sorted(keys))

    for border in sorted(borders):
        begins_at = marks.resume_at(border).number

        reached = [number for number in (0, *sorted(keys)) if number <= border]
        assert begins_at == (reached[-2] if len(reached) > 1 else 0)


@pytest.mark.parametrize(
    ("keys", "border", "begins_at"),
    [
        ([0, 400, 800], 900, 400),  # 500 packets are kept
        ([0, 300, 850], 900, 850),  # two keyframes back were 600
        ([0], 400, 0),
        ([0], 900, 896),  # no keyframe is near: at a packet that is known, next to the border
        ([0, 950], 900, 896),  # the next keyframe lies ahead
        ([0, 390, 950], 900, 896),
    ],
    ids=["near enough", "one of them", "one GOP", "one long GOP", "before a keyframe", "after one"],
)
@pytest.mark.parametrize("by", ["packets", "bytes"])
def test_no_more_is_kept_than_is_allowed(keys: list[int], border: int, begins_at: int, by: str) -> None:
    bound = {"max_packets": 500} if by == "packets" else {"max_bytes": 50_000}
    marks = DecodeMarks(DecodeMark(0, 0, Head()), **bound)
    for number in range(1000):
        marks.add(DecodeMark(number, number, Head()), key=number in keys, size=100)

    assert [marks.resume_at(at).number for at in (*range(0, border, 7), border)][-1] == begins_at


def test_a_takeover_counts_from_where_it_begins_not_from_the_start() -> None:
    marks = DecodeMarks(DecodeMark(77, 0, Head()), max_packets=500)  # its state does not say the number
    for number in range(5000, 5200):
        marks.add(DecodeMark(number, number, Head()), key=number == 5000, size=100)

    assert marks.resume_at(5199).offset == 77
