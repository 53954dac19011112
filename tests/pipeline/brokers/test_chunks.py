"""Values over a message's size travel in pieces and come out whole."""

from __future__ import annotations

import pytest

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


def test_pieces_that_broke_off_are_forgotten() -> None:
    joiner = Joiner("packets", "cam")
    first, second, third = split(b"abc", {}, limit=1)
    assert joiner.add(0, *first) is None
    assert joiner.add(1, *second) is None
    assert joiner.add(2, *first) is None
    assert joiner.add(3, *third) is None
    assert joiner.add(4, b"small", {}) == Record("packets", "cam", 4, 5, b"small")
    for offset, part in enumerate((first, second, third), 5):
        whole = joiner.add(offset, *part)
    assert whole == Record("packets", "cam", 5, 8, b"abc")
