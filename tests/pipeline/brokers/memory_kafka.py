"""A cluster in memory, as one member of a group, its transactions and its tables see it. It answers at once."""

# ruff: noqa: ARG002 (the signatures are those of the library)

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import ConsumerGroupMetadata, MemberState

from pipeline.brokers import PACKETS
from pipeline.brokers.kafka_client import Settings, outgoing, send_all
from tests.pipeline.brokers.conftest import messages


def raw(
    offset: int, stream: str, value: bytes | None = b"", headers: Mapping[str, bytes] | None = None, topic: str = ""
) -> Any:
    """A record as the library gives it."""
    fields = (topic, 0, -1, offset, 0, 0, stream.encode(), value, list((headers or {}).items()), None, 0, 0, 0)
    return ConsumerRecord(*fields)


@dataclass
class MemoryCluster:
    """What brokers keep, and what they do when a test wants it.

    Attributes:
        logs: records by partition, the index being the offset; None where a transaction was undone.
        undecided: offsets whose transaction is open.
        offsets: what the group has committed.
        membership: of the only member; the members' topics are dealt out whenever `rebalances` is set.
        failures: raised by the next call of that name, once.
        calls: how often something was called.
    """

    partitions: int
    logs: dict[TopicPartition, list[Any]] = field(default_factory=dict)
    undecided: dict[TopicPartition, set[int]] = field(default_factory=dict)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    membership: ConsumerGroupMetadata = ConsumerGroupMetadata("group", 1, "id", "one", MemberState.STABLE)  # noqa: RUF009
    rebalances: bool = True
    failures: dict[str, Exception] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)

    def called(self, name: str) -> None:
        self.calls[name] += 1
        if name in self.failures:
            raise self.failures.pop(name)

    def log(self, partition: TopicPartition) -> list[Any]:
        return self.logs.setdefault(partition, [])

    def stable(self, partition: TopicPartition) -> int:
        """The offset up to which every transaction has ended."""
        return min(self.undecided.get(partition, ()), default=len(self.log(partition)))

    def values(self, topic: str, partition: int = 0) -> list[bytes]:
        """Values that readers of committed records see."""
        key = TopicPartition(topic, partition)
        return [record.value for record in self.log(key)[: self.stable(key)] if record is not None]


@dataclass(frozen=True, slots=True)
class MemorySettings(Settings):
    """Opens clients of a cluster in memory."""

    cluster: MemoryCluster = field(default_factory=lambda: MemoryCluster(1))

    def open(self, client: Callable[..., Any], **arguments: Any) -> Any:
        if client is KafkaConsumer:
            return MemoryConsumer(self.cluster, **arguments)
        if client is KafkaProducer:
            return MemoryProducer(self.cluster)
        return MemoryAdmin(self.cluster)


def settings(partitions: int = 1) -> MemorySettings:
    return MemorySettings(("memory:0",), "", partitions, cluster=MemoryCluster(partitions))


def write(settings: MemorySettings, stream: str, *values: bytes, topic: str = PACKETS) -> None:
    """Appends records as a writer does."""
    send_all(MemoryProducer(settings.cluster), outgoing(settings, stream, messages(*values, topic=topic)))


class MemoryConsumer:
    def __init__(self, cluster: MemoryCluster, *, isolation_level: str, **_: Any) -> None:
        self._cluster, self._committed_only = cluster, isolation_level == "read_committed"
        self._positions: dict[TopicPartition, int] = {}
        self._topics: Sequence[str] = ()
        self._listener: Any = None
        self._coordinator = self

    def subscribe(self, topics: Sequence[str], listener: Any) -> None:
        self._topics, self._listener = topics, listener

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        self._positions = {partition: self._positions.get(partition, 0) for partition in partitions}

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        self._cluster.called("poll")
        if self._topics and self._cluster.rebalances:
            self._cluster.rebalances = False
            self._listener.on_partitions_revoked(set(self._positions))
            dealt = [TopicPartition(t, p) for t in self._topics for p in range(self._cluster.partitions)]
            self._positions = {partition: self._cluster.offsets.get(partition, 0) for partition in dealt}
            self._listener.on_partitions_assigned(set(dealt))
        found = {}
        for partition, position in self._positions.items():
            batch = [r for r in self._cluster.log(partition)[position : self._end(partition)] if r is not None]
            self._positions[partition] = max(position, self._end(partition))
            if batch:
                found[partition] = batch
        return found

    def _end(self, partition: TopicPartition) -> int:
        return self._cluster.stable(partition) if self._committed_only else len(self._cluster.log(partition))

    def end_offsets(self, partitions: Iterable[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        return {partition: self._end(partition) for partition in partitions}

    def position(self, partition: TopicPartition, timeout_ms: int) -> int | None:
        self._cluster.called("position")
        return self._positions[partition]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._positions[partition] = offset

    def seek_to_beginning(self, partition: TopicPartition) -> None:
        self.seek(partition, 0)

    def committed(self, partition: TopicPartition, timeout_ms: int) -> int | None:
        return self._cluster.offsets.get(partition)

    def commit(self, offsets: Mapping[TopicPartition, Any], timeout_ms: int) -> None:
        self._cluster.called("commit")
        self._cluster.offsets |= {partition: offset.offset for partition, offset in offsets.items()}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self._cluster.partitions))

    def group_metadata(self) -> ConsumerGroupMetadata:
        return self._cluster.membership

    def need_rejoin(self) -> bool:
        return False

    def request_rejoin(self) -> None:
        self._cluster.called("request_rejoin")

    def close(self, autocommit: bool, timeout_ms: int) -> None:
        self._cluster.called("close consumer")


class MemoryProducer:
    """With or without transactions; it is its own sender, manager and result of all that it is asked."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster
        self._sender = self._transaction_manager = self
        self._open: list[tuple[TopicPartition, int]] | None = None
        self._offsets: dict[TopicPartition, int] = {}
        self._awaited = ""
        cluster.called("open producer")

    def init_transactions(self) -> None:
        self._cluster.called("init_transactions")

    def begin_transaction(self) -> None:
        self._open, self._offsets = [], {}

    def send(self, topic: str, *, partition: int, **fields: Any) -> MemoryFuture:
        key = TopicPartition(topic, partition)
        log = self._cluster.log(key)
        if self._open is not None:
            self._open.append((key, len(log)))
            self._cluster.undecided.setdefault(key, set()).add(len(log))
        stream, value, headers = fields["key"].decode(), fields["value"], dict(fields["headers"])
        log.append(raw(len(log), stream, value, headers, topic))
        return MemoryFuture(self._cluster, len(log) - 1)

    def flush(self, timeout_s: float) -> None: ...

    def send_offsets_to_transaction(self, offsets: Mapping[TopicPartition, Any], group: Any) -> MemoryProducer:
        self._offsets = {partition: offset.offset for partition, offset in offsets.items()}
        self._awaited = "offsets"
        return self

    def begin_commit(self) -> MemoryProducer:
        self._awaited = "end"
        return self

    def begin_abort(self) -> MemoryProducer:
        self._awaited = "abort"
        for partition, offset in self._open or ():
            self._cluster.log(partition)[offset] = None
        self._decide()
        return self

    def wait(self, timeout_ms: float) -> bool:
        self._cluster.called(self._awaited)
        if self._awaited == "end":
            self._cluster.offsets |= self._offsets
            self._decide()
        return True

    def _decide(self) -> None:
        for partition, offset in self._open or ():
            self._cluster.undecided[partition].discard(offset)
        self._open = None

    def wakeup(self) -> None: ...

    def force_close(self) -> None: ...

    def join(self, timeout_s: float) -> None: ...

    def close(self, timeout: float) -> None:
        self._cluster.called("close producer")


@dataclass(frozen=True)
class MemoryFuture:
    cluster: MemoryCluster
    offset: int

    def get(self, timeout_s: float) -> MemoryFuture:
        self.cluster.called("send")
        return self


@dataclass(frozen=True)
class MemoryAdmin:
    cluster: MemoryCluster

    def remove_group_members(self, group: str, members: Sequence[Any]) -> None:
        self.cluster.called("leave")

    def close(self) -> None: ...
