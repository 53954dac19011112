"""What every broker promises, whoever runs it."""

from __future__ import annotations

import itertools
import random
import time
from contextlib import closing
from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.brokers import INGEST, MASKED, MAX_MESSAGE_BYTES, PACKETS, STATE, Fenced, Message, open_broker
from tests.pipeline.brokers.conftest import Place, collect, messages, numbered, poll_both, values


def test_each_stream_keeps_its_order_headers_and_values(place: Place) -> None:
    writer, member = place.writer(), place.member()
    for number in range(20):
        for stream in "abc":
            message = Message(PACKETS, b"%s %d" % (stream.encode(), number), {"version": b"\x00\xff"})
            writer.write(stream, [message], b"")
    found = collect(member.poll, 60)
    for stream in "abc":
        own = [record for record in found if record.stream == stream]
        assert values(own) == [b"%s %d" % (stream.encode(), number) for number in range(20)]
        assert all(one.next_offset <= other.offset for one, other in itertools.pairwise(own))
    assert all(record.headers == {"version": b"\x00\xff"} and record.topic == PACKETS for record in found)
    assert member.streams() == frozenset("abc")


@pytest.mark.parametrize("size", [0, MAX_MESSAGE_BYTES, 9 << 20])
def test_large_values_come_out_whole(place: Place, size: int) -> None:
    value = random.Random(size).randbytes(size)
    writer, member, reader = place.writer(), place.member(), place.reader(MASKED)
    writer.write("cam", [Message(PACKETS, b"before"), Message(PACKETS, value, {"version": b"1"})], b"")
    writer.write("cam", messages(b"behind"), b"")
    found = collect(member.poll, 3)
    assert [len(each) for each in values(found)] == [6, size, 6]
    assert found[1].value == value
    assert found[1].headers == {"version": b"1"}
    assert found[1].offset < found[1].next_offset <= found[2].offset

    member.commit("cam", messages(value, topic=MASKED), b"state", resume_offset=found[1].next_offset)
    assert collect(reader.read, 1)[0].value == value
    member.rewind("cam")
    assert values(collect(member.poll, 1)) == [b"behind"]


def test_poll_gives_about_what_was_asked_for(place: Place) -> None:
    writer, member = place.writer(), place.member()
    writer.write("cam", messages(*[bytes(1000)] * 30), b"")
    first = collect(lambda timeout_s: member.poll(timeout_s, max_bytes=2500), 1)
    assert len(first) == 3
    assert len(collect(member.poll, 27)) == 27
    assert member.poll(0) == []


def test_what_was_committed_is_not_served_again(place: Place) -> None:
    writer, member = place.writer(), place.member()
    writer.write("cam", messages(*numbered(0, 10)), b"")
    found = collect(member.poll, 10)
    assert member.state("cam") is None
    member.commit("cam", messages(b"out", topic=MASKED), b"state", resume_offset=found[6].offset)
    assert member.state("cam") == b"state"
    member.close()

    heir = place.member("two")
    assert values(collect(heir.poll, 4)) == numbered(6, 10)
    assert heir.state("cam") == b"state"
    assert heir.streams() == {"cam"}


def test_a_rewound_stream_begins_again_and_others_go_on(place: Place) -> None:
    writer, member = place.writer(), place.member()
    for stream in "abcd":
        writer.write(stream, messages(*numbered(0, 5)), b"")
    found = {record.value: record for record in collect(member.poll, 20) if record.stream == "a"}
    member.commit("a", [], b"", resume_offset=found[b"2"].offset)
    member.rewind("a")
    writer.write("b", messages(b"5"), b"")
    again = collect(member.poll, 4) + member.poll(0.3)
    assert [record.value for record in again if record.stream == "a"] == numbered(2, 5)
    assert [record.value for record in again if record.stream != "a"] == [b"5"]


def test_streams_have_one_owner_each(place: Place) -> None:
    writer = place.writer()
    names = [f"cam{number}" for number in range(8)]
    for stream in names:
        writer.write(stream, messages(b"0"), b"")
    one, two = place.member("one"), place.member("two")
    poll_both(one, two, lambda: bool(one.streams() and two.streams()) and one.streams() | two.streams() == set(names))
    assert one.streams() | two.streams() == set(names)
    assert not one.streams() & two.streams()
    if not place.is_kafka:  # there partitions are shared out, not streams
        assert len(one.streams()) == len(two.streams()) == 4
    mine = sorted(one.streams())[0]
    with pytest.raises(Fenced):
        two.commit(mine, messages(b"not mine", topic=MASKED), b"", resume_offset=0)
    with pytest.raises(Fenced):
        two.send(mine, messages(b"not mine", topic=MASKED))
    assert place.reader(MASKED, mine).read(0.2) == []


def test_a_name_that_joins_again_takes_over_at_once(place: Place) -> None:
    writer, former = place.writer(), place.member("one")
    writer.write("cam", messages(*numbered(0, 5)), b"")
    found = collect(former.poll, 5)
    former.commit("cam", [], b"state", resume_offset=found[2].offset)

    began = time.monotonic()
    member = place.member("one")
    assert values(collect(member.poll, 3)) == numbered(2, 5)
    assert time.monotonic() - began < max(1.0, place.silent_s * 0.7)

    with pytest.raises(Fenced):
        former.commit("cam", messages(b"late", topic=MASKED), b"late", resume_offset=found[4].next_offset)
    assert former.streams() == frozenset()
    assert former.poll(0.1) == []
    assert place.broker().latest(STATE, "cam") == b"state"
    assert place.reader(MASKED).read(0.2) == []
    member.commit("cam", messages(b"out", topic=MASKED), b"newer", resume_offset=found[4].next_offset)
    assert values(collect(place.reader(MASKED).read, 1)) == [b"out"]


def test_a_closed_members_streams_go_to_another(place: Place) -> None:
    writer, one, two = place.writer(), place.member("one"), place.member("two")
    writer.write("cam", messages(*numbered(0, 5)), b"")
    poll_both(one, two, lambda: bool(one.streams() | two.streams()))
    owner, other = (one, two) if one.streams() else (two, one)
    owner.close()
    assert values(collect(other.poll, 5, patience_s=4)) == numbered(0, 5)


def test_sent_messages_are_there_at_once(place: Place) -> None:
    writer, member, reader = place.writer(), place.member(), place.reader(MASKED)
    writer.write("cam", messages(b"0"), b"")
    collect(member.poll, 1)
    for number in range(5):
        member.send("cam", messages(*numbered(2 * number, 2 * number + 2), topic=MASKED))
    assert values(collect(reader.read, 10)) == numbered(0, 10)
    assert member.state("cam") is None


def test_an_ended_stream_is_claimed_again_only_for_new_packets(place: Place) -> None:
    writer, member = place.writer(), place.member("one")
    writer.write("cam", messages(*numbered(0, 5)), b"")
    found = collect(member.poll, 5)
    member.commit("cam", [], b"ended", resume_offset=found[3].offset, ended=True)
    assert member.streams() == frozenset()
    member.close()

    heir = place.member("two")
    assert collect(heir.poll, 1, patience_s=1 if not place.is_kafka else 3) == []
    writer.write("cam", messages(b"new"), b"")
    assert values(collect(heir.poll, 1)) == [b"new"]
    assert heir.state("cam") == b"ended"


def test_backlog_grows_with_writes_and_falls_with_commits(place: Place) -> None:
    writer, member = place.writer(), place.member()
    assert writer.backlog("cam") == 0
    writer.write("cam", messages(*numbered(0, 10)), b"")
    writer.write("other", messages(b"0"), b"")
    assert writer.backlog("cam") == 10
    assert place.writer("another").backlog("cam") == 10
    found = [record for record in collect(member.poll, 11) if record.stream == "cam"]
    member.commit("cam", [], b"", resume_offset=found[7].offset)
    until = time.monotonic() + 5
    while writer.backlog("cam") != 3 and time.monotonic() < until:
        time.sleep(0.02)
    assert writer.backlog("cam") == 3
    assert place.writer("third").backlog("cam") == 3


def test_a_slow_consumer_loses_nothing(place: Place) -> None:
    writer, member = place.writer(), place.member()
    for number in range(40):
        writer.write("cam", messages(b"%d " % number + bytes(300_000)), b"")
    found = collect(lambda timeout_s: member.poll(timeout_s, max_bytes=1), 40)
    assert [int(value.split()[0]) for value in values(found)] == list(range(40))


def test_a_second_writer_of_a_name_fences_the_first(place: Place) -> None:
    former = place.writer("ingest")
    former.write("cam", messages(b"0"), b"first")
    newer = place.writer("ingest")
    with pytest.raises(Fenced):
        former.write("cam", messages(b"late"), b"late")
    newer.write("cam", messages(b"1"), b"second")
    assert place.broker().latest(INGEST, "cam") == b"second"
    assert values(collect(place.member().poll, 2)) == [b"0", b"1"]


def test_the_latest_value_is_known_to_everybody(place: Place) -> None:
    broker, writer, member = place.broker(), place.writer(), place.member()
    assert broker.latest(INGEST, "cam") is None
    for number in range(3):
        writer.write("cam", messages(b"%d" % number), b"read %d" % number)
        assert broker.latest(INGEST, "cam") == b"read %d" % number
    found = collect(member.poll, 3)
    member.commit("cam", [], b"", resume_offset=found[0].next_offset)
    assert broker.latest(STATE, "cam") == b""
    member.commit("cam", [], b"done", resume_offset=found[1].next_offset)
    assert broker.latest(STATE, "cam") == place.broker().latest(STATE, "cam") == b"done"


def test_a_dropped_stream_is_forgotten(place: Place) -> None:
    broker, writer, member = place.broker(), place.writer(), place.member("one")
    writer.write("cam", messages(*numbered(0, 5)), b"read")
    found = collect(member.poll, 5)
    member.commit("cam", [], b"state", resume_offset=found[2].offset)
    member.close()
    broker.drop("cam")
    assert broker.latest(STATE, "cam") is None
    assert broker.latest(INGEST, "cam") is None

    heir = place.member("two")
    assert collect(heir.poll, 1, patience_s=1 if not place.is_kafka else 3) == []
    writer.write("cam", messages(b"new"), b"read")
    assert values(collect(heir.poll, 1)) == [b"new"]
    assert heir.state("cam") is None


def test_what_is_erased_is_gone_for_everybody(place: Place) -> None:
    broker, writer = place.broker(), place.writer()
    writer.write("cam", messages(*numbered(0, 5)), b"read")
    writer.close()
    broker.erase()

    afresh = place.broker()
    assert afresh.latest(INGEST, "cam") is None
    assert collect(afresh.reader(PACKETS, "cam").read, 1, patience_s=1) == []


def test_forgetting_what_was_read_spares_the_rest(place: Place) -> None:
    writer, reader = place.writer(), place.reader(PACKETS)
    writer.write("cam", messages(*numbered(0, 3)), b"")
    writer.write("dog", messages(*numbered(0, 3)), b"")
    assert len(collect(reader.read, 3)) == 3
    reader.forget()
    writer.write("cam", messages(b"new"), b"")

    assert values(collect(reader.read, 1)) == [b"new"]
    assert len(collect(place.reader(PACKETS, stream="dog").read, 3)) == 3
    if not place.is_kafka:
        assert values(collect(place.reader(PACKETS).read, 1)) == [b"new"]


def test_a_reader_goes_on_from_any_offset(place: Place) -> None:
    writer = place.writer()
    writer.write("cam", messages(*numbered(0, 6)), b"")
    found = collect(place.reader(PACKETS).read, 6)
    assert values(collect(place.reader(PACKETS, offset=found[2].next_offset).read, 3)) == numbered(3, 6)
    assert place.reader(PACKETS, offset=found[5].next_offset).read(0.05) == []
    assert place.reader(PACKETS, stream="nobody").read(0.05) == []


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("redis://host", {}, "no such broker"),
        ("sqlite://", {}, "names no file"),
        ("sqlite:///tmp/a.db?synchronous=off", {}, "normal or full"),
        ("sqlite:///tmp/a.db", {"partitions": "2"}, "unknown option partitions"),
        ("sqlite:///tmp/a.db", {"lease_s": "soon"}, "seconds"),
        ("kafka://", {}, "host:9092"),
        ("kafka://name:word@host:9092", {}, "credentials"),
        ("kafka://host:9092?partitions=none", {}, "whole number"),
        ("kafka://host:9092", {"lease_s": "1"}, "unknown option lease_s"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    url: str, options: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=expected):
        open_broker(url, **options)


def test_a_group_leaves_the_streams_of_others_alone(place: Place) -> None:
    """Two runs in the same topics: each gets its own, and neither's end takes from the other."""
    writer = place.writer()
    broker = place.broker()
    for number in range(3):
        for stream in ("r1.a", "r2.a", "r1.b", "r2.b"):
            writer.write(stream, messages(b"%s %d" % (stream.encode(), number)), b"")
    with closing(broker.member("one", "one.0", streams="r1.")) as one:
        mine = collect(one.poll, 6)
        one.commit("r1.a", [], b"state", resume_offset=mine[-1].next_offset, ended=True)
        assert {record.stream for record in mine} == {"r1.a", "r1.b"}
    with closing(broker.member("two", "two.0", streams="r2.")) as two:
        theirs = collect(two.poll, 6)

    assert sorted(values(theirs)) == sorted(b"r2.%s %d" % (name, n) for name in (b"a", b"b") for n in range(3))
