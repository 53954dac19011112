"""An owner of streams in memory: it serves the records it was given, and keeps what is committed and sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.brokers import PACKETS, BrokerError, Fenced, Message, Record
from pipeline.wire import End, Head, Ledger, Packet, StreamRecord, StreamState


@dataclass(frozen=True, slots=True)
class Commit:
    """What was stored as one."""

    stream: str
    messages: tuple[Message, ...]
    state: StreamState
    resume_offset: int
    ended: bool


class ScriptedMember:
    """A `Member` that is the only one.

    Args:
        records: what `packets` holds of each stream.

    Attributes:
        commits: all of them, in order.
        sent: what went ahead of a commit, by stream.
        refusals: raised by the next commits, in order.
        lost: streams that somebody else owns now.
        rewound: how often each stream was rewound.
        polls: how often it was asked for records.
    """

    def __init__(self, records: Mapping[str, Sequence[StreamRecord]] | None = None) -> None:
        self.commits: list[Commit] = []
        self.sent: defaultdict[str, list[Message]] = defaultdict(list)
        self.refusals: list[BrokerError] = []
        self.lost: set[str] = set()
        self.rewound: Counter[str] = Counter()
        self.polls = 0
        self._records = {stream: list(held) for stream, held in (records or {}).items()}
        self._next: Counter[str] = Counter()

    def poll(self, timeout_s: float, *, max_bytes: int = 0) -> list[Record]:  # noqa: ARG002
        self.polls += 1
        found = []
        for stream in self.streams():
            for offset in range(self._next[stream], len(self._records[stream])):
                value = self._records[stream][offset].SerializeToString()
                found.append(Record(PACKETS, stream, offset, offset + 1, value))
            self._next[stream] = len(self._records[stream])
        return sorted(found, key=lambda record: record.stream)

    def more(self, stream: str, records: Sequence[StreamRecord]) -> None:
        """Has `packets` hold these too."""
        self._records[stream] += records

    def streams(self) -> frozenset[str]:
        ended = {commit.stream for commit in self.commits if commit.ended}
        return frozenset(self._records.keys() - self.lost - ended)

    def state(self, stream: str) -> bytes | None:
        stored = self.stored(stream)
        return stored.state.SerializeToString() if stored is not None else None

    def stored(self, stream: str) -> Commit | None:
        """The last commit of a stream."""
        return next((commit for commit in reversed(self.commits) if commit.stream == stream), None)

    def commit(
        self, stream: str, messages: Sequence[Message], state: bytes, *, resume_offset: int, ended: bool = False
    ) -> None:
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, Fenced):
                self.lost.add(stream)
            else:
                self.rewind(stream)
            raise refusal
        self.commits.append(Commit(stream, tuple(messages), StreamState.FromString(state), resume_offset, ended))

    def send(self, stream: str, messages: Sequence[Message]) -> None:
        self.sent[stream] += messages

    def rewind(self, stream: str) -> None:
        stored = self.stored(stream)
        self.rewound[stream] += 1
        self._next[stream] = stored.resume_offset if stored is not None else 0

    def close(self) -> None: ...


def stream_of(head: Head, packets: Iterable[Packet], *, reason: str = "") -> list[StreamRecord]:
    """What ingest writes of a source."""
    held = list(packets)
    end = End(ledger=Ledger(packets=sum(packet.track == 0 for packet in held)), reason=reason)
    return [StreamRecord(head=head), *(StreamRecord(packet=packet) for packet in held), StreamRecord(end=end)]
