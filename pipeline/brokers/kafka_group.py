"""A consumer of `packets` as a static member of the group, and its identity there."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer
from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import KafkaError
from kafka.structs import MemberState, OffsetAndMetadata

from pipeline.brokers import PACKETS
from pipeline.brokers.kafka_client import Settings, translated

JOIN_MS = 1000
"""How long a poll lasts at the least while the group is being rearranged: an answer that comes between two is lost."""


class GroupConsumer:
    """Joins at its first poll; `listener` hears of the rebalances from inside of `poll`.

    Attributes:
        membership: name, member id and generation in the group, None before the first poll.
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
                # Whole at every step. A cooperative one moves partitions in two, and a static member that is started
                # anew between them is given its half-way share back for good: nobody would ever own the rest.
                partition_assignment_strategy=[RoundRobinPartitionAssignor],
                **settings.consumer,
            )
            # Joining without knowing the partitions would be joining twice.
            self._consumer.partitions_for_topic(settings.topic(PACKETS))
            self._consumer.subscribe([settings.topic(PACKETS)], listener=listener)

    @property
    def has_generation(self) -> bool:
        """Whether the group would notice that it is a former member's; it takes a commit without one from anybody."""
        return self.membership is not None and self.membership.generation_id >= 0

    def poll(self, wait_ms: int) -> dict[int, list[Any]]:
        """What has arrived, by partition; `update_membership` has to follow."""
        joined = self._consumer.group_metadata().state is MemberState.STABLE
        batches = self._consumer.poll(timeout_ms=wait_ms if joined else max(wait_ms, JOIN_MS))
        return {place.partition: batch for place, batch in batches.items()}

    def update_membership(self) -> None:
        # A generation that comes between two polls must not commit for what it no longer includes.
        self.membership = self._consumer.group_metadata()
        coordinator = self._consumer._coordinator
        if self.membership.state is MemberState.REBALANCING and not coordinator.need_rejoin():
            # The library has let the answer to a join go by, and would neither ask again nor send heartbeats.
            coordinator.request_rejoin()

    def prove_membership(self, partition: int, offset: int) -> None:
        """Asks the group whether this is still the member of its name: opening a producer would fence a newer one."""
        place = self._settings.place(PACKETS, partition)
        with translated(self._name):
            self._consumer.commit({place: OffsetAndMetadata(offset, "", -1)}, timeout_ms=10_000)

    def position(self, partition: int) -> int | None:
        position: int | None = self._consumer.position(self._settings.place(PACKETS, partition), timeout_ms=10_000)
        return position

    def committed(self, partition: int) -> int | None:
        committed: int | None = self._consumer.committed(self._settings.place(PACKETS, partition), timeout_ms=10_000)
        return committed

    def seek(self, partition: int, offset: int | None) -> None:
        place = self._settings.place(PACKETS, partition)
        if offset is None:
            self._consumer.seek_to_beginning(place)
        else:
            self._consumer.seek(place, offset)

    def close(self, *, leave: bool) -> None:
        """Closes it, and gives its partitions to others at once if it leaves."""
        with suppress(KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=1000)
        if leave and self.membership is not None and self.membership.member_id:
            # A static member does not leave by closing. With both ids this cannot hit a newer self.
            with suppress(KafkaError):
                admin = self._settings.open(KafkaAdminClient, **self._settings.client)
                admin.remove_group_members(self._group_id, [MemberToRemove(self.membership.member_id, self._name)])
                admin.close()
