"""One place to store messages, once as a SQLite file and once as a Kafka cluster."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.brokers import PACKETS, Broker, Member, Message, Reader, Record, Writer, open_broker
from tests.kafka_node import KafkaNode, start_node


@dataclass
class Place:
    """Where brokers are opened, and what has been opened there.

    Attributes:
        silent_s: how long a silent member keeps its streams.
        node: the Kafka node, if it is this test session's own.
    """

    url: str
    options: dict[str, str]
    silent_s: float
    node: KafkaNode | None = None
    opened: ExitStack = field(default_factory=ExitStack)

    @property
    def is_kafka(self) -> bool:
        return self.url.startswith("kafka://")

    def broker(self) -> Broker:
        return self.opened.enter_context(closing(open_broker(self.url, **self.options)))

    def writer(self, name: str = "ingest") -> Writer:
        return self.opened.enter_context(closing(self.broker().writer(name)))

    def member(self, name: str = "one") -> Member:
        return self.opened.enter_context(closing(self.broker().member("group", name)))

    def reader(self, topic: str, stream: str = "cam", offset: int = 0) -> Reader:
        return self.opened.enter_context(closing(self.broker().reader(topic, stream, offset)))


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaNode | None]:
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield None
    else:
        node = start_node(tmp_path_factory.mktemp("kafka"))
        yield node
        node.stop()


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        url = f"sqlite://{tmp_path}/store/facewarden.db"
        found = Place(url, {"lease_s": "0.6"}, silent_s=0.6)
    else:
        node: KafkaNode | None = request.getfixturevalue("node")
        servers = node.servers if node else os.environ["KAFKA_BOOTSTRAP_SERVERS"]
        prefix = f"test.{uuid.uuid4().hex[:8]}."
        options = {"topic_prefix": prefix, "partitions": "2", "session_timeout_ms": "6000"}
        found = Place(f"kafka://{servers}", options, silent_s=6, node=node)
    with found.opened:
        yield found


def messages(*values: bytes, topic: str = PACKETS) -> list[Message]:
    return [Message(topic, value) for value in values]


def numbered(first: int, last: int) -> list[bytes]:
    """`last` is not among them."""
    return [b"%d" % number for number in range(first, last)]


def collect(poll: Callable[[float], list[Record]], count: int, patience_s: float = 30) -> list[Record]:
    """Polls until `count` records are there, or for as long as patience lasts."""
    found: list[Record] = []
    until = time.monotonic() + patience_s
    while len(found) < count and time.monotonic() < until:
        found += poll(0.1)
    return found


def poll_both(one: Member, two: Member, enough: Callable[[], bool], patience_s: float = 30) -> None:
    """Lets two members poll side by side, as processes do, until it is enough."""
    until = time.monotonic() + patience_s
    with ThreadPoolExecutor(2) as pool:
        while not enough() and time.monotonic() < until:
            list(pool.map(lambda member: member.poll(0.1), (one, two)))


def values(records: list[Record]) -> list[bytes]:
    return [record.value for record in records]
