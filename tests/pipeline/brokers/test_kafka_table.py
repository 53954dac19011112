"""The newest committed value of each stream, from records as they lie in a compacted topic."""

from __future__ import annotations

import pytest
from kafka import KafkaProducer, TopicPartition

from pipeline.brokers import STATE, BrokerError
from pipeline.brokers.kafka_client import send_all
from pipeline.brokers.kafka_table import CompactedTable, Entry, compacted
from tests.pipeline.brokers.memory_kafka import MemorySettings, raw, settings


def put(cluster: MemorySettings, stream: str, entry: Entry | None) -> None:
    send_all(cluster.open(KafkaProducer), [compacted(cluster, STATE, stream, entry)])


@pytest.mark.parametrize(
    "entry",
    [Entry(b"state"), Entry(b"", 7), Entry(b"state", 1 << 40, ended=True), Entry(None, 3, ended=True)],
    ids=["plain", "empty", "ended", "dropped"],
)
def test_an_entry_is_read_as_it_was_written(entry: Entry) -> None:
    record = compacted(settings(), STATE, "cam", entry)

    assert record.value is not None
    assert Entry.of(record.value, record.headers) == entry


def test_a_value_without_headers_resumes_at_the_beginning() -> None:
    assert Entry.of(b"state", {}) == Entry(b"state", 0, ended=False)


def test_the_newest_value_counts_and_a_tombstone_takes_it_away() -> None:
    cluster = settings()
    table = CompactedTable(cluster, STATE)
    for entry in (Entry(b"old", 1), Entry(b"new", 2)):
        put(cluster, "cam", entry)
    put(cluster, "dog", Entry(b"other"))

    assert table.latest("cam") == b"new"
    assert table.get("cam") == Entry(b"new", 2)
    put(cluster, "cam", None)
    assert table.latest("cam") is None
    assert table.partition(0) == {"dog": Entry(b"other")}


def test_partitions_that_were_asked_for_are_all_followed() -> None:
    cluster = settings(partitions=2)
    table = CompactedTable(cluster, STATE)
    one, other = {cluster.partition(name): name for name in "abcd"}.values()
    for name in (one, other):
        put(cluster, name, Entry(name.encode()))

    assert (table.latest(one), table.latest(other)) == (one.encode(), other.encode())
    assert table.get(one) == Entry(one.encode())


def test_a_dropped_streams_value_is_gone_and_its_offset_is_not() -> None:
    cluster = settings()
    table = CompactedTable(cluster, STATE)
    put(cluster, "cam", Entry(None, 9, ended=True))

    assert table.latest("cam") is None
    assert table.get("cam") == Entry(None, 9, ended=True)


def test_what_was_committed_here_is_known_before_it_is_read() -> None:
    table = CompactedTable(settings(), STATE)
    table.follow([0])

    table.put("cam", Entry(b"state", 4))

    assert table.get("cam") == Entry(b"state", 4)


def test_partitions_that_stay_are_not_read_again_and_others_are_forgotten() -> None:
    cluster = settings(partitions=3)
    table = CompactedTable(cluster, STATE)
    streams: dict[int, str] = {cluster.partition(name): name for name in "abcdefgh"}
    for name in streams.values():
        put(cluster, name, Entry(name.encode()))
    table.follow([0, 1])
    table.catch_up(1)
    cluster.cluster.log(TopicPartition(STATE, 1))[0] = raw(0, streams[1], b"not read again")

    table.follow([1, 2])
    known = [table.get(streams[partition]) for partition in range(3)]
    table.catch_up(1)

    assert known == [None, Entry(streams[1].encode()), None]
    assert [table.get(streams[partition]) for partition in (1, 2)] == [Entry(streams[p].encode()) for p in (1, 2)]
    table.follow([0, 1])
    assert table.catch_up(1)
    assert table.get(streams[0]) == Entry(streams[0].encode())


def test_a_value_is_unknown_while_a_transaction_may_hold_a_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.brokers.kafka_table.PATIENCE_S", 0.01)
    cluster = settings()
    table = CompactedTable(cluster, STATE)
    put(cluster, "cam", Entry(b"old"))
    producer = cluster.open(KafkaProducer)
    producer.begin_transaction()
    send_all(producer, [compacted(cluster, STATE, "cam", Entry(b"new"))])

    with pytest.raises(BrokerError, match="has not ended yet"):
        table.latest("cam")
    producer.begin_commit().wait(0)

    assert table.latest("cam") == b"new"


def test_an_undone_transaction_leaves_the_old_value() -> None:
    cluster = settings()
    table = CompactedTable(cluster, STATE)
    put(cluster, "cam", Entry(b"old"))
    producer = cluster.open(KafkaProducer)
    producer.begin_transaction()
    send_all(producer, [compacted(cluster, STATE, "cam", Entry(b"undone"))])
    producer.begin_abort()

    assert table.latest("cam") == b"old"
