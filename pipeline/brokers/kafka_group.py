"""A consumer of `packets` that is a static member of the group, and its identity in the group."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import KafkaError
from kafka.structs import MemberState, OffsetAndMetadata

from pipeline.brokers import PACKETS
from pipeline.brokers.kafka_client import Settings, translated

JOIN_MS = 1000
"""The shortest poll during a rebalance: a response that arrives between two polls is lost."""


class GroupConsumer:
    """Joins the group at its first poll. `listener` is called on rebalances, from inside `poll`.

    Attributes:
        membership: the library's group metadata (member id, generation), None before the first poll.
    """

    def __init__(self, settings: Settings, group: str, name: str, listener: ConsumerRebalanceListener) -> None:
        self._settings, self._name = settings, name
        self._group_id = settings.topic_prefix + group
        self.membership: Any = None
        with translated(name):
            self._consumer = settings.open(
                KafkaConsumer,
                group_id=self._group_id,
                group_instance_id=name,
                session_timeout_ms=settings.session_timeout_ms,
                heartbeat_interval_ms=min(1000, settings.session_timeout_ms // 3),
                max_poll_interval_ms=120_000,
                # Every rebalance assigns all partitions. A cooperative assignor moves a partition in two rebalances; a
                # static member that restarts between the two gets its intermediate share back and keeps it, and the
                # remaining partitions would never have an owner.
                partition_assignment_strategy=[RoundRobinPartitionAssignor],
                **settings.consumer,
            )
            # A member that joins before it knows the topic's partitions has to join twice.
            self._consumer.partitions_for_topic(settings.topic(PACKETS))
            self._consumer.subscribe([settings.topic(PACKETS)], listener=listener)

    @property
    def has_generation(self) -> bool:
        """Whether the group can check this member's commits: it accepts a commit without a generation from anybody."""
        return self.membership is not None and self.membership.generation_id >= 0

    def poll(self, wait_ms: int) -> dict[int, list[Any]]:
        """Records that have arrived, by partition. Call `update_membership` after it."""
        joined = self._consumer.group_metadata().state is MemberState.STABLE
        batches = self._consumer.poll(timeout_ms=wait_ms if joined else max(wait_ms, JOIN_MS))
        return {topic_partition.partition: batch for topic_partition, batch in batches.items()}

    def update_membership(self) -> None:
        """Takes over the generation of the last poll, and repairs a join that the library has lost."""
        # Only here: a generation that begins between two polls must not be used to commit for partitions that it no
        # longer includes.
        self.membership = self._consumer.group_metadata()
        coordinator = self._consumer._coordinator
        if self.membership.state is MemberState.REBALANCING and not coordinator.need_rejoin():
            # The library has missed the response to a join, and would neither join again nor send heartbeats.
            coordinator.request_rejoin()

    def prove_membership(self, partition: int, offset: int) -> None:
        """Checks with a commit that the group has no newer member of this name: opening a producer would fence it."""
        offsets = {self._packets(partition): OffsetAndMetadata(offset, "", -1)}
        with translated(self._name):
            self._consumer.commit(offsets, timeout_ms=10_000)

    def position(self, partition: int) -> int | None:
        position: int | None = self._consumer.position(self._packets(partition), timeout_ms=10_000)
        return position

    def committed(self, partition: int) -> int | None:
        committed: int | None = self._consumer.committed(self._packets(partition), timeout_ms=10_000)
        return committed

    def seek(self, partition: int, offset: int | None) -> None:
        if offset is None:
            self._consumer.seek_to_beginning(self._packets(partition))
        else:
            self._consumer.seek(self._packets(partition), offset)

    def _packets(self, partition: int) -> TopicPartition:
        return self._settings.topic_partition(PACKETS, partition)

    def close(self, *, leave: bool) -> None:
        """Closes the consumer. With `leave`, the group assigns its partitions to other members at once."""
        with suppress(KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=1000)
        if leave and self.membership is not None and self.membership.member_id:
            # A static member does not leave by closing. Both ids are given, so that this cannot remove a newer member
            # of the same name.
            with suppress(KafkaError):
                admin = self._settings.open(KafkaAdminClient, **self._settings.client)
                admin.remove_group_members(self._group_id, [MemberToRemove(self.membership.member_id, self._name)])
                admin.close()
