"""What a member of the group stores: units of work with their resulting state, and messages outside of any unit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.structs import OffsetAndMetadata

from pipeline.brokers import PACKETS, STATE, BrokerError, Message
from pipeline.brokers.kafka_client import Settings, Transactions, discard, outgoing, send_all, translated
from pipeline.brokers.kafka_table import PATIENCE_S, CompactedTable, Entry, compacted


class Commits:
    """The transactions of one member, its producer for `send`, and the table of committed states.

    It does not know which streams are owned. A commit carries the member's generation in the group, and the cluster
    refuses that of a former owner.
    """

    def __init__(self, settings: Settings, group: str, name: str) -> None:
        self._settings, self._name = settings, name
        self._producer: KafkaProducer | None = None
        self._transactions = Transactions(settings, f"member.{group}.{name}")
        self._table = CompactedTable(settings, STATE)

    @property
    def is_open(self) -> bool:
        """Whether `store` can be called. After an error it cannot, until `open` has succeeded."""
        return self._transactions.is_open

    def open(self) -> None:
        """Fences the former member of this name. Returns when that member's open transaction is committed or undone."""
        self._transactions.open()

    def committed_entries(self, partitions: Collection[int]) -> dict[int, Mapping[str, Entry]]:
        """The committed entries of the streams of these partitions. The table follows these partitions and no others.

        Raises:
            BrokerError: a transaction is still open that may change them.
        """
        self._table.follow(partitions)
        if not self._table.catch_up(PATIENCE_S):
            raise BrokerError(f"{self._name}: a former owner's transaction has not ended yet")
        return {partition: self._table.partition(partition) for partition in partitions}

    def state(self, stream: str) -> bytes | None:
        entry = self._table.get(stream)
        return entry.value if entry else None

    def store(self, stream: str, messages: Sequence[Message], entry: Entry, offset: int, membership: Any) -> None:
        """Stores messages, the stream's new entry and its partition's offset, all or nothing.

        Args:
            offset: where the next owner of the partition has to begin.
            membership: the library's group metadata of this member.

        Raises:
            Fenced: the group has given the partition away, or the member's name has joined again.
            BrokerError: whether it was stored is unknown.
        """
        records = [*outgoing(self._settings, stream, messages), compacted(self._settings, STATE, stream, entry)]
        packets = self._settings.topic_partition(PACKETS, self._settings.partition(stream))
        self._transactions.run(records, {packets: OffsetAndMetadata(offset, "", -1)}, membership)
        self._table.put(stream, entry)

    def send(self, stream: str, messages: Sequence[Message]) -> None:
        """Stores messages at once. After an error, the next call opens a new producer."""
        try:
            with translated(stream):
                if self._producer is None:
                    self._producer = self._settings.open(KafkaProducer, **self._settings.producer)
                send_all(self._producer, outgoing(self._settings, stream, messages))
        except BrokerError:
            self._discard_producer()
            raise

    def _discard_producer(self) -> None:
        if self._producer is not None:
            discard(self._producer)
            self._producer = None

    def close(self) -> None:
        self._transactions.close()
        self._discard_producer()
        self._table.close()
