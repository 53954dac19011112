"""Any cluster that speaks the Kafka protocol, with transactions and consumer groups.

    kafka://host:port,host:port?security_protocol=SASL_SSL&sasl_mechanism=SCRAM-SHA-512&...

The topics of one prefix have the same number of partitions, and the key is the stream's name. A stream's packets, state
and results are therefore in partitions of the same number, and the owner of the packets may write the others. A commit
is one transaction of messages, state and the group's offset; the cluster refuses it once the group has given the
partition away. The headers of the state hold the stream's resume offset. The offset of a partition is the smallest of
its streams' and only determines where reading begins.

While the cluster is unavailable, calls raise `BrokerError` within about half a minute, and reading returns nothing.
Members, readers and the broker itself continue when it is back. A writer does not: after an error, open a new one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from pipeline.brokers import INGEST, PACKETS, STATE, BrokerError, Message, Record
from pipeline.brokers.chunks import Joiner, begins
from pipeline.brokers.kafka_client import (
    TIMEOUT_S,
    Settings,
    Transactions,
    delete_topics,
    discard,
    hand_out,
    make_topics,
    outgoing,
    send_all,
    translated,
)
from pipeline.brokers.kafka_member import KafkaMember
from pipeline.brokers.kafka_table import CompactedTable, Entry, compacted

# Failures of the library arrive here as exceptions; it would also log some lines for every attempt to reconnect.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


class KafkaWriter:
    """Fences the former writer of this name when it is opened. After any error it stays closed: open a new one."""

    def __init__(self, broker: KafkaBroker, settings: Settings, name: str) -> None:
        self._broker, self._settings = broker, settings
        self._transactions = Transactions(settings, f"writer.{name}")
        self._transactions.open()
        self._table: CompactedTable | None = None
        self._pending: dict[str, deque[int]] = {}

    def write(self, stream: str, messages: Sequence[Message], state: bytes) -> None:
        records = outgoing(self._settings, stream, messages)
        offsets = self._transactions.run([*records, compacted(self._settings, INGEST, stream, Entry(state))])
        if stream in self._pending:
            packets = self._settings.topic(PACKETS)
            self._pending[stream] += [
                offset
                for offset, record in zip(offsets, records, strict=False)
                if record.topic == packets and begins(record.headers)
            ]

    def backlog(self, stream: str) -> int:
        """Counts the packets of this stream alone. From the first call on, it follows the topic `state`."""
        if self._table is None:
            self._table = CompactedTable(self._settings, STATE)
        if stream not in self._pending:
            self._table.follow({self._settings.partition(s) for s in (*self._pending, stream)})
            self._table.catch_up(patience_s=1.0)
            entry = self._table.get(stream)
            self._pending[stream] = self._uncommitted_packets(stream, entry.resume if entry else 0)
        self._table.refresh()
        pending, entry = self._pending[stream], self._table.get(stream)
        while entry and pending and pending[0] < entry.resume:
            pending.popleft()
        return len(pending)

    def _uncommitted_packets(self, stream: str, resume: int) -> deque[int]:
        if self._broker.latest(INGEST, stream) is None:
            return deque()
        reader = KafkaReader(self._settings, PACKETS, stream, resume)
        found: deque[int] = deque()
        until = time.monotonic() + TIMEOUT_S
        try:
            end = reader.end()
            while reader.position() < end:
                if time.monotonic() > until:
                    raise BrokerError(f"{stream}: its packets could not be counted within {TIMEOUT_S:.0f} s")
                found += [record.offset for record in reader.read(0.1)]
        finally:
            reader.close()
        return found

    def close(self) -> None:
        self._transactions.close()
        if self._table is not None:
            self._table.close()


class KafkaReader:
    def __init__(self, settings: Settings, topic: str, stream: str, offset: int) -> None:
        self._key = stream.encode()
        self._joiner = Joiner(topic, stream)
        self._queue: deque[Record] = deque()
        self._topic_partition = settings.topic_partition(topic, settings.partition(stream))
        with translated(topic):
            self._consumer = settings.open(KafkaConsumer, **settings.consumer)
            self._consumer.assign([self._topic_partition])
            self._consumer.seek(self._topic_partition, offset)

    def read(self, timeout_s: float, *, max_bytes: int = 8 << 20) -> list[Record]:
        until = time.monotonic() + timeout_s
        while not self._queue:
            left_s = until - time.monotonic()
            with translated(self._topic_partition.topic):
                batches = self._consumer.poll(timeout_ms=max(1, int(left_s * 1000)))
            for record in batches.get(self._topic_partition, []):
                if record.key == self._key:
                    whole = self._joiner.add(record.offset, record.value, dict(record.headers))
                    if whole is not None:
                        self._queue.append(whole)
            if time.monotonic() >= until:
                break
        return hand_out(self._queue, max_bytes)

    def position(self) -> int:
        """The offset of the next record to be read."""
        with translated(self._topic_partition.topic):
            return int(self._consumer.position(self._topic_partition, timeout_ms=1000) or 0)

    def end(self) -> int:
        """The offset after the last committed record."""
        with translated(self._topic_partition.topic):
            return int(self._consumer.end_offsets([self._topic_partition], timeout_ms=10_000)[self._topic_partition])

    def forget(self, *, before: int | None = None) -> None:
        """Does nothing: Kafka cannot delete by key, so records stay for the topic's retention."""

    def close(self) -> None:
        with suppress(KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=1000)


class KafkaBroker:
    """See the module.

    Raises:
        ConfigError: unknown options, or topics with differing numbers of partitions.
        BrokerError: the cluster does not answer, or refuses.
    """

    def __init__(self, url: str, **options: str) -> None:
        settings = Settings.parse(url, options)
        self._settings = replace(settings, partitions=make_topics(settings))
        self._lock = threading.Lock()
        self._tables: dict[str, CompactedTable] = {}

    def writer(self, name: str) -> KafkaWriter:
        return KafkaWriter(self, self._settings, name)

    def member(self, group: str, name: str, *, streams: str = "") -> KafkaMember:
        return KafkaMember(self._settings, group, name, streams)

    def reader(self, topic: str, stream: str, offset: int = 0) -> KafkaReader:
        return KafkaReader(self._settings, topic, stream, offset)

    def latest(self, topic: str, stream: str) -> bytes | None:
        """Keeps following the partitions it was asked about, so that asking again is cheap."""
        with self._lock:
            if topic not in self._tables:
                self._tables[topic] = CompactedTable(self._settings, topic)
            return self._tables[topic].latest(stream)

    def drop(self, stream: str) -> None:
        """Deletes the compacted values. Records stay for the topics' retention: Kafka cannot delete by key."""
        reader = self.reader(PACKETS, stream)
        try:
            end = reader.end()
        finally:
            reader.close()
        with translated(stream):
            producer = self._settings.open(KafkaProducer, **self._settings.producer)
            try:
                # Without this entry, the packets that remain would look like those of a new stream.
                state = compacted(self._settings, STATE, stream, Entry(None, end, ended=True))
                send_all(producer, [state, compacted(self._settings, INGEST, stream, None)])
            finally:
                discard(producer)

    def erase(self) -> None:
        delete_topics(self._settings)

    def close(self) -> None:
        with self._lock:
            for table in self._tables.values():
                table.close()
            self._tables.clear()
