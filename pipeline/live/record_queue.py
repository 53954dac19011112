"""The records of one stream that came in and were not worked on yet."""

from __future__ import annotations

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

    def __len__(self) -> int:
        """How many records wait to be worked on."""
        return len(self._records) + (self.closing is not None)

    def peek(self) -> QueuedRecord | None:
        """The next record; None where there is none, or an epoch has to be closed first."""
        return self._records[0] if self._records and self.closing is None else None

    def pop(self) -> None:
        self._records.popleft()
