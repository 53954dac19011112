"""What a member of the group owns: partitions and their streams, what of them was served, and what is served next.

It knows neither the cluster nor the clock: the library tells it of rebalances, the member brings what has arrived and
what is committed, and reading goes on where it says so.
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
    """Where each partition is read."""

    def position(self, partition: int) -> int | None: ...

    def committed(self, partition: int) -> int | None:
        """Where the group has come to, None if it has never committed."""

    def seek(self, partition: int, offset: int | None) -> None:
        """Goes on from there, without an offset from the beginning."""


@dataclass(slots=True)
class _OwnedStream:
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


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """The partitions of one member.

    Args:
        partition_of: the partition of a stream.
    """

    def __init__(self, partition_of: Callable[[str], int]) -> None:
        self._partition_of = partition_of
        # By partition: what was assigned and not looked at yet, what came in and not into the queue, what is owned.
        self._fresh: set[int] = set()
        self._arrived: dict[int, list[Any]] = {}
        self._owned: dict[int, dict[str, _OwnedStream]] = {}
        self._heads: dict[int, int] = {}
        # By stream: what was given out, what has to begin again from the last commit.
        self._polled: set[str] = set()
        self._stale: set[str] = set()
        self._queue: deque[Record] = deque()
        self._gone = False

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

    def give_up(self) -> None:
        """Owns nothing from now on."""
        self.on_partitions_revoked({TopicPartition("", partition) for partition in self.partitions})

    def _forget(self, streams: set[str]) -> None:
        self._queue = deque(record for record in self._queue if record.stream not in streams)

    @property
    def partitions(self) -> frozenset[int]:
        """Those that are owned, and those that are new."""
        return frozenset({*self._owned, *self._fresh})

    @property
    def owned(self) -> tuple[int, ...]:
        """Owned partitions of which is known what is committed."""
        return tuple(self._owned)

    @property
    def needs_load(self) -> bool:
        """Whether partitions are new, or streams have to begin again: `load` comes before `enqueue`."""
        return bool(self._fresh or self._stale)

    @property
    def is_rewinding(self) -> bool:
        return bool(self._stale)

    @property
    def is_queue_empty(self) -> bool:
        return not self._queue

    def streams(self) -> frozenset[str]:
        """Streams that were handed out and are still owned."""
        return frozenset(self._polled)

    def arrive(self, partition: int, batch: Sequence[Any]) -> None:
        """Keeps what the library has read until its streams' states are known, even if asking for these fails."""
        self._arrived.setdefault(partition, []).extend(batch)

    def load(self, committed: Mapping[int, Mapping[str, Entry]], cursor: Cursor) -> None:
        """Learns what is committed of new partitions, and of streams that begin again.

        Args:
            committed: by partition and stream, for all `partitions`.
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
        for partition in self._fresh:
            self._seek_to_commit(partition, cursor)
            self._owned[partition] = {
                name: _OwnedStream(Joiner(PACKETS, name), entry.resume, entry.resume, ended=entry.ended)
                for name, entry in committed[partition].items()
            }
        self._fresh.clear()

    def _seek_to_commit(self, partition: int, cursor: Cursor) -> None:
        """Reads a new partition from where the group has come to.

        The library does so only where it was somebody else's: one that is given back in a rebalance it reads on, though
        what it had read before was dropped when it was taken.
        """
        committed = cursor.committed(partition)
        self._arrived.pop(partition, None)
        cursor.seek(partition, committed)

    def _seek_back(self, partition: int, offset: int, cursor: Cursor) -> None:
        """Reads from `offset` again; streams that had been served beyond it are not served twice."""
        arrived = self._arrived.pop(partition, [])
        position = arrived[0].offset if arrived else cursor.position(partition)
        cursor.seek(partition, offset if position is None else min(offset, position))

    def enqueue(self) -> None:
        """Takes what has arrived of owned partitions, leaving out what was served before."""
        arrived, self._arrived = self._arrived, {}
        for partition, batch in arrived.items():
            for record in batch:
                self._take(partition, record)

    def _take(self, partition: int, record: Any) -> None:
        self._heads[partition] = max(record.offset + 1, self._heads.get(partition, 0))
        name = record.key.decode()
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
        """The next records; nothing at all once after streams were lost."""
        if self._gone:
            # Streams that come back in the same rebalance begin again: first the caller has to see them go.
            self._gone = False
            return []
        records = hand_out(self._queue, max_bytes)
        for record in records:
            self._polled.add(record.stream)
            self._owned[self._partition_of(record.stream)][record.stream].handed = record.next_offset
        return records

    def may_commit(self, stream: str) -> bool:
        """Whether it may be committed: it was handed out, is owned, and need not begin again."""
        return self._find(stream) is not None and stream in self._polled and stream not in self._stale

    def handed(self, stream: str) -> int:
        """The offset behind the last record of an owned stream that was handed out."""
        return self._owned[self._partition_of(stream)][stream].handed

    def offset(self, partition: int, resumes: Mapping[str, int]) -> int:
        """Where the partition's next owner has to begin, given the new resume offsets of some streams."""
        live = (resumes.get(name, s.resume) for name, s in self._owned[partition].items() if not s.ended)
        return min(live, default=self._heads.get(partition, 0))

    def note_commit(self, stream: str, *, resume_offset: int, ended: bool) -> None:
        """Goes on from a commit of an owned stream."""
        known = self._owned[self._partition_of(stream)][stream]
        known.resume = resume_offset
        if ended:
            self._polled.discard(stream)
            known.ended = all(record.stream != stream for record in self._queue)

    def rewind(self, stream: str) -> None:
        """Serves a stream again from its last commit, if it is owned."""
        if self._find(stream) is not None:
            self._stale.add(stream)
            self._forget({stream})

    def hide(self, stream: str) -> None:
        """Takes the stream out of `streams` until it is handed out again."""
        self._polled.discard(stream)

    def _find(self, stream: str) -> _OwnedStream | None:
        return self._owned.get(self._partition_of(stream), {}).get(stream)
