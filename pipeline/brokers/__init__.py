"""The seam between Facewarden and whatever carries its messages, and the only package that knows Kafka.

    sqlite:///folder/facewarden.db     one file, several processes of one machine (`sqlite_broker`)
    kafka://host:port[,host:port]      any cluster that speaks the Kafka protocol (`kafka_broker`)

Records of one stream keep their order in every topic. Three roles use a broker:

* a **Writer** (ingest) appends to `packets`; a second writer of the same name fences the first;
* a **Member** (an actor) of the one group that works on `packets` owns streams, and commits what it made
  of them together with the state to go on from; who lost its ownership cannot commit;
* a **Reader** (a sink) follows one stream in one topic from any offset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engines import ConfigError, StreamError

PACKETS, MASKED, VERDICTS, SEALED, REJECTS = "packets", "masked", "verdicts", "sealed", "rejects"
STATE, INGEST = "state", "ingest"
LOG_TOPICS = (PACKETS, MASKED, VERDICTS, SEALED, REJECTS)
COMPACTED_TOPICS = (STATE, INGEST)

MAX_MESSAGE_BYTES = 4 << 20
"""What a broker must carry in one message; larger values travel in chunks and come out whole."""


class BrokerError(StreamError):
    """The broker cannot be reached, or refused; what was not committed will be replayed."""


class Fenced(BrokerError):
    """Somebody else owns this now. Nothing of this call was stored; drop the stream and go on."""


@dataclass(frozen=True, slots=True)
class Record:
    """One whole message, chunks joined.

    Attributes:
        offset: where it begins in the topic; grows within a stream, with gaps.
        next_offset: where to go on reading behind it.
    """

    topic: str
    stream: str
    offset: int
    next_offset: int
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be appended to a topic, under the stream's key."""

    topic: str
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)


class Writer(Protocol):
    def write(self, stream: str, messages: Sequence[Message], state: bytes) -> None:
        """Appends all messages and replaces the stream's value in `ingest`, or does neither.

        Raises:
            Fenced: a newer writer of this name exists.
            BrokerError: it is not known to be stored; open a new writer and go on from what `ingest` says.
        """

    def backlog(self, stream: str) -> int:
        """How many records of `packets` the group has not committed yet, at the least for this stream."""

    def close(self) -> None: ...


class Member(Protocol):
    """One worker of the group. Not thread-safe; it sends its own heartbeats between calls."""

    def poll(self, timeout_s: float, *, max_bytes: int = 8 << 20) -> list[Record]:
        """The next records of owned streams, each stream in order, from its committed resume offset on.

        May be empty; claims streams, and notices lost ones, on the way.
        """

    def streams(self) -> frozenset[str]:
        """Streams that have been polled and are still owned. What disappeared from here is somebody else's."""

    def state(self, stream: str) -> bytes | None:
        """The last committed state of a stream, None if it never had one."""

    def commit(
        self, stream: str, messages: Sequence[Message], state: bytes, *, resume_offset: int, ended: bool = False
    ) -> None:
        """Stores messages, state and resume offset of an owned stream, all or nothing.

        `resume_offset` is the offset in `packets` from which the next owner is to be served. With `ended` the
        stream is let go and never claimed again, unless new packets are written to it.

        Raises:
            Fenced: the stream is no longer owned.
            BrokerError: it is not known to be stored; the stream has been rewound to its last commit, and
                what was in memory about it must be dropped.
        """

    def send(self, stream: str, messages: Sequence[Message]) -> None:
        """Stores messages at once and in order, outside of any commit (delivery `low_latency`).

        Raises as `commit`.
        """

    def rewind(self, stream: str) -> None:
        """Serves the stream again from its last committed resume offset."""

    def close(self) -> None:
        """Leaves the group; streams go to others at once."""


class Reader(Protocol):
    def read(self, timeout_s: float, *, max_bytes: int = 8 << 20) -> list[Record]:
        """The next committed records of the stream; empty when none came in time."""

    def forget(self) -> None:
        """What has been read will not be read again: it is deleted where the broker can delete by stream."""

    def close(self) -> None: ...


class Broker(Protocol):
    """Opened by `open_broker`; safe to share between threads, and its parts live in one thread each."""

    def writer(self, name: str) -> Writer:
        """Fences the former writer of this name.

        Only then is `latest` of `ingest` the last word on what it has stored: read it after this, not before.
        """

    def member(self, group: str, name: str) -> Member:
        """Joins the group. A name that joins again takes over at once what its former self owned."""

    def reader(self, topic: str, stream: str, offset: int = 0) -> Reader: ...

    def latest(self, topic: str, stream: str) -> bytes | None:
        """The newest committed value of a stream in a compacted topic (`state`, `ingest`).

        Raises:
            BrokerError: it cannot be told now; an older one is never returned instead.
        """

    def drop(self, stream: str) -> None:
        """Forgets a stream: its records are deleted where the broker can, its compacted values everywhere."""

    def erase(self) -> None:
        """Deletes all there is, topics included: for one who has the broker, or its prefix, to himself."""

    def close(self) -> None: ...


def open_broker(url: str, **options: str) -> Broker:
    """Opens a broker by its URL, creating topics that are missing.

    Raises:
        ConfigError: no such kind of broker, or an unknown option.
        BrokerError: it does not answer.
    """
    if url.startswith("sqlite://"):
        from pipeline.brokers.sqlite_broker import SqliteBroker

        return SqliteBroker(url, **options)
    if url.startswith("kafka://"):
        from pipeline.brokers.kafka_broker import KafkaBroker

        return KafkaBroker(url, **options)
    raise ConfigError(f"{url}: no such broker; use sqlite:///folder/facewarden.db or kafka://host:port")
