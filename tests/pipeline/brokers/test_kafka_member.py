"""A member against a cluster in memory: what it serves and commits, and how it stops when its name joins again."""

from __future__ import annotations

import logging

import pytest
from kafka import TopicPartition
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    GroupAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
)
from kafka.structs import MemberState

from pipeline.brokers import MASKED, PACKETS, STATE, BrokerError, Fenced
from pipeline.brokers.kafka_member import KafkaMember
from tests.pipeline.brokers.conftest import messages, values
from tests.pipeline.brokers.memory_kafka import MemorySettings, settings, write


def joined(*packets: bytes) -> tuple[KafkaMember, MemorySettings]:
    """A member that has been served these packets of `cam`."""
    cluster = settings()
    write(cluster, "cam", *packets)
    member = KafkaMember(cluster, "group", "one")
    assert values(member.poll(1)) == list(packets)
    return member, cluster


def test_packets_are_served_and_their_output_is_committed() -> None:
    member, cluster = joined(b"0", b"1", b"2")

    member.commit("cam", messages(b"masked", topic=MASKED), b"state", resume_offset=2)
    member.rewind("cam")

    assert member.streams() == {"cam"}
    assert member.state("cam") == b"state"
    assert cluster.cluster.values(MASKED) == [b"masked"]
    assert cluster.cluster.offsets == {TopicPartition(PACKETS, 0): 2}
    assert values(member.poll(1)) == [b"2"]


def test_an_heir_goes_on_from_the_commit() -> None:
    member, cluster = joined(b"0", b"1", b"2")
    member.commit("cam", [], b"state", resume_offset=1)
    cluster.cluster.rebalances = True

    heir = KafkaMember(cluster, "group", "two")

    assert values(heir.poll(1)) == [b"1", b"2"]
    assert heir.state("cam") == b"state"


def test_an_ended_stream_is_done_with_up_to_what_was_handed_out() -> None:
    member, cluster = joined(b"0", b"1", b"2")

    member.commit("cam", [], b"state", resume_offset=1, ended=True)

    assert member.streams() == frozenset()
    assert cluster.cluster.offsets == {TopicPartition(PACKETS, 0): 3}


@pytest.mark.parametrize("does", ["commit", "send"])
@pytest.mark.parametrize(
    ("error", "shown", "expected"),
    [(KafkaTimeoutError(), {"cam"}, BrokerError), (CommitFailedError(), set(), Fenced)],
    ids=["no answer", "fenced"],
)
def test_a_stream_begins_again_after_a_failure(
    does: str, error: KafkaError, shown: set[str], expected: type[BrokerError]
) -> None:
    member, cluster = joined(b"0", b"1")
    member.commit("cam", [], b"state", resume_offset=1)
    cluster.cluster.failures["send"] = error

    with pytest.raises(BrokerError) as raised:
        if does == "commit":
            member.commit("cam", messages(b"lost", topic=MASKED), b"newer", resume_offset=2)
        else:
            member.send("cam", messages(b"lost", topic=MASKED))

    assert type(raised.value) is expected
    assert member.streams() == shown
    assert member.state("cam") == b"state"
    with pytest.raises(Fenced):
        member.commit("cam", [], b"newer", resume_offset=2)
    assert values(member.poll(1)) == [b"1"]
    member.commit("cam", [], b"newer", resume_offset=2)


@pytest.mark.parametrize("call", ["commit", "init_transactions", "position"])
def test_an_outage_while_a_stream_begins_again_loses_nothing(call: str) -> None:
    member, cluster = joined(b"0", b"1")
    cluster.cluster.failures["end"] = KafkaTimeoutError()
    with pytest.raises(BrokerError):
        member.commit("cam", [], b"lost", resume_offset=2)
    write(cluster, "dog", b"2")
    cluster.cluster.failures[call] = KafkaTimeoutError()

    assert member.poll(0) == []
    assert values(member.poll(1)) == [b"0", b"1", b"2"]


def test_an_outage_is_waited_for_and_a_refusal_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    member, cluster = joined(b"0")
    write(cluster, "cam", b"1")

    cluster.cluster.failures["poll"] = KafkaTimeoutError()
    with caplog.at_level(logging.WARNING):
        assert member.poll(0) == []
    assert "one waits for Kafka" in caplog.text
    cluster.cluster.failures["poll"] = GroupAuthorizationFailedError()
    with pytest.raises(BrokerError, match="GroupAuthorizationFailedError"):
        member.poll(0)

    assert values(member.poll(1)) == [b"1"]


@pytest.mark.parametrize("where", ["poll", "offsets"])
def test_a_member_whose_name_joins_again_is_inert(where: str) -> None:
    member, cluster = joined(b"0")
    cluster.cluster.failures[where] = FencedInstanceIdError()

    if where == "poll":
        assert member.poll(0) == []
    else:
        with pytest.raises(Fenced):
            member.commit("cam", [], b"late", resume_offset=1)
    write(cluster, "cam", b"1")

    assert member.poll(0) == []
    assert member.streams() == frozenset()
    with pytest.raises(Fenced):
        member.send("cam", messages(b"late", topic=MASKED))
    assert cluster.cluster.values(MASKED) == cluster.cluster.values(STATE) == []
    member.close()
    assert cluster.cluster.calls["leave"] == 0


def test_a_former_member_opens_no_producer_that_would_fence_the_newer_one() -> None:
    member, cluster = joined(b"0")
    cluster.cluster.failures["end"] = KafkaTimeoutError()
    with pytest.raises(BrokerError):
        member.commit("cam", [], b"state", resume_offset=1)
    opened = cluster.cluster.calls["init_transactions"]
    cluster.cluster.failures["commit"] = FencedInstanceIdError()

    assert member.poll(0) == []

    assert member.streams() == frozenset()
    assert cluster.cluster.calls["init_transactions"] == opened == 1


def test_nothing_is_stored_without_a_generation() -> None:
    member, cluster = joined(b"0")
    cluster.cluster.membership = cluster.cluster.membership._replace(generation_id=-1)
    member.poll(0)

    with pytest.raises(Fenced, match="one does not own it"):
        member.commit("cam", messages(b"late", topic=MASKED), b"late", resume_offset=1)

    assert cluster.cluster.values(MASKED) == []


def test_nothing_is_stored_before_the_first_poll() -> None:
    member = KafkaMember(settings(), "group", "one")

    with pytest.raises(Fenced):
        member.commit("cam", [], b"", resume_offset=0)


@pytest.mark.parametrize(("state", "asks"), [(MemberState.REBALANCING, 1), (MemberState.STABLE, 0)])
def test_an_answer_to_a_join_that_was_let_by_is_asked_for_again(state: str, asks: int) -> None:
    member, cluster = joined(b"0")
    cluster.cluster.membership = cluster.cluster.membership._replace(state=state)

    member.poll(0)

    assert cluster.cluster.calls["request_rejoin"] == asks


def test_who_closes_leaves_the_group() -> None:
    member, cluster = joined(b"0")

    member.close()

    assert cluster.cluster.calls["leave"] == 1
    assert cluster.cluster.calls["close consumer"] == 3
    assert cluster.cluster.calls["close producer"] == 1
