"""How far a source may be read ahead of the workers: what lies between them is clear pictures on a disk."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress

from engines import StreamError
from pipeline.brokers import STATE, Broker, BrokerError
from pipeline.live.events import Emit, Event, EventKind
from pipeline.wire import StreamState

LOOK_EVERY_S, SAY_AFTER_S = 0.02, 30.0
MOST_UNSETTLED = 4
"""Workers that took in everything and can end no unit with it are given more, up to so many times the bytes."""


class NeverSettled(StreamError):
    """Workers that took in a great deal of a stream can still end no unit with it."""


class Backlog:
    """What was written of one stream and is not settled yet.

    Workers that stand are never written past: neither by packets nor by bytes. Workers that have taken in everything
    and still cannot end a unit, as with an hour of sound between two pictures, say so, and are given more.

    Args:
        broker: knows how far the workers are.
        stream: its name.
        max_packets, max_bytes: how far ahead of them.
        emit: gets an event where they are waited for long.
    """

    def __init__(self, broker: Broker, stream: str, max_packets: int, max_bytes: int, emit: Emit) -> None:
        self._broker, self._stream, self._emit = broker, stream, emit
        self._max_packets, self._max_bytes = max_packets, max_bytes
        self._sizes: deque[tuple[int, int]] = deque()  # numbers that packets end before, and bytes
        self._next = 0
        self._settled = self._reached = 0

    def add(self, next_number: int, size: int) -> None:
        """Packets up to that number are being written, with so many bytes."""
        if next_number > self._next:
            self._next = next_number
            self._sizes.append((next_number, size))

    @property
    def words(self) -> str:
        """How far the workers are behind."""
        return f"the workers are {self._next - self._settled} packets behind"

    def has_room(self) -> bool:
        """Whether more may be written now. Workers are looked at only where there may be little room."""
        if self._fits(self._max_packets // 2, self._max_bytes // 2):
            return True
        self._look()
        while self._sizes and self._sizes[0][0] <= self._settled:
            self._sizes.popleft()
        within = self._unsettled_bytes <= MOST_UNSETTLED * self._max_bytes
        return within and self._fits(self._max_packets, self._max_bytes)

    def _fits(self, packets: int, size: int) -> bool:
        """Whether no more than that is ahead of the workers; a single batch of large packets always may be."""
        taken = max(self._settled, self._reached)
        waiting = [written for number, written in self._sizes if number > taken]
        return self._next - taken <= packets and (len(waiting) < 2 or sum(waiting) <= size)

    def wait(self) -> None:
        """Until there is room, for as long as it takes; says so now and then.

        Raises:
            NeverSettled: there will be none, whatever the workers do.
        """
        since = time.monotonic()
        while not self.has_room():
            if self._unsettled_bytes > MOST_UNSETTLED * self._max_bytes:
                raise NeverSettled(f"no unit of it ends within {self._unsettled_bytes >> 20} MB; raise `backlog_mb`")
            time.sleep(LOOK_EVERY_S)
            if time.monotonic() - since > SAY_AFTER_S:
                since = time.monotonic()
                self._emit(Event(EventKind.WAITING, f"for workers: {self.words}", self._stream))

    @property
    def _unsettled_bytes(self) -> int:
        return sum(size for _, size in self._sizes)

    def _look(self) -> None:
        """Not at what the broker still stores: that reaches back by two GOPs, however long."""
        with suppress(BrokerError):  # what is known from before holds the reading back a little longer, no more
            stored = self._broker.latest(STATE, self._stream)
            state = StreamState.FromString(stored) if stored else StreamState()
            self._settled, self._reached = state.settled_below, state.reached
