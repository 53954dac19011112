"""A worker of the consumer group: it serves the streams assigned to it and commits their output."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from kafka.errors import AuthorizationError, FencedInstanceIdError, KafkaError

from pipeline.brokers import BrokerError, Fenced, Message, Record
from pipeline.brokers.kafka_assignment import Assignment
from pipeline.brokers.kafka_client import Settings
from pipeline.brokers.kafka_commits import Commits
from pipeline.brokers.kafka_group import GroupConsumer
from pipeline.brokers.kafka_table import Entry

log = logging.getLogger(__name__)

OUTAGE_NAP_S = 0.2


class KafkaMember:
    """A static member of the group. Its name is the instance id: a restarted one takes over without a rebalance.

    Once another member joins under its name, it is inert: it polls nothing, and its commits are fenced. `send` checks
    ownership in this process only: a former owner that has not yet learned of its loss may still append until its
    session times out.
    """

    def __init__(self, settings: Settings, group: str, name: str, streams: str = "") -> None:
        self._settings, self._name = settings, name
        self._inert = False
        self._assignment = Assignment(settings.partition, streams)
        self._commits = Commits(settings, group, name)
        self._consumer = GroupConsumer(settings, group, name, self._assignment)

    def poll(self, timeout_s: float, *, max_bytes: int = 8 << 20) -> list[Record]:
        """During an outage or a rebalance it returns nothing and may take some seconds.

        Raises:
            BrokerError: the cluster refuses this client.
        """
        until = time.monotonic() + timeout_s
        while self._assignment.is_queue_empty:
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
        return self._assignment.hand_out(max_bytes)

    def _fetch(self, wait_s: float) -> None:
        wait_ms = 1 if self._assignment.is_rewinding else max(1, int(wait_s * 1000))
        for partition, batch in self._consumer.poll(wait_ms).items():
            self._assignment.arrive(partition, batch)
        self._consumer.update_membership()
        if self._assignment.needs_load:
            self._load()
        self._assignment.enqueue()

    def _load(self) -> None:
        if not self._commits.is_open:
            if owned := self._assignment.owned:
                self._consumer.prove_membership(owned[0], self._assignment.offset(owned[0], {}))
            self._commits.open()
        self._assignment.load(self._commits.committed_entries(self._assignment.partitions), self._consumer)

    def streams(self) -> frozenset[str]:
        return self._assignment.streams()

    def state(self, stream: str) -> bytes | None:
        return self._commits.state(stream)

    def commit(
        self, stream: str, messages: Sequence[Message], state: bytes, *, resume_offset: int, ended: bool = False
    ) -> None:
        self._check(stream)
        if ended:
            # Nobody resumes this stream: everything that was handed out is settled.
            resume_offset = max(resume_offset, self._assignment.handed(stream))
        entry = Entry(state, resume_offset, ended)
        offset = self._assignment.offset(self._settings.partition(stream), {stream: resume_offset})
        try:
            self._commits.store(stream, messages, entry, offset, self._consumer.membership)
        except BrokerError as error:
            self._fail(stream, error)
            raise
        self._assignment.note_commit(stream, resume_offset=resume_offset, ended=ended)

    def send(self, stream: str, messages: Sequence[Message]) -> None:
        self._check(stream)
        try:
            self._commits.send(stream, messages)
        except BrokerError as error:
            self._fail(stream, error)
            raise

    def _check(self, stream: str) -> None:
        if not (self._consumer.has_generation and self._assignment.may_commit(stream)):
            raise Fenced(f"{stream}: {self._name} does not own it; drop what is in memory of it")

    def _fail(self, stream: str, error: BrokerError) -> None:
        self.rewind(stream)
        if isinstance(error, Fenced):
            self._assignment.hide(stream)
            self._retire_after(error)

    def _retire_after(self, error: Exception) -> bool:
        """Whether this member has to stop because another one has joined under its name."""
        if isinstance(error, FencedInstanceIdError) or isinstance(error.__cause__, FencedInstanceIdError):
            log.warning("%s: another member has joined under this name; this one stops", self._name)
            self._inert = True
            self._assignment.give_up()
        return self._inert

    def rewind(self, stream: str) -> None:
        self._assignment.rewind(stream)

    def close(self) -> None:
        self._commits.close()
        self._consumer.close(leave=not self._inert)
