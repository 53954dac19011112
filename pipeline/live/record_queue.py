"""The records of one stream that came in and were not worked on yet."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from engines import StreamError
from pipeline.brokers import Record
from pipeline.wire import StreamRecord


@dataclass(frozen=True, slots=True)
class QueuedRecord:
    """A record, and where it stands in `packets`."""

    body: StreamRecord
    offset: int
    next_offset: int


HUNGRY_S = 0.5


class RecordQueue:
    """Records in turn.

    Attributes:
        newest: epoch and pts of the picture that came in last.
        received_us: when that was received from a camera, Unix time; 0 where unknown. By it a live stream's lag is
            measured, else by `newest`.
        closing: the head or end that follows all that is in work; nothing after it is taken before it.
    """

    def __init__(self, stream: str) -> None:
        self.newest = (-1, 0)
        self.received_us = 0
        self.closing: QueuedRecord | None = None
        self._stream = stream
        self._records: deque[QueuedRecord] = deque()
        self._fed: int | None = None

    def add(self, record: Record, *, border: int) -> None:
        """Takes the stream's next record.

        Args:
            border: the first may be at most this packet, what lies below is settled.

        Raises:
            StreamError: it is not the next one; the stream has to begin again.
        """
        body = StreamRecord.FromString(record.value)
        if body.HasField("packet"):
            first, number = self._fed is None, body.packet.number
            if number > border if first else number != (self._fed or 0) + 1:
                raise StreamError(f"{self._stream}: packet {number} is out of turn, after packet {self._fed}")
            self._fed = body.packet.number
            if body.packet.track == 0 and body.packet.HasField("pts"):
                self.newest = (body.packet.epoch, body.packet.pts)
            if body.packet.track == 0:
                self.received_us = body.packet.received_us
        self._records.append(QueuedRecord(body, record.offset, record.next_offset))

    @property
    def fed(self) -> int:
        """The number after the last packet that came in; 0 before the first."""
        return 0 if self._fed is None else self._fed + 1

    def __len__(self) -> int:
        """How many records wait to be worked on."""
        return len(self._records) + (self.closing is not None)

    def peek(self) -> QueuedRecord | None:
        """The next record; None where there is none, or an epoch has to be closed first."""
        return self._records[0] if self._records and self.closing is None else None

    def pop(self) -> None:
        self._records.popleft()


class Hunger:
    """Whether a stream's owner has had nothing to do for a while, so that ingest has to be told: it may be waiting for
    this stream, and this stream for more than it may write.

    Args:
        live_packets: of a camera, which waits for nobody, only where so many are not settled.
    """

    def __init__(self, live_packets: int) -> None:
        self._live_packets = live_packets
        self._since: float | None = None
        self._told = 0

    def asks(self, queue: RecordQueue, border: int, *, works: bool, live: bool) -> bool:
        """Whether to tell now that all packets of the queue were taken in, of which those below the border are settled.

        Args:
            works: there is something to do.
            live: the stream is a camera's.
        """
        if works or queue.closing is not None:
            self._since = None
            return False
        self._since = self._since or time.monotonic()
        fed = queue.fed
        hungry = time.monotonic() - self._since > HUNGRY_S and fed > max(self._told, border)
        if not hungry or (live and fed - border <= self._live_packets):
            return False
        self._told = fed
        return True
