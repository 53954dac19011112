"""Compacted Kafka topics as tables: the newest value of each stream, and where it is resumed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from pipeline.brokers import BrokerError
from pipeline.brokers.chunks import Headers
from pipeline.brokers.kafka_client import Outgoing, Settings, translated

RESUME, ENDED, DROPPED = "resume", "ended", "dropped"
PATIENCE_S = 5.0
"""How long to wait for an open transaction. That of a killed process ends when the process is restarted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The newest value of a stream in a compacted topic.

    Attributes:
        value: None after `drop`.
        resume: `packets` below this offset are settled.
        ended: whether there is nothing left to do, unless there are packets from `resume` on.
    """

    value: bytes | None
    resume: int = 0
    ended: bool = False

    @property
    def headers(self) -> dict[str, bytes]:
        dropped = {DROPPED: b"1"} if self.value is None else {}
        return {RESUME: b"%d" % self.resume, ENDED: b"%d" % self.ended, **dropped}

    @classmethod
    def of(cls, value: bytes, headers: Headers) -> Entry:
        whole = None if DROPPED in headers else value
        return cls(whole, int(headers.get(RESUME, b"0")), headers.get(ENDED) == b"1")


def compacted(settings: Settings, topic: str, stream: str, entry: Entry | None) -> Outgoing:
    """The record that makes this the stream's newest value; without an entry, the record that deletes it."""
    value, headers = (entry.value or b"", entry.headers) if entry else (None, {})
    return Outgoing(settings.topic(topic), settings.partition(stream), stream.encode(), value, headers)


class CompactedTable:
    """Follows some partitions of a compacted topic and holds the newest committed value of each key."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings, self._topic = settings, topic
        self._entries: dict[int, dict[str, Entry]] = {}
        with translated(topic):
            self._consumer = settings.open(KafkaConsumer, **settings.consumer)
            self._ends = settings.open(KafkaConsumer, **{**settings.consumer, "isolation_level": "read_uncommitted"})

    def follow(self, partitions: Iterable[int]) -> None:
        """Follows these partitions and no others."""
        wanted = set(partitions)
        if wanted == set(self._entries):
            return
        with translated(self._topic):
            positions = {
                p: self._consumer.position(self._topic_partition(p), timeout_ms=1) for p in wanted & set(self._entries)
            }
            self._entries = {p: self._entries[p] if positions.get(p) is not None else {} for p in wanted}
            self._consumer.assign([self._topic_partition(p) for p in sorted(wanted)])
            for p in wanted:
                self._consumer.seek(self._topic_partition(p), positions.get(p) or 0)

    def catch_up(self, patience_s: float) -> bool:
        """Reads everything up to the present end of the topic.

        A commit is acknowledged shortly before its records become visible, and a member that takes over a partition
        must not miss the last one. So this waits for every transaction that was open at the call.

        Returns: False if `patience_s` was not enough.

        Raises:
            BrokerError: Kafka does not answer.
        """
        until = time.monotonic() + patience_s
        partitions = [self._topic_partition(p) for p in self._entries]
        with translated(self._topic):
            ends = self._ends.end_offsets(partitions, timeout_ms=10_000) if partitions else {}
            while any(
                (self._consumer.position(partition, timeout_ms=1000) or 0) < end for partition, end in ends.items()
            ):
                if time.monotonic() > until:
                    return False
                self.refresh(0.1)
        return True

    def refresh(self, timeout_s: float = 0.001) -> None:
        """Reads what has arrived."""
        with translated(self._topic):
            batches = self._consumer.poll(timeout_ms=max(1, int(timeout_s * 1000)))
        for topic_partition, batch in batches.items():
            entries = self._entries[topic_partition.partition]
            for record in batch:
                stream = record.key.decode()
                if record.value is None:
                    entries.pop(stream, None)
                else:
                    entries[stream] = Entry.of(record.value, dict(record.headers))

    def put(self, stream: str, entry: Entry) -> None:
        """Sets an entry that this process has just committed, before it is read back."""
        self._entries[self._settings.partition(stream)][stream] = entry

    def get(self, stream: str) -> Entry | None:
        return self._entries.get(self._settings.partition(stream), {}).get(stream)

    def partition(self, partition: int) -> Mapping[str, Entry]:
        return self._entries[partition]

    def latest(self, stream: str) -> bytes | None:
        """The newest value.

        Raises:
            BrokerError: a transaction is open that may contain a newer one.
        """
        self.follow({*self._entries, self._settings.partition(stream)})
        if not self.catch_up(PATIENCE_S):
            raise BrokerError(f"{self._topic} of {stream}: another process's transaction has not ended yet; ask again")
        entry = self.get(stream)
        return entry.value if entry else None

    def _topic_partition(self, partition: int) -> TopicPartition:
        return self._settings.topic_partition(self._topic, partition)

    def close(self) -> None:
        for consumer in (self._consumer, self._ends):
            with suppress(KafkaError):
                consumer.close(autocommit=False, timeout_ms=1000)
