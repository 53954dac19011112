"""What a member of the group stores: units of work with the state they lead to, and messages outside of any."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.structs import OffsetAndMetadata

from pipeline.brokers import PACKETS, STATE, BrokerError, Message
from pipeline.brokers.kafka_client import Settings, Transactions, discard, outgoing, send_all, translated
from pipeline.brokers.kafka_table import PATIENCE_S, CompactedTable, Entry, compacted


class Commits:
    """The transactions of one member, its producer for `send`, and the table of what is committed.

    It does not know who owns what: a commit carries the member's generation, and the cluster refuses a former owner's.
    """

    def __init__(self, settings: Settings, group: str, name: str) -> None:
        self._settings, self._name = settings, name
        self._producer: KafkaProducer | None = None
        self._transactions = Transactions(settings, f"member.{group}.{name}")
        self._table = CompactedTable(settings, STATE)

    @property
    def is_open(self) -> bool:
        """Whether `store` can be called; after an error it is not, until `open`."""
        return self._transactions.is_open

    def open(self) -> None:
        """Fences the former member of this name, and returns when what it had begun is committed or undone."""
        self._transactions.open()

    def committed_entries(self, partitions: Collection[int]) -> dict[int, Mapping[str, Entry]]:
        """What is committed of the streams of these partitions; the table follows them and no others.

        Raises:
            BrokerError: it cannot be told yet.
        """
        self._table.follow(partitions)
        if not self._table.catch_up(PATIENCE_S):
            raise BrokerError(f"{self._name}: a former owner's transaction has not ended yet")
        return {partition: self._table.partition(partition) for partition in partitions}

    def state(self, stream: str) -> bytes | None:
        entry = self._table.get(stream)
        return entry.value if entry else None

    def store(self, stream: str, messages: Sequence[Message], entry: Entry, offset: int, membership: Any) -> None:
        """Messages, the stream's new entry and its partition's offset, all or nothing.

        Args:
            membership: of the group, as the library gives it.

        Raises:
            Fenced: the group has given the partition away, or the member's name has joined again.
            BrokerError: it is not known to be stored.
        """
        records = [*outgoing(self._settings, stream, messages), compacted(self._settings, STATE, stream, entry)]
        place = self._settings.place(PACKETS, self._settings.partition(stream))
        self._transactions.run(records, {place: OffsetAndMetadata(offset, "", -1)}, membership)
        self._table.put(stream, entry)

    def send(self, stream: str, messages: Sequence[Message]) -> None:
        """Stores messages at once; after an error a new producer is made."""
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
