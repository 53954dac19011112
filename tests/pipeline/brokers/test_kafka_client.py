"""Options of the URL, where streams live, and what the library's errors mean."""

from __future__ import annotations

import socket
from collections import deque
from typing import Any

import pytest
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    InvalidProducerEpochError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    ProducerFencedError,
    TopicAuthorizationFailedError,
)
from kafka.partitioner.default import murmur2

from engines import ConfigError
from pipeline.brokers import MASKED, MAX_MESSAGE_BYTES, PACKETS, BrokerError, BrokerRefused, Fenced, Message, Record
from pipeline.brokers.kafka_client import (
    LARGEST_BYTES,
    Outgoing,
    Settings,
    Transactions,
    hand_out,
    outgoing,
    require_room,
    translated,
)


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        pytest.param("kafka://one:1", {}, Settings(("one:1",)), id="defaults"),
        pytest.param("kafka://one:1,,two:2/", {}, Settings(("one:1", "two:2")), id="several servers"),
        pytest.param(
            "kafka://one:1?partitions=8&topic_prefix=a.",
            {"partitions": "9", "session_timeout_ms": "6000"},
            Settings(("one:1",), "a.", 9, session_timeout_ms=6000),
            id="the caller has the last word",
        ),
        pytest.param(
            "kafka://one:1?security_protocol=SSL&compression_type=zstd",
            {"replication": "3", "packets_retention_ms": "1"},
            Settings(
                ("one:1",),
                replication=3,
                packets_retention_ms=1,
                compression_type="zstd",
                security={"security_protocol": "SSL"},
            ),
            id="security",
        ),
    ],
)
def test_options_are_parsed(url: str, options: dict[str, str], expected: Settings) -> None:
    assert Settings.parse(url, options) == expected


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("kafka://one:1/topic", {}, "host:9092"),
        ("kafka://,", {}, "host:9092"),
        ("kafka://me:secret@one:1", {}, "given by --broker-option"),
        ("kafka://one:1?partition=2", {"acks": "0"}, "unknown option acks, partition"),
        ("kafka://one:1?partitions=0", {}, "partitions is a whole number above 0, not '0'"),
        ("kafka://one:1", {"replication": "-1"}, "replication is a whole number"),
        ("kafka://one:1", {"session_timeout_ms": "1.5"}, "session_timeout_ms is a whole number"),
    ],
)
def test_what_is_no_option_is_refused(url: str, options: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        Settings.parse(url, options)


def test_names_begin_with_the_prefix() -> None:
    settings = Settings(("one:1",), topic_prefix="test.")

    assert settings.topic(PACKETS) == "test.packets"


@pytest.mark.parametrize(
    ("stream", "murmur"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_a_stream_lives_where_every_kafka_client_looks_for_its_key(stream: str, murmur: int) -> None:
    """The numbers are those of the tests of Apache Kafka's own client."""
    assert murmur2(stream.encode()) in (murmur, murmur % (1 << 32))

    found = [Settings(("one:1",), partitions=count).partition(stream) for count in (1, 7, 64)]

    assert found == [0, (murmur & 0x7FFFFFFF) % 7, (murmur & 0x7FFFFFFF) % 64]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CommitFailedError(), Fenced),
        (FencedInstanceIdError(), Fenced),
        (InvalidProducerEpochError(), Fenced),
        (ProducerFencedError(), Fenced),
        (KafkaError(ProducerFencedError()), Fenced),
        (MessageSizeTooLargeError(), BrokerRefused),
        (KafkaError(TopicAuthorizationFailedError("Request 'Create" + 2000 * "x")), BrokerRefused),
        (PolicyViolationError(), BrokerRefused),
        (KafkaTimeoutError("no answer in time"), BrokerError),
        (KafkaConnectionError(), BrokerError),
        (KafkaError("ProducerFencedError"), BrokerError),
    ],
    ids=repr,
)
def test_errors_of_the_library_are_translated(error: KafkaError, expected: type[BrokerError]) -> None:
    with pytest.raises(BrokerError, match=r"^cam: ") as raised, translated("cam"):
        raise error

    assert type(raised.value) is expected
    assert raised.value.__cause__ is error
    assert len(str(raised.value)) < 300


def test_topics_that_take_no_message_of_ours_are_refused() -> None:
    room = {"max.message.bytes": {"value": str(LARGEST_BYTES)}}

    require_room({"a.packets": room, "a.state": {}})
    with pytest.raises(ConfigError, match=f"topic a.masked takes .* 1048588 bytes; .* at least {LARGEST_BYTES}"):
        require_room({"a.packets": room, "a.masked": {"max.message.bytes": {"value": "1048588"}}})


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError), translated("cam"):
        raise ZeroDivisionError


def test_messages_go_out_in_pieces_under_the_streams_key() -> None:
    settings = Settings(("one:1",), topic_prefix="", partitions=7)
    large = bytes(MAX_MESSAGE_BYTES) + b"end"

    pieces = outgoing(settings, "abc", [Message(PACKETS, large, {"version": b"1"}), Message(MASKED, b"small")])

    partition = settings.partition("abc")
    assert pieces == [
        Outgoing(PACKETS, partition, b"abc", bytes(MAX_MESSAGE_BYTES), {"version": b"1", "chunk": b"0/2"}),
        Outgoing(PACKETS, partition, b"abc", b"end", {"chunk": b"1/2"}),
        Outgoing(MASKED, partition, b"abc", b"small", {}),
    ]


@pytest.mark.parametrize(
    ("max_bytes", "count"),
    [(0, 0), (1, 1), (10, 1), (11, 2), (20, 2), (1000, 3)],
)
def test_records_are_handed_out_until_they_exceed_the_size(max_bytes: int, count: int) -> None:
    queue = deque(Record(PACKETS, "cam", offset, offset + 1, bytes(10)) for offset in range(3))

    assert [record.offset for record in hand_out(queue, max_bytes)] == list(range(count))
    assert [record.offset for record in queue] == list(range(count, 3))


def test_a_client_is_opened_when_any_server_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = Settings(("127.0.0.1:9", f"127.0.0.1:{server.getsockname()[1]}"))
        arguments: dict[str, Any] = settings.open(dict, group_id="group")

    assert arguments == {"group_id": "group"}
    with pytest.raises(KafkaConnectionError, match=r"no answer from 127\.0\.0\.1:9"):
        Settings(("127.0.0.1:9",)).open(dict)


def test_a_transaction_has_to_be_opened_first() -> None:
    with pytest.raises(BrokerError, match="writer: an earlier transaction failed"):
        Transactions(Settings(("one:1",)), "writer").run([])
