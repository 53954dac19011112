"""A worker of the consumer group: what it owns, what it serves, and how a unit of work is committed."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import AuthorizationError, FencedInstanceIdError, KafkaError
from kafka.structs import MemberState, OffsetAndMetadata

from pipeline.brokers import PACKETS, STATE, BrokerError, Fenced, Message, Record
from pipeline.brokers.chunks import Joiner
from pipeline.brokers.kafka_client import Settings, Transactions, discard, hand_out, outgoing, send_all, translated
from pipeline.brokers.kafka_table import PATIENCE_S, CompactedTable, Entry, compacted

log = logging.getLogger(__name__)

OUTAGE_NAP_S = 0.2
JOIN_MS = 1000
"""How long a poll lasts at the least while the group is being rearranged: an answer that comes between two is lost."""


@dataclass(slots=True)
class _Stream:
    """What a member knows of a stream of an owned partition.

    Attributes:
        resume: nothing below it is served.
        served: Kafka's offset behind the last piece that was queued.
        handed: offset behind the last record that was given out.
        ended: does not hold the partition's offset back.
    """

    joiner: Joiner
    resume: int
    served: int
    handed: int = 0
    ended: bool = False


class KafkaMember(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """A static member of the group, its name being the instance id: a restarted one takes over without a rebalance.

    A member whose name joins again is inert from then on: it polls nothing, and its commits are fenced. `send` checks
    ownership on this side only: a former owner that has not heard of its loss may still append for a session time-out.
    """

    def __init__(self, settings: Settings, group: str, name: str) -> None:
        self._settings, self._name = settings, name
        self._group_id = settings.topic_prefix + group
        self._membership: Any = None
        self._inert = False
        # By partition: what was assigned and not looked at yet, what came in and not into the queue, what is owned.
        self._fresh: set[int] = set()
        self._arrived: dict[int, list[Any]] = {}
        self._owned: dict[int, dict[str, _Stream]] = {}
        self._heads: dict[int, int] = {}
        # By stream: what was given out, what has to begin again from the last commit.
        self._polled: set[str] = set()
        self._stale: set[str] = set()
        self._queue: deque[Record] = deque()
        self._gone = False
        self._producer: KafkaProducer | None = None
        self._transactions = Transactions(settings, f"member.{group}.{name}")
        self._table = CompactedTable(settings, STATE)
        with translated(name):
            self._consumer = settings.open(
                KafkaConsumer,
                group_id=self._group_id,
                group_instance_id=name,
                session_timeout_ms=settings.session_timeout_ms,
                heartbeat_interval_ms=min(1000, settings.session_timeout_ms // 3),
                max_poll_interval_ms=120_000,
                # Whole at every step. A cooperative one moves partitions in two, and a static member that is started
                # anew between them is given its half-way share back for good: nobody would ever own the rest.
                partition_assignment_strategy=[RoundRobinPartitionAssignor],
                **settings.consumer,
            )
            # Joining without knowing the partitions would be joining twice.
            self._consumer.partitions_for_topic(settings.topic(PACKETS))
            self._consumer.subscribe([settings.topic(PACKETS)], listener=self)

    # The library calls these from inside `poll`.

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._fresh |= {place.partition for place in assigned}

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        for place in revoked:
            self._fresh.discard(place.partition)
            self._arrived.pop(place.partition, None)
            self._heads.pop(place.partition, None)
            lost = set(self._owned.pop(place.partition, {}))
            self._gone |= bool(lost)
            self._polled -= lost
            self._stale -= lost
            self._forget(lost)

    def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        self.on_partitions_revoked(lost)

    def _forget(self, streams: set[str]) -> None:
        self._queue = deque(record for record in self._queue if record.stream not in streams)

    def poll(self, timeout_s: float, *, max_bytes: int = 8 << 20) -> list[Record]:
        """During an outage, and while the group is being rearranged, it returns nothing, and may take some seconds.

        Raises:
            BrokerError: the cluster refuses this client.
        """
        until = time.monotonic() + timeout_s
        while not self._queue:
            left_s = max(0.0, until - time.monotonic())
            if self._inert:
                time.sleep(left_s)
                return []
            try:
                self._fetch(left_s)
            except AuthorizationError as error:
                raise BrokerError(f"{self._name}: {error}") from error
            except (KafkaError, BrokerError) as error:
                if not self._retire_after(error):
                    log.warning("%s waits for Kafka: %s", self._name, error)
                    time.sleep(min(OUTAGE_NAP_S, left_s))
            if time.monotonic() >= until:
                break
        if self._gone:
            # Streams that come back in the same rebalance begin again: first the caller has to see them go.
            self._gone = False
            return []
        records = hand_out(self._queue, max_bytes)
        for record in records:
            self._polled.add(record.stream)
            self._owned[self._settings.partition(record.stream)][record.stream].handed = record.next_offset
        return records

    def _fetch(self, wait_s: float) -> None:
        # What has arrived is kept until its streams' states are known, even if asking for these fails.
        wait_ms = 1 if self._stale else max(1, int(wait_s * 1000))
        joined = self._consumer.group_metadata().state is MemberState.STABLE
        for place, batch in self._consumer.poll(timeout_ms=wait_ms if joined else max(wait_ms, JOIN_MS)).items():
            self._arrived.setdefault(place.partition, []).extend(batch)
        # A generation that comes between two polls must not commit for what it no longer includes.
        self._membership = self._consumer.group_metadata()
        coordinator = self._consumer._coordinator
        if self._membership.state is MemberState.REBALANCING and not coordinator.need_rejoin():
            # The library has let the answer to a join go by, and would neither ask again nor send heartbeats.
            coordinator.request_rejoin()
        if self._fresh or self._stale:
            self._load()
        arrived, self._arrived = self._arrived, {}
        for partition, batch in arrived.items():
            for record in batch:
                self._take(partition, record)

    def _load(self) -> None:
        """Learns what is committed of new partitions, and of streams that begin again."""
        if not self._transactions.is_open:
            if self._owned:
                self._prove_membership()
            self._transactions.open()
        self._table.follow({*self._owned, *self._fresh})
        if not self._table.catch_up(PATIENCE_S):
            raise BrokerError(f"{self._name}: a former owner's transaction has not ended yet")
        for name in self._stale:
            partition, entry = self._settings.partition(name), self._table.get(name)
            stream = self._owned[partition][name]
            if entry is not None:
                stream.resume, stream.ended = entry.resume, entry.ended
            if stream.ended:
                self._polled.discard(name)
            stream.served, stream.joiner = stream.resume, Joiner(PACKETS, name)
            self._seek_back(partition, stream.resume)
        self._stale.clear()
        for partition in self._fresh:
            self._seek_to_commit(partition)
            self._owned[partition] = {
                name: _Stream(Joiner(PACKETS, name), entry.resume, entry.resume, ended=entry.ended)
                for name, entry in self._table.partition(partition).items()
            }
        self._fresh.clear()

    def _prove_membership(self) -> None:
        """Asks the group whether this is still the member of its name: opening a producer would fence a newer one."""
        partition = next(iter(self._owned))
        offset = OffsetAndMetadata(self._offset(partition, {}), "", -1)
        with translated(self._name):
            self._consumer.commit({self._settings.place(PACKETS, partition): offset}, timeout_ms=10_000)

    def _seek_to_commit(self, partition: int) -> None:
        """Reads a new partition from where the group has come to.

        The library does so only where it was somebody else's: one that is given back in a rebalance it reads on, though
        what it had read before was dropped when it was taken.
        """
        place = self._settings.place(PACKETS, partition)
        committed = self._consumer.committed(place, timeout_ms=10_000)
        self._arrived.pop(partition, None)
        if committed is None:
            self._consumer.seek_to_beginning(place)
        else:
            self._consumer.seek(place, committed)

    def _seek_back(self, partition: int, offset: int) -> None:
        """Reads from `offset` again; streams that had been served beyond it are not served twice."""
        place = self._settings.place(PACKETS, partition)
        arrived = self._arrived.pop(partition, [])
        position = arrived[0].offset if arrived else self._consumer.position(place, timeout_ms=10_000)
        self._consumer.seek(place, offset if position is None else min(offset, position))

    def _take(self, partition: int, record: Any) -> None:
        self._heads[partition] = max(record.offset + 1, self._heads.get(partition, 0))
        name = record.key.decode()
        stream = self._owned[partition].get(name)
        if stream is None:
            stream = _Stream(Joiner(PACKETS, name), record.offset, record.offset)
            self._owned[partition][name] = stream
        if record.offset < stream.served:
            return
        stream.served = record.offset + 1
        whole = stream.joiner.add(record.offset, record.value, dict(record.headers))
        if whole is not None:
            if stream.ended:
                stream.ended, stream.resume = False, whole.offset
            self._queue.append(whole)

    def _offset(self, partition: int, resumes: Mapping[str, int]) -> int:
        """Where the partition's next owner has to begin, given the new resume offsets of some streams."""
        live = (resumes.get(name, s.resume) for name, s in self._owned[partition].items() if not s.ended)
        return min(live, default=self._heads.get(partition, 0))

    def _find(self, stream: str) -> _Stream | None:
        return self._owned.get(self._settings.partition(stream), {}).get(stream)

    def streams(self) -> frozenset[str]:
        return frozenset(self._polled)

    def state(self, stream: str) -> bytes | None:
        entry = self._table.get(stream)
        return entry.value if entry else None

    def commit(
        self, stream: str, messages: Sequence[Message], state: bytes, *, resume_offset: int, ended: bool = False
    ) -> None:
        known = self._check(stream)
        partition = self._settings.partition(stream)
        if ended:
            # Nobody resumes: all that this member has been given is done with.
            resume_offset = max(resume_offset, known.handed)
        entry = Entry(state, resume_offset, ended)
        records = [*outgoing(self._settings, stream, messages), compacted(self._settings, STATE, stream, entry)]
        offset = OffsetAndMetadata(self._offset(partition, {stream: resume_offset}), "", -1)
        try:
            place = self._settings.place(PACKETS, partition)
            self._transactions.run(records, {place: offset}, self._membership)
        except BrokerError as error:
            self._fail(stream, error)
            raise
        self._table.put(stream, entry)
        known.resume = resume_offset
        if ended:
            self._polled.discard(stream)
            known.ended = all(record.stream != stream for record in self._queue)

    def send(self, stream: str, messages: Sequence[Message]) -> None:
        self._check(stream)
        try:
            with translated(stream):
                if self._producer is None:
                    self._producer = self._settings.open(KafkaProducer, **self._settings.producer)
                send_all(self._producer, outgoing(self._settings, stream, messages))
        except BrokerError as error:
            if self._producer is not None:
                discard(self._producer)
                self._producer = None
            self._fail(stream, error)
            raise

    def _check(self, stream: str) -> _Stream:
        known = self._find(stream)
        # The group would take a commit without a generation from anybody.
        lost = self._membership is None or self._membership.generation_id < 0
        if known is None or lost or stream not in self._polled or stream in self._stale:
            raise Fenced(f"{stream}: {self._name} does not own it; drop what is in memory of it")
        return known

    def _fail(self, stream: str, error: BrokerError) -> None:
        self.rewind(stream)
        if isinstance(error, Fenced):
            self._polled.discard(stream)
            self._retire_after(error)

    def _retire_after(self, error: Exception) -> bool:
        """Whether this member has to stop, for another one has joined under its name."""
        if isinstance(error, FencedInstanceIdError) or isinstance(error.__cause__, FencedInstanceIdError):
            log.warning("%s: another member has joined under this name; this one stops", self._name)
            self._inert = True
            self.on_partitions_revoked({TopicPartition("", partition) for partition in {*self._owned, *self._fresh}})
        return self._inert

    def rewind(self, stream: str) -> None:
        if self._find(stream) is not None:
            self._stale.add(stream)
            self._forget({stream})

    def close(self) -> None:
        self._transactions.close()
        if self._producer is not None:
            discard(self._producer)
        self._table.close()
        with suppress(KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=1000)
        if self._membership is not None and self._membership.member_id and not self._inert:
            # A static member does not leave by closing. With both ids this cannot hit a newer self.
            with suppress(KafkaError):
                admin = self._settings.open(KafkaAdminClient, **self._settings.client)
                admin.remove_group_members(self._group_id, [MemberToRemove(self._membership.member_id, self._name)])
                admin.close()
