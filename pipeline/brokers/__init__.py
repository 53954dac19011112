"""The interface between Facewarden and its message broker, and the only package that knows Kafka.

    sqlite:///folder/facewarden.db     one file, shared by the processes of one machine (`sqlite_broker`)
    kafka://host:port[,host:port]      any cluster that speaks the Kafka protocol (`kafka_broker`)

Records of one stream keep their order in every topic. Three roles use a broker:

* a **Writer** (ingest) appends to `packets`; a second writer of the same name fences the first;
* a **Member** (a worker) of the one group that processes `packets` owns streams. It commits its output together
  with the state from which the next owner continues. A member that has lost a stream cannot commit for it;
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
"""What a broker must accept as one message; larger values are sent in chunks and delivered whole."""


class BrokerError(StreamError):
    """The broker cannot be reached, or has refused; what was not committed will be replayed."""


class Fenced(BrokerError):
    """Another process owns this now. Nothing of this call was stored; drop the stream and continue."""


class BrokerRefused(BrokerError):
    """It refuses for good: a right, a size, a login. Trying again changes nothing; the run ends with these words."""


@dataclass(frozen=True, slots=True)
class Record:
    """One whole message, chunks joined.

    Attributes:
        offset: where it begins in the topic; increases within a stream, with gaps.
        next_offset: where to continue reading after it.
    """

    topic: str
    stream: str
    offset: int
    next_offset: int
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """A value to append to a topic, under the stream's key."""

    topic: str
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)


class Writer(Protocol):
    def write(self, stream: str, messages: Sequence[Message], state: bytes) -> None:
        """Appends all messages and replaces the stream's value in `ingest`, or does neither.

        Raises:
            Fenced: a newer writer of this name exists.
            BrokerError: whether it was stored is unknown; open a new writer and continue from the value in `ingest`.
        """

    def backlog(self, stream: str) -> int:
        """The number of records of `packets` that the group has not committed yet, counting at least this stream's."""

    def close(self) -> None: ...


class Member(Protocol):
    """One worker of the group. Not thread-safe; it sends its own heartbeats between calls."""

    def poll(self, timeout_s: float, *, max_bytes: int = 8 << 20) -> list[Record]:
        """The next records of owned streams, each stream in order, from its committed resume offset on.

        May be empty. Streams are claimed, and lost ones noticed, inside this call.
        """

    def streams(self) -> frozenset[str]:
        """Streams that have been polled and are still owned. A stream that disappears from here has another owner."""

    def state(self, stream: str) -> bytes | None:
        """The last committed state of a stream, None if it has never had one."""

    def commit(
        self, stream: str, messages: Sequence[Message], state: bytes, *, resume_offset: int, ended: bool = False
    ) -> None:
        """Stores messages, state and resume offset of an owned stream, all or nothing.

        `resume_offset` is the offset in `packets` from which the next owner is served. With `ended` the stream is
        released and never claimed again, unless new packets are written to it.

        Raises:
            Fenced: the stream is no longer owned.
            BrokerError: whether it was stored is unknown; the stream has been rewound to its last commit, and the
                caller must drop what it holds of the stream in memory.
        """

    def send(self, stream: str, messages: Sequence[Message]) -> None:
        """Stores messages at once and in order, outside of any commit (delivery `low_latency`).

        Raises as `commit`.
        """

    def rewind(self, stream: str) -> None:
        """Serves the stream again from its last committed resume offset."""

    def close(self) -> None:
        """Leaves the group; its streams go to other members at once."""


class Reader(Protocol):
    def read(self, timeout_s: float, *, max_bytes: int = 8 << 20) -> list[Record]:
        """The next committed records of the stream; empty if none arrived in time."""

    def forget(self, *, before: int | None = None) -> None:
        """Declares that what has been read will not be read again: it is deleted if the broker can delete by stream.

        Args:
            before: only what lies before this offset.
        """

    def close(self) -> None: ...


class Broker(Protocol):
    """Opened by `open_broker`. It may be shared between threads; each writer, member and reader belongs to one."""

    def writer(self, name: str) -> Writer:
        """Opens a writer and fences the former one of this name.

        Read `latest` of `ingest` after this, not before: only then can the former writer no longer change it.
        """

    def member(self, group: str, name: str, *, streams: str = "") -> Member:
        """Joins the group. A name that joins again takes over at once what the former member of that name owned.

        Args:
            streams: only those whose names begin so are the group's; others in the same topics are left alone.
        """

    def reader(self, topic: str, stream: str, offset: int = 0) -> Reader: ...

    def latest(self, topic: str, stream: str) -> bytes | None:
        """The newest committed value of a stream in a compacted topic (`state`, `ingest`).

        Raises:
            BrokerError: it cannot be determined now; an older value is never returned instead.
        """

    def drop(self, stream: str) -> None:
        """Deletes a stream: its compacted values, and its records if the broker can delete by stream."""

    def erase(self) -> None:
        """Deletes everything, topics included. Only for the sole user of the broker, or of its topic prefix."""

    def close(self) -> None: ...


_NO_BROKER = "{}: no such broker; use sqlite:///folder/facewarden.db or kafka://host:9092"


def open_broker(url: str, **options: str) -> Broker:
    """Opens a broker by its URL and creates the topics that are missing.

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
    raise ConfigError(_NO_BROKER.format(url))


def require_entry(url: str, **options: str) -> None:
    """Looks whether a broker lets us in, before anything starts: a cluster that is asked later says nothing.

    Raises:
        ConfigError: no such kind of broker, an unknown option, or a value that is none.
        BrokerRefused: says which step it refuses.
        BrokerError: it does not answer.
    """
    if url.startswith("kafka://"):
        from pipeline.brokers.kafka_client import Settings
        from pipeline.brokers.kafka_probe import probe

        settings = Settings.parse(url, options)
        probe(settings.servers, settings.security)
    elif not url.startswith("sqlite://"):
        raise ConfigError(_NO_BROKER.format(url))
