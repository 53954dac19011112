"""What a member owns and serves, through rebalances, rewinds and ends of streams, without a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition

from pipeline.brokers import Record
from pipeline.brokers.chunks import split
from pipeline.brokers.kafka_assignment import Assignment
from pipeline.brokers.kafka_table import Entry
from tests.pipeline.brokers.memory_kafka import raw


@dataclass
class Positions:
    """Where partitions are read, and what the group has committed of them."""

    read: dict[int, int | None] = field(default_factory=dict)
    group: dict[int, int] = field(default_factory=dict)

    def position(self, partition: int) -> int | None:
        return self.read[partition]

    def committed(self, partition: int) -> int | None:
        return self.group.get(partition)

    def seek(self, partition: int, offset: int | None) -> None:
        self.read[partition] = offset


def partitions(*numbers: int) -> set[TopicPartition]:
    return {TopicPartition("packets", number) for number in numbers}


def partition_of(stream: str) -> int:
    """Streams are called 0a, 0b, 1a, ..."""
    return int(stream[0])


def assigned(committed: Mapping[int, Mapping[str, Entry]]) -> tuple[Assignment, Positions]:
    """All partitions of `committed`, read from wherever the group has come to."""
    assignment, positions = Assignment(partition_of), Positions()
    assignment.on_partitions_assigned(partitions(*committed))
    assignment.load(committed, positions)
    return assignment, positions


def arrive(assignment: Assignment, *records: Any) -> None:
    for record in records:
        assignment.arrive(partition_of(record.key.decode()), [record])
    assignment.enqueue()


def served(assignment: Assignment, max_bytes: int = 1000) -> list[tuple[str, int]]:
    return [(record.stream, record.offset) for record in assignment.hand_out(max_bytes)]


@pytest.mark.parametrize(("group", "expected"), [({0: 7}, 7), ({}, None)], ids=["committed", "new group"])
def test_a_new_partition_is_read_from_the_groups_offset(group: dict[int, int], expected: int | None) -> None:
    assignment, positions = Assignment(partition_of), Positions({0: 99}, group)
    assignment.on_partitions_assigned(partitions(0))
    assignment.arrive(0, [raw(98, "0a")])

    needs_load = [assignment.needs_load]
    assignment.load({0: {}}, positions)
    assignment.enqueue()
    needs_load.append(assignment.needs_load)

    assert needs_load == [True, False]
    assert positions.read == {0: expected}
    assert served(assignment) == []


def test_records_below_the_resume_offset_are_not_served() -> None:
    assignment, _ = assigned({0: {"0a": Entry(b"", 5)}})

    arrive(assignment, *[raw(offset, stream) for offset, stream in enumerate(["0a", "0b"] * 4)])

    assert served(assignment) == [("0b", 1), ("0b", 3), ("0b", 5), ("0a", 6), ("0b", 7)]


def test_what_arrives_before_states_are_known_waits_for_them() -> None:
    assignment, positions = assigned({0: {}})
    assignment.on_partitions_assigned(partitions(1))
    assignment.on_partitions_assigned(partitions(2))
    assignment.arrive(0, [raw(3, "0a")])

    assignment.load({0: {}, 1: {}, 2: {}}, positions)
    assignment.enqueue()

    assert assignment.owned == (0, 1, 2)
    assert served(assignment) == [("0a", 3)]


def test_a_rewound_stream_is_served_again_and_the_others_of_its_partition_are_not() -> None:
    assignment, positions = assigned({0: {"0a": Entry(b"", 1)}})
    records = [raw(1, "0a"), raw(2, "0b"), raw(3, "0a"), raw(4, "0b")]
    arrive(assignment, *records)
    assert len(served(assignment)) == 4
    positions.read[0] = 5

    assignment.rewind("0a")
    assignment.load({0: {"0a": Entry(b"", 2)}}, positions)
    arrive(assignment, *records[1:], raw(5, "0b"))

    assert positions.read == {0: 2}
    assert served(assignment) == [("0a", 3), ("0b", 5)]


def test_a_rewound_stream_leaves_the_queue_at_once() -> None:
    assignment, _ = assigned({0: {}})
    arrive(assignment, raw(1, "0a"), raw(2, "0b"))

    assignment.rewind("0a")

    assert assignment.is_rewinding
    assert served(assignment) == [("0b", 2)]


@pytest.mark.parametrize(
    ("arrived", "position", "resume", "expected"),
    [
        pytest.param([], 9, 4, 4, id="back to the resume offset"),
        pytest.param([], 3, 4, 3, id="never ahead of what was read"),
        pytest.param([2, 3], 9, 4, 2, id="never ahead of what waits"),
        pytest.param([], None, 4, 4, id="not read yet"),
    ],
)
def test_reading_goes_back_far_enough(arrived: list[int], position: int | None, resume: int, expected: int) -> None:
    assignment, positions = assigned({0: {"0a": Entry(b"", resume)}})
    positions.read[0] = position
    assignment.arrive(0, [raw(offset, "0b") for offset in arrived])

    assignment.rewind("0a")
    assignment.load({0: {"0a": Entry(b"", resume)}}, positions)

    assert positions.read == {0: expected}


def test_half_a_value_is_forgotten_with_a_rewind() -> None:
    assignment, positions = assigned({0: {}})
    first, second = [raw(offset, "0a", *piece) for offset, piece in enumerate(split(b"abcd", {}, limit=2))]
    arrive(assignment, first)
    assignment.rewind("0a")
    assignment.load({0: {}}, positions)

    arrive(assignment, second)
    assert served(assignment) == []
    assignment.rewind("0a")
    assignment.load({0: {}}, positions)
    arrive(assignment, first, second)

    assert [(r.value, r.offset, r.next_offset) for r in assignment.hand_out(1000)] == [(b"abcd", 0, 2)]


def test_records_are_handed_out_up_to_a_size() -> None:
    assignment, _ = assigned({0: {}})
    arrive(assignment, *[raw(offset, "0a", bytes(10)) for offset in range(4)])

    assert served(assignment, max_bytes=11) == [("0a", 0), ("0a", 1)]
    assert assignment.handed("0a") == 2
    assert not assignment.is_queue_empty


@pytest.mark.parametrize("how", ["on_partitions_revoked", "on_partitions_lost"])
def test_streams_of_a_taken_partition_disappear_and_others_stay(how: str) -> None:
    assignment, _ = assigned({0: {}, 1: {}})
    arrive(assignment, raw(0, "0a"), raw(0, "1a"))
    served(assignment)
    arrive(assignment, raw(1, "0a"), raw(1, "1a"))
    assignment.rewind("0a")
    assignment.arrive(0, [raw(2, "0a")])

    getattr(assignment, how)(partitions(0))
    assignment.enqueue()

    assert assignment.streams() == {"1a"}
    assert assignment.partitions == {1}
    assert not assignment.needs_load
    assert not assignment.may_commit("0a")
    assert served(assignment) == []
    assert served(assignment) == [("1a", 1)]


def test_what_is_taken_and_given_back_in_one_rebalance_is_first_seen_to_go() -> None:
    assignment, positions = assigned({0: {}})
    positions.group[0] = 0
    arrive(assignment, raw(0, "0a"))
    served(assignment)

    assignment.on_partitions_revoked(partitions(0))
    assignment.on_partitions_assigned(partitions(0))
    assignment.load({0: {}}, positions)
    arrive(assignment, raw(0, "0a"))

    assert (served(assignment), assignment.streams()) == ([], frozenset())
    assert (served(assignment), assignment.streams()) == ([("0a", 0)], frozenset({"0a"}))


def test_what_was_read_before_a_rebalance_does_not_move_the_offset_after_it() -> None:
    assignment, positions = assigned({0: {"0a": Entry(b"", 9, ended=True)}})
    arrive(assignment, raw(7, "0a"))

    assignment.on_partitions_revoked(partitions(0))
    assignment.on_partitions_assigned(partitions(0))
    assignment.load({0: {}}, positions)

    assert assignment.offset(0, {}) == 0


def test_a_partition_that_is_taken_before_it_was_loaded_costs_no_poll() -> None:
    assignment, _ = assigned({0: {}})
    assignment.on_partitions_assigned(partitions(1))
    assignment.on_partitions_revoked(partitions(1))
    arrive(assignment, raw(0, "0a"))

    assert assignment.partitions == {0}
    assert served(assignment) == [("0a", 0)]


def test_who_gives_up_owns_nothing() -> None:
    assignment, _ = assigned({0: {}, 1: {}})
    arrive(assignment, raw(0, "0a"), raw(0, "1a"))
    served(assignment)
    assignment.on_partitions_assigned(partitions(2))

    assignment.give_up()

    assert (assignment.partitions, assignment.streams(), assignment.needs_load) == (frozenset(), frozenset(), False)


@pytest.mark.parametrize(
    ("committed", "arrived", "resumes", "expected"),
    [
        pytest.param({"0a": Entry(b"", 5), "0b": Entry(b"", 3)}, [], {}, 3, id="the slowest stream"),
        pytest.param({"0a": Entry(b"", 5), "0b": Entry(b"", 3)}, [], {"0b": 9}, 5, id="with a new resume offset"),
        pytest.param({"0a": Entry(b"", 5), "0b": Entry(b"", 3, True)}, [], {}, 5, id="ended streams do not count"),
        pytest.param({"0a": Entry(b"", 3, True)}, [(6, "0a")], {}, 6, id="an ended stream lives again"),
        pytest.param({"0a": Entry(b"", 5)}, [(2, "0c"), (6, "0a")], {}, 2, id="a stream that never was committed"),
        pytest.param({"0a": Entry(b"", 9, True)}, [(6, "0a")], {}, 7, id="all ended: behind the last one read"),
        pytest.param({}, [], {}, 0, id="nothing was ever there"),
    ],
)
def test_the_next_owner_begins_at_the_slowest_live_stream(
    committed: dict[str, Entry], arrived: list[tuple[int, str]], resumes: dict[str, int], expected: int
) -> None:
    assignment, _ = assigned({0: committed})
    arrive(assignment, *[raw(offset, stream) for offset, stream in arrived])

    assert assignment.offset(0, resumes) == expected


def test_a_commit_moves_the_offset_and_an_end_hides_the_stream() -> None:
    assignment, _ = assigned({0: {}})
    arrive(assignment, raw(0, "0a"), raw(1, "0b"), raw(2, "0a"))
    served(assignment)

    assignment.note_commit("0a", resume_offset=2, ended=False)
    assert (assignment.offset(0, {}), assignment.streams()) == (1, frozenset({"0a", "0b"}))
    assignment.note_commit("0b", resume_offset=2, ended=True)
    assert (assignment.offset(0, {}), assignment.streams()) == (2, frozenset({"0a"}))
    assignment.note_commit("0a", resume_offset=3, ended=True)
    assert (assignment.offset(0, {}), assignment.streams()) == (3, frozenset())


def test_a_stream_that_ends_with_packets_in_the_queue_goes_on() -> None:
    assignment, _ = assigned({0: {}})
    arrive(assignment, raw(0, "0a"), raw(1, "0a"))
    served(assignment, max_bytes=0)
    served(assignment, max_bytes=1)
    arrive(assignment, raw(2, "0a", b"new"))
    assignment.hand_out(0)

    assignment.note_commit("0a", resume_offset=2, ended=True)

    assert assignment.streams() == frozenset()
    assert assignment.offset(0, {}) == 2
    assert served(assignment) == [("0a", 2)]
    assert assignment.may_commit("0a")


@pytest.mark.parametrize("ended", [False, True])
def test_a_rewind_takes_from_the_commit_whether_the_stream_has_ended(ended: bool) -> None:
    assignment, positions = assigned({0: {}})
    arrive(assignment, raw(0, "0a"), raw(1, "0a"))
    served(assignment)

    assignment.rewind("0a")
    assignment.load({0: {"0a": Entry(b"", 1, ended)}}, positions)

    assert ("0a" in assignment.streams()) is not ended
    assert assignment.offset(0, {}) == (2 if ended else 1)


def test_only_what_was_served_and_need_not_begin_again_may_be_committed() -> None:
    assignment, positions = assigned({0: {}})
    allowed = [assignment.may_commit("0a")]

    arrive(assignment, raw(0, "0a"))
    allowed.append(assignment.may_commit("0a"))
    served(assignment)
    allowed.append(assignment.may_commit("0a"))
    assignment.rewind("0a")
    allowed.append(assignment.may_commit("0a"))
    assignment.load({0: {}}, positions)
    assignment.hide("0a")
    allowed.append(assignment.may_commit("0a"))

    assert allowed == [False, False, True, False, False]


def test_a_stream_that_is_not_owned_is_not_rewound() -> None:
    assignment, _ = assigned({0: {}})

    assignment.rewind("0a")
    assignment.rewind("1a")

    assert not assignment.needs_load


class Life:
    """One partition of a cluster, and a member that owns it on and off."""

    def __init__(self, streams: list[str]) -> None:
        self.log = [raw(offset, stream) for offset, stream in enumerate(streams)]
        self.entries: dict[str, Entry] = {}
        self.positions = Positions({0: 0})
        self.assignment = Assignment(partition_of)
        self.assignment.on_partitions_assigned(partitions(0))
        self.expected: dict[str, int] = {}
        self.last: dict[str, Record] = {}

    def fetch(self, count: int) -> None:
        if self.assignment.needs_load:
            self.assignment.load({0: self.entries}, self.positions)
        position = self.positions.read[0] or 0
        self.assignment.arrive(0, self.log[position : position + count])
        self.positions.read[0] = min(position + count, len(self.log))
        self.assignment.enqueue()

    def work(self) -> None:
        """Each stream is served in order, without a gap, from its last commit on."""
        for record in self.assignment.hand_out(1):
            since = self.expected.get(record.stream, 0)
            assert record.offset == next(r.offset for r in self.log[since:] if r.key.decode() == record.stream)
            self.expected[record.stream] = record.next_offset
            self.last[record.stream] = record

    def commit(self, stream: str, ended: bool) -> None:
        if self.assignment.may_commit(stream):
            resume = self.last[stream].next_offset if ended else self.last[stream].offset
            self.positions.group[0] = self.assignment.offset(0, {stream: resume})
            self.entries[stream] = Entry(b"", resume, ended)
            self.assignment.note_commit(stream, resume_offset=resume, ended=ended)

    def rewind(self, stream: str) -> None:
        self.assignment.rewind(stream)
        self.expected[stream] = self.resume(stream)

    def rebalance(self) -> None:
        self.assignment.on_partitions_revoked(partitions(0))
        self.assignment.on_partitions_assigned(partitions(0))
        self.expected = {stream: self.resume(stream) for stream in self.expected}

    def resume(self, stream: str) -> int:
        return self.entries.get(stream, Entry(b"")).resume


STREAMS = st.sampled_from(["0a", "0b", "0c"])
STEPS = st.one_of(
    st.tuples(st.just("fetch"), st.integers(1, 4)),
    st.tuples(st.just("work")),
    st.tuples(st.just("commit"), STREAMS, st.booleans()),
    st.tuples(st.just("rewind"), STREAMS),
    st.tuples(st.just("rebalance")),
)


@given(st.lists(STREAMS, min_size=1, max_size=12), st.lists(STEPS, max_size=40))
def test_whatever_happens_each_stream_is_served_whole_and_in_order(streams: list[str], steps: list[Any]) -> None:
    life = Life(streams)
    for name, *arguments in [*steps, *[("fetch", 3), ("work",)] * (2 * len(streams) + 3)]:
        getattr(life, name)(*arguments)

    for stream in set(streams):
        end = 1 + max(record.offset for record in life.log if record.key.decode() == stream)
        assert life.expected.get(stream, 0) == end or life.resume(stream) == end
