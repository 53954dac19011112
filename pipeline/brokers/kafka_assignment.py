"""What a member of the group owns: partitions and their streams, what was served of each, and what is served next.

It makes no calls to the cluster. The library reports rebalances, the member passes in what has arrived and what is
committed, and a `Cursor` is set to where reading has to continue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kafka import TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener

from pipeline.brokers import PACKETS, Record
from pipeline.brokers.chunks import Joiner
from pipeline.brokers.kafka_client import hand_out
from pipeline.brokers.kafka_table import Entry


class Cursor(Protocol):
    """Where the consumer reads each partition."""

    def position(self, partition: int) -> int | None: ...

    def committed(self, partition: int) -> int | None:
        """The group's committed offset, None if it has never committed."""

    def seek(self, partition: int, offset: int | None) -> None:
        """Continues from `offset`, or from the beginning if it is None."""


@dataclass(slots=True)
class _OwnedStream:
    """What a member knows of a stream of an owned partition.

    Attributes:
        resume: the committed resume offset; nothing below it is served.
        served: Kafka's offset after the last chunk that was taken.
        handed: the offset after the last record that was handed out.
        ended: whether it no longer holds back the partition's offset.
    """

    joiner: Joiner
    resume: int
    served: int
    handed: int = 0
    ended: bool = False


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """The partitions of one member and their streams.

    Args:
        partition_of: returns the partition of a stream.
        streams: what the names of the group's streams begin with; records of others are passed over.
    """

    def __init__(self, partition_of: Callable[[str], int], streams: str = "") -> None:
        self._partition_of, self._streams = partition_of, streams
        # By partition: assigned but not loaded yet; records that are not in the queue yet; owned; offset after the last
        # record taken.
        self._unloaded: set[int] = set()
        self._arrived: dict[int, list[Any]] = {}
        self._owned: dict[int, dict[str, _OwnedStream]] = {}
        self._heads: dict[int, int] = {}
        # By stream: handed out; has to begin again from its last commit.
        self._polled: set[str] = set()
        self._stale: set[str] = set()
        self._queue: deque[Record] = deque()
        self._lost_streams = False

    # The library calls these from inside `poll`.

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._unloaded |= {topic_partition.partition for topic_partition in assigned}

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        for partition in (topic_partition.partition for topic_partition in revoked):
            self._unloaded.discard(partition)
            self._arrived.pop(partition, None)
            self._heads.pop(partition, None)
            lost = set(self._owned.pop(partition, {}))
            self._lost_streams |= bool(lost)
            self._polled -= lost
            self._stale -= lost
            self._forget(lost)

    def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        self.on_partitions_revoked(lost)

    def give_up(self) -> None:
        """Releases all partitions."""
        self.on_partitions_revoked({TopicPartition("", partition) for partition in self.partitions})

    def _forget(self, streams: set[str]) -> None:
        self._queue = deque(record for record in self._queue if record.stream not in streams)

    @property
    def partitions(self) -> frozenset[int]:
        """Partitions that are owned, and those that are assigned but not loaded yet."""
        return frozenset({*self._owned, *self._unloaded})

    @property
    def owned(self) -> tuple[int, ...]:
        """Partitions whose committed states are loaded."""
        return tuple(self._owned)

    @property
    def needs_load(self) -> bool:
        """Whether partitions are new or streams have to begin again: call `load` before `enqueue`."""
        return bool(self._unloaded or self._stale)

    @property
    def is_rewinding(self) -> bool:
        """Whether streams have to begin again at the next `load`."""
        return bool(self._stale)

    @property
    def is_queue_empty(self) -> bool:
        return not self._queue

    def streams(self) -> frozenset[str]:
        """Streams that were handed out and are still owned."""
        return frozenset(self._polled)

    def arrive(self, partition: int, batch: Sequence[Any]) -> None:
        """Keeps records until the states of their streams are loaded, even if an attempt to load them fails."""
        self._arrived.setdefault(partition, []).extend(batch)

    def load(self, committed: Mapping[int, Mapping[str, Entry]], cursor: Cursor) -> None:
        """Begins with what is committed, for new partitions and for streams that have to begin again.

        Args:
            committed: entries by partition and stream, for all `partitions`.
            cursor: set to where these partitions have to be read.
        """
        for name in self._stale:
            partition = self._partition_of(name)
            stream, entry = self._owned[partition][name], committed[partition].get(name)
            if entry is not None:
                stream.resume, stream.ended = entry.resume, entry.ended
            if stream.ended:
                self._polled.discard(name)
            stream.served, stream.joiner = stream.resume, Joiner(PACKETS, name)
            self._seek_back(partition, stream.resume, cursor)
        self._stale.clear()
        for partition in self._unloaded:
            self._seek_to_commit(partition, cursor)
            self._owned[partition] = {
                name: _OwnedStream(Joiner(PACKETS, name), entry.resume, entry.resume, ended=entry.ended)
                for name, entry in committed[partition].items()
                if name.startswith(self._streams)
            }
        self._unloaded.clear()

    def _seek_to_commit(self, partition: int, cursor: Cursor) -> None:
        """Reads a new partition from the group's committed offset.

        The library does this only for a partition that another member owned. One that is revoked and given back in the
        same rebalance it reads from its old position, although the records before it were dropped at the revocation.
        """
        committed = cursor.committed(partition)
        self._arrived.pop(partition, None)
        cursor.seek(partition, committed)

    def _seek_back(self, partition: int, offset: int, cursor: Cursor) -> None:
        """Reads from `offset` again; `_take` skips what other streams of the partition have been served already."""
        arrived = self._arrived.pop(partition, [])
        position = arrived[0].offset if arrived else cursor.position(partition)
        cursor.seek(partition, offset if position is None else min(offset, position))

    def enqueue(self) -> None:
        """Moves what has arrived into the queue, without what was served before."""
        arrived, self._arrived = self._arrived, {}
        for partition, batch in arrived.items():
            for record in batch:
                self._take(partition, record)

    def _take(self, partition: int, record: Any) -> None:
        self._heads[partition] = max(record.offset + 1, self._heads.get(partition, 0))
        name = record.key.decode()
        if not name.startswith(self._streams):
            return
        stream = self._owned[partition].get(name)
        if stream is None:
            stream = _OwnedStream(Joiner(PACKETS, name), record.offset, record.offset)
            self._owned[partition][name] = stream
        if record.offset < stream.served:
            return
        stream.served = record.offset + 1
        whole = stream.joiner.add(record.offset, record.value, dict(record.headers))
        if whole is not None:
            if stream.ended:
                stream.ended, stream.resume = False, whole.offset
            self._queue.append(whole)

    def hand_out(self, max_bytes: int) -> list[Record]:
        """The next records. The first call after streams were lost returns none."""
        if self._lost_streams:
            # Streams that come back in the same rebalance begin again, so the caller must first see that they are gone.
            self._lost_streams = False
            return []
        records = hand_out(self._queue, max_bytes)
        for record in records:
            self._polled.add(record.stream)
            self._owned[self._partition_of(record.stream)][record.stream].handed = record.next_offset
        return records

    def may_commit(self, stream: str) -> bool:
        """Whether the stream may be committed: it is owned, was handed out, and does not have to begin again."""
        return self._find(stream) is not None and stream in self._polled and stream not in self._stale

    def handed(self, stream: str) -> int:
        """The offset after the last record that was handed out of an owned stream."""
        return self._owned[self._partition_of(stream)][stream].handed

    def offset(self, partition: int, resumes: Mapping[str, int]) -> int:
        """Where the partition's next owner has to begin: the smallest resume offset of its live streams.

        Args:
            resumes: new resume offsets of some streams, which replace the committed ones.
        """
        live = (resumes.get(name, s.resume) for name, s in self._owned[partition].items() if not s.ended)
        return min(live, default=self._heads.get(partition, 0))

    def note_commit(self, stream: str, *, resume_offset: int, ended: bool) -> None:
        """Records that a commit of an owned stream has succeeded."""
        known = self._owned[self._partition_of(stream)][stream]
        known.resume = resume_offset
        if ended:
            self._polled.discard(stream)
            known.ended = all(record.stream != stream for record in self._queue)

    def rewind(self, stream: str) -> None:
        """Serves a stream again from its last commit. Does nothing if the stream is not owned."""
        if self._find(stream) is not None:
            self._stale.add(stream)
            self._forget({stream})

    def hide(self, stream: str) -> None:
        """Removes the stream from `streams` until it is handed out again."""
        self._polled.discard(stream)

    def _find(self, stream: str) -> _OwnedStream | None:
        return self._owned.get(self._partition_of(stream), {}).get(stream)
