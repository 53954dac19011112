"""The one resume primitive: what is committed with each unit, and suffices for whoever takes the stream over.

They decode from `resume_offset`, suppress what lies below `settled_below` and what is `settled`, and open a new epoch
of the output with an IDR at `next_index`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.wire import Head, Ledger, StreamState


@dataclass(frozen=True, slots=True)
class OutputPoint:
    """Where the masked output is.

    Attributes:
        epoch: of its records.
        anew: the frame at `next_index` begins a new clock.
        encoder_clock: see `EncoderClock`.
    """

    epoch: int = 0
    anew: bool = False
    encoder_clock: bytes = b""


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """The state of a stream between two units.

    Attributes:
        next_index: of the next frame that is put out.
        epoch_index: frames put out since the source's head; what an untimed source counts by.
        last_pts: of the frame before `next_index`; None at the beginning of an epoch.
        scene_s: of the same frame, see `SceneClock`; None with `last_pts`.
        resume_offset: in `packets`: where decoding begins.
        source: the head in force there; None before the first one, and after the end.
        settled_below, settled: packets that are accounted for, all below a number and some above it.
        operators: what operators remember, by step.
        ended: all of the stream is committed.
        reached: packets below it were taken in, and no unit can end with them alone: ingest may go on.

    >>> ResumePoint.from_bytes(ResumePoint(next_index=7, settled=(9,)).to_bytes()).settled
    (9,)
    """

    next_index: int = 0
    epoch_index: int = 0
    last_pts: int | None = None
    scene_s: float | None = None
    resume_offset: int = 0
    source: Head | None = None
    settled_below: int = 0
    settled: tuple[int, ...] = ()
    operators: Mapping[str, bytes] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    output: OutputPoint = OutputPoint()
    ended: bool = False
    reached: int = 0

    @classmethod
    def from_bytes(cls, stored: bytes | None) -> ResumePoint:
        """What a member has stored of the stream; the beginning if that is nothing."""
        state = StreamState.FromString(stored or b"")
        return cls(
            next_index=state.next_index,
            epoch_index=state.epoch_index,
            last_pts=state.last_pts if state.epoch_index else None,
            scene_s=state.scene_s if state.HasField("scene_s") else None,
            resume_offset=state.resume_offset,
            source=state.source if state.HasField("source") else None,
            settled_below=state.settled_below,
            settled=tuple(state.settled),
            operators=dict(state.operators),
            ledger=state.ledger,
            output=OutputPoint(state.epoch, state.anew, state.encoder_clock),
            ended=state.ended,
            reached=state.reached,
        )

    def to_bytes(self) -> bytes:
        state = StreamState(
            next_index=self.next_index,
            epoch_index=self.epoch_index,
            last_pts=self.last_pts or 0,
            scene_s=self.scene_s,
            resume_offset=self.resume_offset,
            source=self.source,
            settled_below=self.settled_below,
            settled=self.settled,
            operators=dict(self.operators),
            ledger=self.ledger,
            epoch=self.output.epoch,
            anew=self.output.anew,
            encoder_clock=self.output.encoder_clock,
            ended=self.ended,
            reached=self.reached,
        )
        return state.SerializeToString()


STEP_PACKETS = 64
"""How exactly is known where packets stand that are no keyframes."""


@dataclass(frozen=True, slots=True)
class DecodeMark:
    """Where decoding can begin: the offset and number of a packet, and the head in force there."""

    offset: int
    number: int
    head: Head


STEP_PACKETS = 64
"""How exactly is known where packets stand that are no keyframes."""


class DecodeMarks:
    """Where in the source's epoch a takeover can begin: two keyframes before the border, for leading pictures and
    intra-refresh need what came before a keyframe. All packets from there on are kept, so it lies within a bound; where
    no keyframe does, a takeover begins between them, and shows nothing before the next one.

    Args:
        max_packets, max_bytes: of settled packets that may be kept.
    """

    def __init__(self, first: DecodeMark, *, max_packets: int = 1 << 62, max_bytes: int = 1 << 62) -> None:
        self._max_packets, self._max_bytes = max_packets, max_bytes
        self._marks, self._steps = deque([_Place(first, first.number, 0)]), deque([_Place(first, first.number, 0)])
        self._bytes, self._fresh = 0, True

    def add(self, mark: DecodeMark, *, key: bool = True, size: int = 0) -> None:
        """Takes note of a packet, of so many bytes, that stands there."""
        if self._fresh:  # the first: whoever took over did not know its number
            self._fresh = False
            self._marks[0].number = self._steps[0].number = max(mark.number, self._marks[0].number)
        place = _Place(mark, mark.number, self._bytes)
        if key:
            self._marks.append(place)
        if mark.number >= self._steps[-1].number + STEP_PACKETS:
            self._steps.append(place)
        self._bytes += size

    def resume_at(self, border: int) -> DecodeMark:
        """Where to begin, when packets below the border are settled.

        >>> marks = DecodeMarks(DecodeMark(0, 0, Head()))
        >>> for number in (10, 20, 30):
        ...     marks.add(DecodeMark(number, number, Head()))
        >>> marks.resume_at(25).number
        10
        """
        while len(self._marks) > 2 and self._marks[2].mark.number <= border:
            self._marks.popleft()
        while len(self._steps) > 1 and self._steps[1].number <= border:
            self._steps.popleft()
        latest = self._steps[0]
        for place in self._marks:
            near = border - place.number <= self._max_packets and latest.before - place.before <= self._max_bytes
            if near and (place is self._marks[0] or place.number <= border):
                return place.mark
        return latest.mark


@dataclass(slots=True)
class _Place:
    """A mark with its packet's true number, and how many bytes came before it."""

    mark: DecodeMark
    number: int
    before: int
