"""What only a cluster can get wrong: secrets, options, nobody there, and offsets of many streams in one partition."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.brokers import INGEST, PACKETS, BrokerError, open_broker
from pipeline.brokers.kafka_client import Settings, Transactions, send_all
from pipeline.brokers.kafka_member import KafkaMember
from pipeline.brokers.kafka_table import Entry, compacted
from tests.pipeline.brokers.conftest import Place, collect, messages, numbered, poll_both, values


def test_options_come_from_the_url_and_the_caller() -> None:
    url = "kafka://one:1,two:2?partitions=8&security_protocol=SASL_SSL&sasl_mechanism=PLAIN&sasl_plain_username=me"
    secret = uuid.uuid4().hex
    settings = Settings.parse(url, {"sasl_plain_password": secret, "compression_type": "zstd"})
    assert (settings.servers, settings.partitions) == (("one:1", "two:2"), 8)
    assert settings.producer["sasl_plain_password"] == settings.consumer["sasl_plain_password"] == secret
    assert settings.producer["compression_type"] == "zstd"
    assert secret not in repr(settings)


def test_nobody_there_is_an_error_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(BrokerError, match="no answer from"):
        open_broker("kafka://127.0.0.1:9")
    assert time.monotonic() - began < 10


@pytest.mark.kafka
@pytest.mark.parametrize("place", ["kafka"], indirect=True)
def test_a_stream_that_lags_holds_no_other_back(place: Place) -> None:
    place.options["partitions"] = "1"
    writer, member = place.writer(), place.member("one")
    for number in range(10):
        for stream in ("fast", "slow"):
            writer.write(stream, messages(b"%d" % number), b"")
    found = collect(member.poll, 20)
    own = {stream: [record for record in found if record.stream == stream] for stream in ("fast", "slow")}
    member.commit("fast", [], b"", resume_offset=own["fast"][8].offset)
    member.commit("slow", [], b"", resume_offset=own["slow"][2].offset)
    member.commit("fast", [], b"", resume_offset=own["fast"][9].next_offset, ended=True)
    assert writer.backlog("fast") == 0
    assert writer.backlog("slow") == 8
    member.close()

    heir = place.member("two")
    assert values(collect(heir.poll, 8)) == numbered(2, 10)
    assert heir.streams() == {"slow"}
    assert place.reader(PACKETS, "fast").read(0.5) != []


@pytest.mark.kafka
@pytest.mark.parametrize("place", ["kafka"], indirect=True)
def test_no_partition_is_left_over_when_a_member_is_started_anew_in_a_rebalance(place: Place) -> None:
    writer, former = place.writer(), place.member("one")
    for stream in "abcdefgh":
        writer.write(stream, messages(b"1"), b"")
    assert len(collect(former.poll, 8)) == 8

    newcomer = place.member("two")
    with ThreadPoolExecutor(2) as pool:  # the newcomer joins, and the former one hears of it, and dies
        list(pool.map(lambda member: member.poll(1.0), (former, newcomer)))
    heir = place.member("one")

    poll_both(heir, newcomer, lambda: len(heir.streams() | newcomer.streams()) == 8)
    assert heir.streams() | newcomer.streams() == frozenset("abcdefgh")


@pytest.mark.kafka
@pytest.mark.parametrize("place", ["kafka"], indirect=True)
def test_no_old_value_is_returned_while_an_open_transaction_may_hold_a_newer_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.options["partitions"] = "1"
    broker, writer = place.broker(), place.writer()
    writer.write("cam", [], b"old")
    settings = Settings.parse(place.url, place.options)
    killed = Transactions(settings, "killed")
    killed.open()
    killed._producer.begin_transaction()  # type: ignore[union-attr]
    send_all(killed._producer, [compacted(settings, INGEST, "other", Entry(b"half"))])
    writer.write("cam", [], b"new")
    monkeypatch.setattr("pipeline.brokers.kafka_table.PATIENCE_S", 0.5)
    with pytest.raises(BrokerError, match="has not ended yet"):
        broker.latest(INGEST, "cam")

    heir = Transactions(settings, "killed")
    heir.open()
    assert broker.latest(INGEST, "cam") == b"new"
    for transactions in (killed, heir):
        transactions.close()


@pytest.mark.kafka
@pytest.mark.parametrize("place", ["kafka"], indirect=True)
def test_what_a_rebalance_takes_and_gives_back_is_read_again_from_its_commit(place: Place) -> None:
    writer, member = place.writer(), place.member()
    writer.write("cam", messages(*numbered(0, 3)), b"")
    found = collect(member.poll, 3)
    member.commit("cam", [], b"", resume_offset=found[0].next_offset)
    assert isinstance(member, KafkaMember)
    owned = set(member._consumer._consumer.assignment())
    member._assignment.on_partitions_revoked(owned)
    member._assignment.on_partitions_assigned(owned)

    assert member.poll(0.1) == []
    assert member.streams() == frozenset()
    assert values(collect(member.poll, 2)) == numbered(1, 3)
