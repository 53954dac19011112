"""Values over a message's size travel in pieces and come out whole."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.brokers import Record
from pipeline.brokers.chunks import Joiner, begins, split


@pytest.mark.parametrize(("size", "pieces"), [(0, 1), (1, 1), (10, 1), (11, 2), (20, 2), (21, 3)])
def test_what_is_split_is_joined(size: int, pieces: int) -> None:
    value = bytes(range(size))
    joiner = Joiner("packets", "cam")
    parts = list(split(value, {"version": b"1"}, limit=10))
    joined = [joiner.add(100 + 2 * place, *part) for place, part in enumerate(parts)]
    assert [begins(headers) for _, headers in parts] == [True] + [False] * (pieces - 1)
    assert joined[:-1] == [None] * (pieces - 1)
    assert joined[-1] == Record("packets", "cam", 100, 100 + 2 * pieces - 1, value, {"version": b"1"})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({}, True), ({"chunk": b"0/2"}, True), ({"chunk": b"1/2"}, False), ({"chunk": b"10/11"}, False)],
)
def test_a_value_begins_with_its_first_piece(headers: dict[str, bytes], expected: bool) -> None:
    assert begins(headers) is expected


def test_a_value_that_fits_is_not_touched() -> None:
    value = bytes(10)

    ((piece, headers),) = split(value, {"version": b"1"}, limit=10)

    assert piece is value
    assert headers == {"version": b"1"}


VALUES = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.binary(max_size=25), st.dictionaries(st.sampled_from(["x", "y"]), st.binary())
    ),
    max_size=8,
)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([0, 1, 2], [b"abc"]),
        ([0, 2, 2], []),
        ([0, 1, 1, 2], []),
        ([1, 2], []),
        ([0, 1, 0, 1, 2], [b"abc"]),
        ([0, 1, 2, 2], [b"abc"]),
        ([0, None, 1, 2], [b"small"]),
        ([0, 1, None, 0, 1, 2], [b"small", b"abc"]),
    ],
    ids=str,
)
def test_only_pieces_in_their_order_are_joined(pieces: list[int | None], expected: list[bytes]) -> None:
    joiner, parts = Joiner("packets", "cam"), list(split(b"abc", {}, limit=1))

    joined = [
        joiner.add(offset, *((b"small", {}) if piece is None else parts[piece])) for offset, piece in enumerate(pieces)
    ]

    assert [record.value for record in joined if record] == expected


def test_the_first_piece_alone_carries_the_values_headers() -> None:
    assert [headers for _, headers in split(b"ab", {"version": b"1"}, limit=1)] == [
        {"version": b"1", "chunk": b"0/2"},
        {"chunk": b"1/2"},
    ]


@given(VALUES, st.integers(1, 7), st.randoms(use_true_random=False))
def test_split_then_join_is_identity_however_streams_interleave(
    values: list[tuple[str, bytes, dict[str, bytes]]], limit: int, order: Random
) -> None:
    waiting = {
        stream: [piece for name, value, headers in values if name == stream for piece in split(value, headers, limit)]
        for stream in "abc"
    }
    joiners = {stream: Joiner("packets", stream) for stream in "abc"}

    joined: list[Record] = []
    for offset in range(sum(map(len, waiting.values()))):
        stream = order.choice([stream for stream, pieces in waiting.items() if pieces])
        value, headers = waiting[stream].pop(0)
        assert len(value) <= limit
        whole = joiners[stream].add(offset, value, headers)
        joined += [whole] if whole else []

    for stream in "abc":
        own = [record for record in joined if record.stream == stream]
        assert [(r.stream, r.value, r.headers) for r in own] == [each for each in values if each[0] == stream]
        assert all(one.next_offset <= other.offset for one, other in itertools.pairwise(own))


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=4), st.data())
def test_what_broke_off_never_comes_out_mixed(values: list[bytes], data: st.DataObject) -> None:
    """A producer that dies amid a value leaves its first pieces; the next one begins with a whole value."""
    joiner = Joiner("packets", "cam")
    joined: list[bytes] = []
    for value in values:
        pieces = list(split(value, {}, limit=2))
        broken = pieces[: data.draw(st.integers(0, len(pieces) - 1))]
        found = [joiner.add(0, *piece) for piece in broken + pieces]
        joined += [record.value for record in found if record]

    assert joined == values
