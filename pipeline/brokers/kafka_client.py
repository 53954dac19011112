"""What all parts of the Kafka broker use: settings, topics, transactions and the translation of errors.

Every call ends within about half a minute. The library reconnects by itself; calls that fail meanwhile raise
`BrokerError`.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from kafka import KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    FencedInstanceIdError,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidProducerEpochError,
    InvalidReplicationFactorError,
    InvalidSessionTimeoutError,
    InvalidTransactionTimeoutError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    ProducerFencedError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
    TopicAlreadyExistsError,
    UnsupportedSaslMechanismError,
    UnsupportedVersionError,
)
from kafka.partitioner.default import murmur2

from engines import ConfigError
from engines.undo import undone_on_failure
from pipeline.brokers import (
    COMPACTED_TOPICS,
    LOG_TOPICS,
    MAX_MESSAGE_BYTES,
    PACKETS,
    BrokerError,
    BrokerRefused,
    Fenced,
    Message,
    Record,
)
from pipeline.brokers.chunks import Headers, split
from pipeline.brokers.kafka_probe import check_security

TIMEOUT_S = 25.0
ROOM_BYTES = 64 << 10
"""The maximum that headers and framing add to a message of `MAX_MESSAGE_BYTES`."""
LARGEST_BYTES = MAX_MESSAGE_BYTES + ROOM_BYTES
TRANSACTION_TIMEOUT_S = 15
"""When the cluster aborts the transaction of a dead producer; until then, readers wait for it."""

REFUSALS = (
    AuthorizationError,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidSessionTimeoutError,
    InvalidTransactionTimeoutError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
    UnsupportedVersionError,
)
"""What a cluster answers alike however often it is asked."""
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
FENCED = (CommitFailedError, FencedInstanceIdError, InvalidProducerEpochError, ProducerFencedError)
SECURITY = (
    "security_protocol",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_keyfile",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
)
NUMBERS = ("partitions", "replication", "packets_retention_ms", "masked_retention_ms", "session_timeout_ms")


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of the URL (`?name=value`) or of the caller (keywords), both as text.

    Attributes:
        servers: `host:port` of some brokers.
        topic_prefix: of every topic, group and transactional id.
        partitions, replication: of topics that are created; all topics of a prefix have as many partitions.
        packets_retention_ms: after which unmasked packets are deleted, processed or not.
        masked_retention_ms: after which results are: the longest that a file may take, and a recorder be away.
        compression_type: gzip, snappy, lz4 or zstd; off by default, because packets are compressed video.
        session_timeout_ms: how long a silent member keeps its streams; by default, clusters allow 6 s and more.
        security: TLS and SASL options of the client library, under their own names.
    """

    servers: tuple[str, ...]
    topic_prefix: str = "facewarden."
    partitions: int = 4
    replication: int = 1
    packets_retention_ms: int = 3_600_000
    masked_retention_ms: int = 2 * 86_400_000
    session_timeout_ms: int = 10_000
    compression_type: str | None = None
    security: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str, options: Mapping[str, str]) -> Settings:
        parts = urlsplit(url)
        servers = tuple(server for server in parts.netloc.split(",") if server)
        if not servers or "@" in parts.netloc or parts.path.strip("/"):
            raise ConfigError(
                "--broker: expected kafka://host:9092, or several hosts with commas between; credentials are given by "
                "--broker-option"
            )
        texts = {**dict(parse_qsl(parts.query)), **options}
        known = ("topic_prefix", "compression_type", *NUMBERS, *SECURITY)
        if unknown := sorted(set(texts) - set(known)):
            raise ConfigError(f"kafka: unknown option {', '.join(unknown)}; there are {', '.join(known)}")
        given: dict[str, Any] = {name: texts[name] for name in ("topic_prefix", "compression_type") if name in texts}
        for name in NUMBERS:
            if name in texts:
                if not texts[name].isdecimal() or int(texts[name]) < 1:
                    raise ConfigError(f"kafka: {name} is a whole number above 0, not {texts[name]!r}")
                given[name] = int(texts[name])
        security = {name: texts[name] for name in SECURITY if name in texts}
        check_security(security)
        return cls(servers, security=security, **given)

    @property
    def client(self) -> dict[str, Any]:
        """Arguments of every client."""
        return {
            "bootstrap_servers": list(self.servers),
            "bootstrap_timeout_ms": 10_000,
            "request_timeout_ms": 10_000,
            # A transaction waits this long whenever the previous one is still being completed.
            "retry_backoff_ms": 10,
            "reconnect_backoff_max_ms": 1_000,
            **self.security,
        }

    @property
    def consumer(self) -> dict[str, Any]:
        return {
            **self.client,
            "metrics_enabled": False,
            "isolation_level": "read_committed",
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "fetch_max_bytes": 2 * LARGEST_BYTES,
            "max_partition_fetch_bytes": LARGEST_BYTES,
        }

    @property
    def producer(self) -> dict[str, Any]:
        return {
            **self.client,
            "metrics_enabled": False,
            "compression_type": self.compression_type,
            "max_request_size": LARGEST_BYTES,
            "batch_size": 512 << 10,
            "max_block_ms": 10_000,
            "delivery_timeout_ms": 20_000,
        }

    def open(self, client: Callable[..., Any], **arguments: Any) -> Any:
        """Creates a client of the library once a server answers: a client that fails to connect leaks its thread."""
        for server in self.servers:
            address = urlsplit(f"//{server}")
            with suppress(OSError):
                socket.create_connection((address.hostname, address.port or 9092), timeout=5).close()
                return client(**arguments)
        raise KafkaConnectionError(f"no answer from {', '.join(self.servers)}")

    def topic(self, topic: str) -> str:
        return self.topic_prefix + topic

    def topic_partition(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self.topic(topic), partition)

    def partition(self, stream: str) -> int:
        """The partition of a stream in every topic, by the rule that all Kafka clients use for a key."""
        return int(murmur2(stream.encode()) & 0x7FFFFFFF) % self.partitions


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raises errors of the library as `Fenced` or `BrokerError`. The message begins with `what`."""
    try:
        yield
    except KafkaError as error:
        # After a producer has failed, its next error has the reason as an argument.
        if any(isinstance(reason, FENCED) for reason in (error, *error.args)):
            raise Fenced(f"{what}: somebody else owns it now ({error})") from error
        for reason in (error, *error.args):
            if isinstance(reason, REFUSALS):
                raise BrokerRefused(f"{what}: {words_of(reason)}") from error
        raise BrokerError(f"{what}: Kafka did not answer as expected ({type(error).__name__}: {error})") from error


def words_of(error: BaseException) -> str:
    """A refusal in a sentence, without the request that it answers, which may be long.

    >>> words_of(MessageSizeTooLargeError())
    'Kafka refuses a message as too large; set max.message.bytes of its topics to at least 4259840'
    """
    if isinstance(error, TOO_LARGE):
        advice = f"set max.message.bytes of its topics to at least {LARGEST_BYTES}"
        return f"Kafka refuses a message as too large; {advice}"
    name = type(error).__name__
    if isinstance(error, AuthorizationError):
        rights = "create, describe, read and write its topics, groups and transactional ids"
        return f"Kafka refuses a right ({name}); this user must be allowed to {rights}"
    return f"Kafka refuses it for good ({name}: {str(error).partition('Request')[0][:160].strip()})"


def require_room(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuses topics that somebody made too small for our messages, which would be sent again and again.

    Args:
        found: by topic, its settings as the client library describes them.

    Raises:
        ConfigError: names the setting and what it has to be.
    """
    for name, settings in sorted(found.items()):
        stated = settings.get("max.message.bytes", {}).get("value")
        if stated is not None and int(stated) < LARGEST_BYTES:
            raise ConfigError(
                f"kafka: topic {name} takes messages of at most {stated} bytes; set its max.message.bytes to at least "
                f"{LARGEST_BYTES}, or name another topic_prefix"
            )


def make_topics(settings: Settings) -> int:
    """Creates the topics that are missing.

    Returns: the number of partitions of each topic.

    Raises:
        ConfigError: topics of this prefix exist with differing numbers of partitions, or are too small for a message.
        BrokerRefused: the cluster refuses a right.
    """
    size = {"max.message.bytes": str(LARGEST_BYTES)}
    kept = {
        "cleanup.policy": "compact",
        "segment.ms": "600000",
        "segment.bytes": str(64 << 20),
        "min.cleanable.dirty.ratio": "0.1",
    }
    short = {"retention.ms": str(settings.packets_retention_ms), "segment.ms": "600000"}
    # By age alone: a limit by bytes would cut off the beginning of what is not written yet.
    kept_days = {"retention.ms": str(settings.masked_retention_ms), "retention.bytes": "-1"}
    configs = {topic: {**size, **(short if topic == PACKETS else kept_days)} for topic in LOG_TOPICS}
    configs |= {topic: {**size, **kept} for topic in COMPACTED_TOPICS}
    names = {settings.topic(topic): config for topic, config in configs.items()}
    with translated("creating topics"):
        admin = settings.open(KafkaAdminClient, **settings.client)
        try:
            missing = [
                NewTopic(name, settings.partitions, settings.replication, topic_configs=names[name])
                for name in sorted(set(names) - set(admin.list_topics()))
            ]
            if missing:
                # Several processes of a run open the broker at once.
                with suppress(TopicAlreadyExistsError):
                    admin.create_topics(missing, timeout_ms=10_000)
                admin.wait_for_topics([topic.name for topic in missing])
            require_room(_described(admin, sorted(set(names) - {topic.name for topic in missing})))
            found = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(sorted(names))}
        finally:
            admin.close()
    if len(set(found.values())) != 1:
        raise ConfigError(
            f"kafka: topics must have the same number of partitions, there are {found}; name another prefix"
        )
    return next(iter(found.values()))


def _described(admin: KafkaAdminClient, names: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """Settings of topics; nothing where they may not be read, since then a refusal will say it."""
    try:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        return dict(admin.describe_configs(asked, config_filter="all").get("topic", {})) if asked else {}
    except AuthorizationError:
        return {}


DELETION_S, DELETION_NAP_S = 10.0, 0.05
"""How long the cluster may take to stop listing a deleted topic, and how often it is asked."""


def delete_topics(settings: Settings) -> None:
    """Deletes all topics of this prefix.

    Returns when the cluster no longer lists them: whoever opens the same prefix next would take one that is about to go
    for one that is there.
    """
    wanted = {settings.topic(topic) for topic in (*LOG_TOPICS, *COMPACTED_TOPICS)}
    with translated("deleting topics"):
        admin = settings.open(KafkaAdminClient, **settings.client)
        try:
            there = sorted(wanted & set(admin.list_topics()))
            if there:
                admin.delete_topics(there, timeout_ms=10_000)
            deadline = time.monotonic() + DELETION_S
            while wanted & set(admin.list_topics()) and time.monotonic() < deadline:
                time.sleep(DELETION_NAP_S)
        finally:
            admin.close()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One Kafka record to be sent."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: Headers


def outgoing(settings: Settings, stream: str, messages: Sequence[Message]) -> list[Outgoing]:
    """The records of these messages, with large values in chunks."""
    partition, key = settings.partition(stream), stream.encode()
    return [
        Outgoing(settings.topic(message.topic), partition, key, value, headers)
        for message in messages
        for value, headers in split(message.value, message.headers)
    ]


def hand_out(queue: deque[Record], max_bytes: int) -> list[Record]:
    """Takes records from the queue until they have `max_bytes` or more; at least one if `max_bytes` is positive.

    >>> queue = deque(Record("packets", "walk", offset, offset + 1, b"abcd") for offset in range(5))
    >>> [record.offset for record in hand_out(queue, max_bytes=6)]
    [0, 1]
    """
    records: list[Record] = []
    while queue and max_bytes > 0:
        records.append(queue.popleft())
        max_bytes -= len(records[-1].value)
    return records


def send_all(producer: KafkaProducer, records: Iterable[Outgoing], timeout_s: float = TIMEOUT_S) -> list[int]:
    """Sends records and checks every result, because a transaction may commit without records that were lost.

    Returns: the offset of each record.
    """
    futures = [
        producer.send(r.topic, key=r.key, value=r.value, partition=r.partition, headers=list(r.headers.items()))
        for r in records
    ]
    producer.flush(timeout_s)
    return [future.get(timeout_s).offset for future in futures]


def discard(producer: KafkaProducer) -> None:
    """Closes a producer without waiting for records that it has not sent.

    `close` alone would wait for these, and on a time-out return without having closed anything.
    """
    producer._sender.force_close()
    producer._sender.join(1.0)
    with suppress(KafkaError):
        producer.close(timeout=0)


class Transactions:
    """A producer with a transactional id. It fences the former one of this id, and is discarded after any error."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings, self._name = settings, name
        self._producer: KafkaProducer | None = None

    @property
    def is_open(self) -> bool:
        return self._producer is not None

    def open(self) -> None:
        """Returns when the open transaction of a former producer of this name is committed or aborted."""
        with translated(self._name):
            producer = self._settings.open(
                KafkaProducer,
                transactional_id=self._settings.topic_prefix + self._name,
                transaction_timeout_ms=TRANSACTION_TIMEOUT_S * 1000,
                **self._settings.producer,
            )
            with undone_on_failure(partial(discard, producer)):
                producer.init_transactions()
        self._producer = producer

    def run(
        self, records: Sequence[Outgoing], offsets: Mapping[Any, Any] | None = None, group: Any = None
    ) -> list[int]:
        """Runs one transaction. After an error, whether it was stored is unknown, and `open` has to be called again.

        Returns: the offset of each record.

        Raises:
            Fenced: a newer producer of this name exists, or the group has given the partition away.
        """
        if self._producer is None:
            raise BrokerError(f"{self._name}: an earlier transaction failed")
        until = time.monotonic() + TIMEOUT_S
        with undone_on_failure(self._abort), translated(self._name):
            self._producer.begin_transaction()
            sent = send_all(self._producer, records)
            manager = self._producer._transaction_manager
            # The public methods do the same, but wait for ever while the cluster is unavailable.
            if offsets is not None:
                self._settle(manager.send_offsets_to_transaction(offsets, group), until)
            self._settle(manager.begin_commit(), until)
            return sent

    def _settle(self, result: Any, until: float) -> None:
        self._producer._sender.wakeup()  # type: ignore[union-attr]
        if not result.wait(max(0.0, until - time.monotonic()) * 1000):
            raise KafkaTimeoutError("no answer in time")

    def _abort(self) -> None:
        """Aborts the transaction if the cluster answers, so that readers need not wait for its time-out."""
        with suppress(KafkaError):
            self._settle(self._producer._transaction_manager.begin_abort(), time.monotonic() + 1)  # type: ignore[union-attr]
        self.close()

    def close(self) -> None:
        if self._producer is not None:
            discard(self._producer)
            self._producer = None
