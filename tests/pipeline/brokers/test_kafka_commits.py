"""What a member stores, all or nothing, and what it makes of a cluster that refuses."""

from __future__ import annotations

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.errors import CommitFailedError, KafkaError, KafkaTimeoutError, ProducerFencedError

from pipeline.brokers import MASKED, PACKETS, STATE, BrokerError, Fenced
from pipeline.brokers.kafka_client import Transactions
from pipeline.brokers.kafka_commits import Commits
from pipeline.brokers.kafka_table import Entry, compacted
from tests.pipeline.brokers.conftest import messages
from tests.pipeline.brokers.memory_kafka import MemorySettings, settings

PARTITION = TopicPartition(PACKETS, 0)


def opened(cluster: MemorySettings) -> Commits:
    commits = Commits(cluster, "group", "one")
    commits.open()
    commits.committed_entries([0])
    return commits


def store(commits: Commits, cluster: MemorySettings, state: bytes, offset: int) -> None:
    output = messages(b"masked " + state, topic=MASKED)
    commits.store("cam", output, Entry(state, offset), offset, cluster.cluster.membership)


def test_a_commit_stores_messages_state_and_offset() -> None:
    cluster = settings()
    commits = opened(cluster)

    store(commits, cluster, b"first", 5)

    assert cluster.cluster.values(MASKED) == [b"masked first"]
    assert cluster.cluster.values(STATE) == [b"first"]
    assert cluster.cluster.offsets == {PARTITION: 5}
    assert commits.state("cam") == b"first"
    assert commits.committed_entries([0]) == {0: {"cam": Entry(b"first", 5)}}


@pytest.mark.parametrize("step", ["send", "offsets", "end"])
@pytest.mark.parametrize(
    ("error", "expected"),
    [(CommitFailedError(), Fenced), (ProducerFencedError(), Fenced), (KafkaTimeoutError(), BrokerError)],
    ids=["partition given away", "newer producer", "no answer"],
)
def test_a_commit_that_fails_at_any_step_stores_nothing(
    step: str, error: KafkaError, expected: type[BrokerError]
) -> None:
    cluster = settings()
    commits = opened(cluster)
    store(commits, cluster, b"first", 5)
    cluster.cluster.failures[step] = error

    with pytest.raises(BrokerError) as raised:
        store(commits, cluster, b"second", 9)

    assert type(raised.value) is expected
    assert not commits.is_open
    assert commits.state("cam") == b"first"
    assert cluster.cluster.values(MASKED) == [b"masked first"]
    assert cluster.cluster.offsets == {PARTITION: 5}
    with pytest.raises(BrokerError, match="an earlier transaction failed"):
        store(commits, cluster, b"third", 9)
    commits.open()
    store(commits, cluster, b"third", 9)
    assert commits.state("cam") == b"third"


def test_a_producer_that_cannot_begin_is_closed() -> None:
    cluster = settings()
    commits = Commits(cluster, "group", "one")
    cluster.cluster.failures["init_transactions"] = KafkaTimeoutError()

    with pytest.raises(BrokerError):
        commits.open()

    assert not commits.is_open
    assert cluster.cluster.calls["close producer"] == cluster.cluster.calls["open producer"] == 1


def test_states_are_not_known_while_a_former_owners_transaction_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.brokers.kafka_commits.PATIENCE_S", 0.01)
    cluster = settings()
    commits = opened(cluster)
    former = cluster.open(KafkaProducer)
    former.begin_transaction()
    record = compacted(cluster, STATE, "cam", Entry(b"late", 7))
    former.send(record.topic, partition=0, key=record.key, value=record.value, headers=record.headers.items())

    with pytest.raises(BrokerError, match="has not ended yet"):
        commits.committed_entries([0])
    former.begin_commit().wait(0)

    assert commits.committed_entries([0]) == {0: {"cam": Entry(b"late", 7)}}


def test_one_producer_sends_until_it_fails() -> None:
    cluster = settings()
    commits = Commits(cluster, "group", "one")
    for value in (b"0", b"1"):
        commits.send("cam", messages(value, topic=MASKED))
    assert cluster.cluster.calls["open producer"] == 1
    cluster.cluster.failures["send"] = KafkaTimeoutError()

    with pytest.raises(BrokerError):
        commits.send("cam", messages(b"lost", topic=MASKED))
    assert cluster.cluster.calls["close producer"] == 1
    commits.send("cam", messages(b"2", topic=MASKED))

    assert cluster.cluster.calls["open producer"] == 2
    assert cluster.cluster.values(MASKED)[-1] == b"2"


def test_what_was_opened_is_closed() -> None:
    cluster = settings()
    commits = opened(cluster)
    commits.send("cam", messages(b"0", topic=MASKED))

    commits.close()

    assert cluster.cluster.calls["close producer"] == cluster.cluster.calls["open producer"] == 2
    assert cluster.cluster.calls["close consumer"] == 2


def test_a_transaction_gives_the_offsets_of_its_records() -> None:
    cluster = settings()
    transactions = Transactions(cluster, "writer")
    transactions.open()
    records = [compacted(cluster, STATE, "cam", Entry(b"%d" % number)) for number in range(3)]

    assert [transactions.run(records[:2]), transactions.run(records)] == [[0, 1], [2, 3, 4]]
