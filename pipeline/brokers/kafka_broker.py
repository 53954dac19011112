"""Any cluster that speaks the Kafka protocol, with transactions and consumer groups.

    kafka://host:port,host:port?security_protocol=SASL_SSL&sasl_mechanism=SCRAM-SHA-512&...

The topics of one prefix have the same number of partitions and the stream's name as key, so a stream's packets, state and
results lie in partitions of the same number, and who owns the one may write the others. A commit is one transaction of
messages, state and the group's offset, and the broker refuses it once the group has given the partition to somebody else.
The state's headers carry where to resume; a partition's offset is the smallest of its streams', and only a hint for where
to begin reading.

While the cluster is gone, calls raise `BrokerError` within about half a minute and reading returns nothing; members,
readers and the broker itself go on when it is back. A writer does not: after an error open a new one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import AuthorizationError, FencedInstanceIdError, KafkaError
from kafka.structs import OffsetAndMetadata

from pipeline.brokers import INGEST, PACKETS, STATE, BrokerError, Fenced, Message, Record
from pipeline.brokers.chunks import Joiner, begins, split
from pipeline.brokers.kafka_client import (
    TIMEOUT_S,
    Entry,
    Outgoing,
    Settings,
    Table,
    Transactions,
    discard,
    make_topics,
    send_all,
    translated,
)

log = logging.getLogger(__name__)

OUTAGE_NAP_S = 0.2


def _outgoing(settings: Settings, stream: str, messages: Sequence[Message]) -> list[Outgoing]:
    partition, key = settings.partition(stream), stream.encode()
    return [
        Outgoing(settings.topic(message.topic), partition, key, value, headers)
        for message in messages
        for value, headers in split(message.value, message.headers)
    ]


def _compacted(settings: Settings, topic: str, stream: str, entry: Entry | None) -> Outgoing:
    value, headers = (entry.value or b"", entry.headers) if entry else (None, {})
    return Outgoing(settings.topic(topic), settings.partition(stream), stream.encode(), value, headers)


def _hand_out(queue: deque[Record], max_bytes: int) -> list[Record]:
    records: list[Record] = []
    while queue and max_bytes > 0:
        records.append(queue.popleft())
        max_bytes -= len(records[-1].value)
    return records


class KafkaWriter:
    """Fences a former writer of this name at once. After any error it stays closed: open a new one."""

    def __init__(self, broker: KafkaBroker, settings: Settings, name: str) -> None:
        self._broker, self._settings = broker, settings
        self._transactions = Transactions(settings, name)
        self._transactions.open()
        self._table: Table | None = None
        self._pending: dict[str, deque[int]] = {}

    def write(self, stream: str, messages: Sequence[Message], state: bytes) -> None:
        records = _outgoing(self._settings, stream, messages)
        placed = self._transactions.run([*records, _compacted(self._settings, INGEST, stream, Entry(state))])
        if stream in self._pending:
            packets = self._settings.topic(PACKETS)
            self._pending[stream] += [
                offset
                for offset, record in zip(placed, records, strict=False)
                if record.topic == packets and begins(record.headers)
            ]

    def backlog(self, stream: str) -> int:
        """Counts the packets of this stream alone; follows the topic `state` for that, from the first call on."""
        if self._table is None:
            self._table = Table(self._settings, STATE)
        if stream not in self._pending:
            self._table.follow({self._settings.partition(s) for s in (*self._pending, stream)})
            self._table.catch_up()
            entry = self._table.get(stream)
            self._pending[stream] = self._left_by_former_self(stream, entry.resume if entry else 0)
        self._table.refresh()
        pending, entry = self._pending[stream], self._table.get(stream)
        while entry and pending and pending[0] < entry.resume:
            pending.popleft()
        return len(pending)

    def _left_by_former_self(self, stream: str, resume: int) -> deque[int]:
        if self._broker.latest(INGEST, stream) is None:
            return deque()
        place = self._settings.place(PACKETS, self._settings.partition(stream))
        with translated(stream):
            consumer = KafkaConsumer(**self._settings.consumer)
            try:
                end = consumer.end_offsets([place], timeout_ms=10_000)[place]
            finally:
                consumer.close(timeout_ms=1000)
        reader = KafkaReader(self._settings, PACKETS, stream, resume)
        found: deque[int] = deque()
        until = time.monotonic() + TIMEOUT_S
        try:
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


@dataclass(slots=True)
class _Stream:
    """What a member knows of a stream of an owned partition.

    Attributes:
        resume: nothing below it is served.
        served: Kafka's offset behind the last piece that was queued.
        handed: offset behind the last record that was given out.
        stale: to be served again from what the broker knows to be committed.
        ended: does not hold the partition's offset back.
        polled: records of it have been given out.
    """

    joiner: Joiner
    resume: int
    served: int
    handed: int = 0
    ended: bool = False
    stale: bool = False
    polled: bool = False


class KafkaMember(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """A static member of the consumer group, its name being the instance id: a restarted one takes over without a rebalance.

    A member whose name joins again is inert from then on: it polls nothing, and its commits are fenced. `send` checks
    ownership on this side only; a former owner that has not heard of its loss may still append for about a session time-out.
    """

    def __init__(self, settings: Settings, group: str, name: str) -> None:
        self._settings, self._name = settings, name
        self._group_id = settings.topic_prefix + group
        self._group: Any = None
        self._inert = False
        self._fresh: set[int] = set()
        self._arrived: dict[int, list[Any]] = {}
        self._streams: dict[int, dict[str, _Stream]] = {}
        self._heads: dict[int, int] = {}
        self._queue: deque[Record] = deque()
        self._producer: KafkaProducer | None = None
        self._transactions = Transactions(settings, f"{group}.{name}")
        self._table = Table(settings, STATE)
        with translated(name):
            self._consumer = KafkaConsumer(
                group_id=self._group_id,
                group_instance_id=name,
                session_timeout_ms=settings.session_timeout_ms,
                heartbeat_interval_ms=min(1000, settings.session_timeout_ms // 3),
                max_poll_interval_ms=120_000,
                partition_assignment_strategy=[CooperativeStickyAssignor],
                **settings.consumer,
            )
            self._consumer.subscribe([settings.topic(PACKETS)], listener=self)

    # The library calls these from inside `poll`.

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._fresh |= {place.partition for place in assigned}

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        for place in revoked:
            self._fresh.discard(place.partition)
            self._arrived.pop(place.partition, None)
            self._streams.pop(place.partition, None)
            self._heads.pop(place.partition, None)
        self._queue = deque(record for record in self._queue if self._find(record.stream))

    def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        self.on_partitions_revoked(lost)

    def poll(self, timeout_s: float, *, max_bytes: int = 8 << 20) -> list[Record]:
        """During an outage, and while the group is being rearranged, it returns nothing.

        Raises:
            BrokerError: the cluster refuses this client.
        """
        until = time.monotonic() + timeout_s
        while not self._queue:
            left_s = until - time.monotonic()
            if self._inert:
                time.sleep(max(0.0, left_s))
                return []
            try:
                self._fetch(max(0.0, left_s))
            except AuthorizationError as error:
                raise BrokerError(f"{self._name}: {error}") from error
            except FencedInstanceIdError:
                self._retire()
            except Fenced as error:
                if isinstance(error.__cause__, FencedInstanceIdError):
                    self._retire()
                else:
                    log.warning("%s", error)
            except (KafkaError, BrokerError) as error:
                log.warning("%s waits for Kafka: %s", self._name, error)
                time.sleep(max(0.0, min(OUTAGE_NAP_S, left_s)))
            if time.monotonic() >= until:
                break
        records = _hand_out(self._queue, max_bytes)
        for record in records:
            known = self._find(record.stream)
            if known is not None:
                known.polled, known.handed = True, record.next_offset
        return records

    def _fetch(self, wait_s: float) -> None:
        # What has arrived is kept until its streams' states are known, even if asking for these fails.
        wait_ms = 1 if self._stale() else max(1, int(wait_s * 1000))
        for place, batch in self._consumer.poll(timeout_ms=wait_ms).items():
            self._arrived.setdefault(place.partition, []).extend(batch)
        # A generation that comes between two polls must not commit for what it no longer includes.
        self._group = self._consumer.group_metadata()
        if self._fresh or self._stale():
            self._load()
        arrived, self._arrived = self._arrived, {}
        for partition, batch in arrived.items():
            if partition in self._streams:
                for record in batch:
                    self._take(partition, record)

    def _stale(self) -> list[tuple[int, str, _Stream]]:
        return [(p, name, s) for p, streams in self._streams.items() for name, s in streams.items() if s.stale]

    def _load(self) -> None:
        """Learns what is committed of new partitions, and of streams whose last commit went wrong."""
        if not self._transactions.is_open:
            if self._streams:
                self._prove_membership()
            self._transactions.open()
        self._table.follow({*self._streams, *self._fresh})
        self._table.catch_up()
        back: dict[int, int] = {}
        for partition, name, stream in self._stale():
            entry = self._table.get(name)
            if entry is not None:
                stream.resume, stream.ended = entry.resume, entry.ended
            stream.served, stream.stale, stream.joiner = stream.resume, False, Joiner(PACKETS, name)
            back[partition] = min(stream.resume, back.get(partition, stream.resume))
        for partition, offset in back.items():
            arrived = self._arrived.pop(partition, [])
            self._consumer.seek(
                self._settings.place(PACKETS, partition), min([offset, *(r.offset for r in arrived[:1])])
            )
        for partition in self._fresh:
            self._streams[partition] = {
                name: _Stream(Joiner(PACKETS, name), entry.resume, entry.resume, ended=entry.ended)
                for name, entry in self._table.partition(partition).items()
            }
        self._fresh.clear()

    def _prove_membership(self) -> None:
        """Asks the group whether this is still the member of its name, for opening a producer would fence a newer one."""
        partition = next(iter(self._streams))
        offset = OffsetAndMetadata(self._offset(partition), "", -1)
        self._consumer.commit({self._settings.place(PACKETS, partition): offset}, timeout_ms=10_000)

    def _take(self, partition: int, record: Any) -> None:
        self._heads[partition] = max(record.offset + 1, self._heads.get(partition, 0))
        name = record.key.decode()
        stream = self._streams[partition].get(name)
        if stream is None:
            stream = _Stream(Joiner(PACKETS, name), record.offset, record.offset)
            self._streams[partition][name] = stream
        if stream.stale or record.offset < stream.served:
            return
        stream.served = record.offset + 1
        whole = stream.joiner.add(record.offset, record.value, dict(record.headers))
        if whole is not None:
            if stream.ended:
                stream.ended, stream.resume = False, whole.offset
            self._queue.append(whole)

    def _offset(self, partition: int, **resumes: int) -> int:
        """Where the partition is to be read from by its next owner, given new resume offsets of some streams."""
        live = (resumes.get(name, s.resume) for name, s in self._streams[partition].items() if not s.ended)
        return min(live, default=self._heads.get(partition, 0))

    def _find(self, stream: str) -> _Stream | None:
        return self._streams.get(self._settings.partition(stream), {}).get(stream)

    def streams(self) -> frozenset[str]:
        return frozenset(name for streams in self._streams.values() for name, s in streams.items() if s.polled)

    def state(self, stream: str) -> bytes | None:
        entry = self._table.get(stream)
        return entry.value if entry else None

    def commit(
        self, stream: str, messages: Sequence[Message], state: bytes, *, resume_offset: int, ended: bool = False
    ) -> None:
        known = self._owned(stream)
        partition = self._settings.partition(stream)
        if ended:
            # Nobody resumes: all that this member has been given is done with.
            resume_offset = max(resume_offset, known.handed)
        entry = Entry(state, resume_offset, ended)
        records = _outgoing(self._settings, stream, messages)
        offset = OffsetAndMetadata(self._offset(partition, **{stream: resume_offset}), "", -1)
        try:
            self._transactions.run(
                [*records, _compacted(self._settings, STATE, stream, entry)],
                {self._settings.place(PACKETS, partition): offset},
                self._group,
            )
        except BrokerError as error:
            self._fail(stream, known, error)
            raise
        self._table.put(stream, entry)
        known.resume = resume_offset
        if ended:
            known.polled, known.ended = False, all(record.stream != stream for record in self._queue)

    def send(self, stream: str, messages: Sequence[Message]) -> None:
        known = self._owned(stream)
        try:
            with translated(stream):
                if self._producer is None:
                    self._producer = KafkaProducer(**self._settings.producer)
                send_all(self._producer, _outgoing(self._settings, stream, messages))
        except BrokerError as error:
            if self._producer is not None:
                discard(self._producer)
                self._producer = None
            self._fail(stream, known, error)
            raise

    def _owned(self, stream: str) -> _Stream:
        known = self._find(stream)
        # A group that has forgotten this member would take a commit without a generation from anybody.
        if known is None or not known.polled or known.stale or self._group.generation_id < 0:
            raise Fenced(f"{stream}: {self._name} does not own it; drop what is in memory of it")
        return known

    def _fail(self, stream: str, known: _Stream, error: BrokerError) -> None:
        self.rewind(stream)
        if isinstance(error, Fenced):
            known.polled = False
            if isinstance(error.__cause__, FencedInstanceIdError):
                self._retire()

    def _retire(self) -> None:
        log.warning("%s: another member has joined under this name; this one stops", self._name)
        self._inert = True
        self._streams, self._arrived, self._fresh = {}, {}, set()
        self._queue.clear()

    def rewind(self, stream: str) -> None:
        known = self._find(stream)
        if known is not None:
            known.stale = True
            self._queue = deque(record for record in self._queue if record.stream != stream)

    def close(self) -> None:
        self._transactions.close()
        if self._producer is not None:
            discard(self._producer)
        self._table.close()
        with suppress(KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=1000)
        if self._group is not None and self._group.member_id and not self._inert:
            # A static member does not leave by closing. With both ids this cannot hit a newer self.
            with suppress(KafkaError):
                admin = KafkaAdminClient(**self._settings.client)
                admin.remove_group_members(self._group_id, [MemberToRemove(self._group.member_id, self._name)])
                admin.close()


class KafkaReader:
    def __init__(self, settings: Settings, topic: str, stream: str, offset: int) -> None:
        self._key = stream.encode()
        self._joiner = Joiner(topic, stream)
        self._queue: deque[Record] = deque()
        self._place = settings.place(topic, settings.partition(stream))
        with translated(topic):
            self._consumer = KafkaConsumer(**settings.consumer)
            self._consumer.assign([self._place])
            self._consumer.seek(self._place, offset)

    def read(self, timeout_s: float, *, max_bytes: int = 8 << 20) -> list[Record]:
        until = time.monotonic() + timeout_s
        while not self._queue:
            left_s = until - time.monotonic()
            with translated(self._place.topic):
                batches = self._consumer.poll(timeout_ms=max(1, int(left_s * 1000)))
            for record in batches.get(self._place, []):
                if record.key == self._key:
                    whole = self._joiner.add(record.offset, record.value, dict(record.headers))
                    if whole is not None:
                        self._queue.append(whole)
            if time.monotonic() >= until:
                break
        return _hand_out(self._queue, max_bytes)

    def position(self) -> int:
        """Where Kafka goes on reading."""
        with translated(self._place.topic):
            return int(self._consumer.position(self._place, timeout_ms=1000) or 0)

    def close(self) -> None:
        with suppress(KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=1000)


class KafkaBroker:
    """See the module.

    Raises:
        ConfigError: unknown options, or topics that do not fit together.
        BrokerError: no cluster there, or it refuses.
    """

    def __init__(self, url: str, **options: str) -> None:
        settings = Settings.parse(url, options)
        self._settings = replace(settings, partitions=make_topics(settings))
        self._lock = threading.Lock()
        self._tables: dict[str, Table] = {}

    def writer(self, name: str) -> KafkaWriter:
        return KafkaWriter(self, self._settings, name)

    def member(self, group: str, name: str) -> KafkaMember:
        return KafkaMember(self._settings, group, name)

    def reader(self, topic: str, stream: str, offset: int = 0) -> KafkaReader:
        return KafkaReader(self._settings, topic, stream, offset)

    def latest(self, topic: str, stream: str) -> bytes | None:
        """Keeps following the partitions it was asked about, so that asking again is cheap."""
        with self._lock:
            if topic not in self._tables:
                self._tables[topic] = Table(self._settings, topic)
            return self._tables[topic].latest(stream)

    def drop(self, stream: str) -> None:
        """Empties the compacted values. Records stay until the topics' retention ends: Kafka deletes none by key."""
        place = self._settings.place(PACKETS, self._settings.partition(stream))
        with translated(stream):
            consumer = KafkaConsumer(**self._settings.consumer)
            try:
                end = consumer.end_offsets([place], timeout_ms=10_000)[place]
            finally:
                consumer.close(timeout_ms=1000)
            producer = KafkaProducer(**self._settings.producer)
            try:
                # Without this the packets that are still there would look like a new stream's.
                state = _compacted(self._settings, STATE, stream, Entry(None, end, ended=True))
                send_all(producer, [state, _compacted(self._settings, INGEST, stream, None)])
            finally:
                discard(producer)

    def close(self) -> None:
        with self._lock:
            for table in self._tables.values():
                table.close()
            self._tables.clear()
