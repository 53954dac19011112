"""The work on one stream: packets in, masked packets and reports out, by one resume primitive.

A `StreamWork` decodes continuously and commits in units. What it has not committed is forgotten with it: whoever
makes a new one from the committed state decodes from the resume offset, suppresses packets that are settled, and
opens a new epoch with an IDR at `next_index`. So the same code serves a first start, a killed actor, a lost lease, a
broker that failed in a commit and a decoder that crashed.

    RecordQueue ─> Intake (decoder) ─> LookAhead (operators) ─> Release (covers, fate) ─> MaskedOutput (encoder)
                                                    PacketLedger, StreamReports, ResumePoint ─> commit
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from operators import Operator
from operators.frame import Frame
from pipeline.brokers import Member, Record
from pipeline.config import Config
from pipeline.jail.parent import JailLimits
from pipeline.live import frame_report
from pipeline.live.frame_report import StreamReports
from pipeline.live.ledger import PacketLedger
from pipeline.live.lookahead import LATE_S, LookAhead, PendingFrame
from pipeline.live.masked_output import MaskedOutput
from pipeline.live.record_queue import QueuedRecord, RecordQueue
from pipeline.live.release import Release, attempt
from pipeline.live.resume import DecodeMark, DecodeMarks, ResumePoint
from pipeline.live.unit_cuts import UnitCuts
from pipeline.media import slot_count
from pipeline.media.clock import FrameClock
from pipeline.media.intake import Intake, NeverShown, PacketLost, PacketOutcome, PictureCame
from pipeline.wire import End, Head, Packet

HELD_SLOTS = 2
"""Slots that are not for frames since the last look: of the frame that is looked at, and of the one that comes."""


@dataclass(slots=True)
class SourceEpoch:
    """What belongs to one unbroken run of the source's encoder."""

    head: Head
    intake: Intake
    clock: FrameClock
    marks: DecodeMarks
    index: int
    cuts: UnitCuts = field(default_factory=UnitCuts)
    shape: tuple[Any, ...] | None = None
    counted_ms: float = 0.0


class StreamWork:
    """Works on one stream for as long as its owner owns it.

    Args:
        stream: its name.
        member: the owner; `commit` and `send` go through it.
        operators: opened steps by name; shared with other streams, state is keyed by stream.
        config: the run's.
        deaths: how often decoders died on packets, see `Intake`.

    Attributes:
        ended: all of it is committed.
        decodes: a picture has come out of its decoder.
    """

    def __init__(
        self,
        stream: str,
        member: Member,
        operators: Mapping[str, Operator],
        config: Config,
        deaths: Mapping[int, int],
    ) -> None:
        self.stream = stream
        self.ended = False
        self.decodes = False
        self._member, self._config, self._deaths = member, config, deaths
        self._point = ResumePoint.from_bytes(member.state(stream))
        self._queue = RecordQueue(stream)
        self._ledger = PacketLedger(self._point)
        self._reports = StreamReports()
        self._lookahead = LookAhead(stream, operators, self._ledger.timed)
        self._output = MaskedOutput(config.encode, self._point)
        self._release = Release(self._lookahead, self._output, config.on_failure, self._ledger.timed)
        self._source: SourceEpoch | None = None
        with ExitStack() as undo:
            undo.callback(self.close)
            self._lookahead.begin(self._point.operators)
            if self._point.source is not None:
                self._open(self._point.source, DecodeMark(self._point.resume_offset, 0, self._point.source))
                # No two encoder runs may share an epoch, so its number is stored before anything is sent under it.
                self._commit(self._point.operators)
            undo.pop_all()

    # -- for the worker ----------------------------------------------------------------------------

    def feed(self, record: Record) -> None:
        """Takes the stream's next record from `packets`.

        Raises:
            StreamError: it is not the next one; the stream has to begin again.
        """
        self._queue.add(record, border=self._ledger.border)

    def pump(self, timeout_s: float) -> bool:
        """Moves on as far as it goes without waiting longer than that; true if anything moved.

        Raises:
            Fenced, BrokerError: from the commit; this object must be dropped.
            FrameError: the decoder died; drop this object and make a new one, after the stream was rewound.
        """
        moved = self._send_packets()
        if self._source is not None:
            # Of a live stream one at a time: what comes in meanwhile says how late the next one is.
            for outcome in self._source.intake.outcomes(timeout_s, max_pictures=1 if self.live else None):
                moved = True
                self._account_for(outcome)
                self._release_due()
        if self._queue.closing is not None and (self._source is None or self._source.intake.done):
            self._close_epoch(self._queue.closing)
            moved = True
        return moved

    @property
    def queued(self) -> int:
        """How many records wait to be worked on."""
        return len(self._queue)

    @property
    def busy(self) -> bool:
        """A decoder is at work, or a picture that came out of it waits."""
        return self._source is not None and self._source.intake.busy

    @property
    def suspect(self) -> int | None:
        """Number of the packet on which the decoder died, or is at work."""
        return self._source.intake.suspect if self._source is not None else None

    @property
    def live(self) -> bool:
        """A camera shows it right now."""
        return self._source is not None and self._source.head.live

    def close(self) -> None:
        """Lets go of the child process and of what operators remember. Nothing is committed."""
        if self._source is not None:
            self._source.intake.close()
        self._lookahead.forget()

    # -- records in --------------------------------------------------------------------------------

    def _send_packets(self) -> bool:
        moved = False
        while (record := self._queue.peek()) is not None:
            kind = record.body.WhichOneof("body")
            if kind == "packet" and record.body.packet.track == 0:
                if self._epoch.intake.full:
                    break
                self._send(record.body.packet, record.offset)
            elif kind == "packet":
                self._ledger.expect_audio(record.body.packet)
                self._pass_audio()
            elif not self._is_known(record.body.head if kind == "head" else None):
                self._queue.closing = record
                if self._source is not None:
                    self._source.intake.finish()
            self._queue.pop()
            moved = True
        return moved

    def _is_known(self, head: Head | None) -> bool:
        """A takeover begins at the head that it already has from its state."""
        return head is not None and self._source is not None and head.epoch == self._source.head.epoch

    def _send(self, packet: Packet, offset: int) -> None:
        source = self._epoch
        if packet.key:
            source.marks.add(DecodeMark(offset, packet.number, source.head))
        with self._ledger.timed("transport"):
            lost = source.intake.send(packet, settled=self._ledger.is_settled(packet.number))
        if lost is not None:
            self._account_for(lost)

    # -- epochs of the source ----------------------------------------------------------------------

    @property
    def _epoch(self) -> SourceEpoch:
        assert self._source is not None  # noqa: S101 - ingest sends a head before any packet
        return self._source

    def _open(self, head: Head, mark: DecodeMark) -> None:
        """Begins an epoch: a decoder of its own, and no way back to what was before it."""
        jail, delivery = self._config.jail, self._config.delivery
        limits = JailLimits(jail.memory_mb << 20, jail.timeout_s, jail.max_pixels)
        slots = slot_count(head, memory_bytes=self._config.lookahead_mb << 20)
        self._output.low_latency = delivery == "low_latency" or (delivery == "auto" and head.live)
        self._source = SourceEpoch(
            head,
            Intake(head, slots=slots, limits=limits, deaths=self._deaths),
            FrameClock(head, last_pts=self._point.last_pts, index=self._point.epoch_index),
            DecodeMarks(mark),
            self._point.next_index,
        )

    def _close_epoch(self, closing: QueuedRecord) -> None:
        """All pictures of the source's epoch are out: settle what never came, commit, begin what comes next."""
        while self._lookahead.window:
            self._release_first()
        self._queue.closing = None
        if self._source is not None:
            for outcome in self._source.intake.silent():
                self._account_for(outcome)
            self._count_cpu()
            self._source.intake.close()
        if closing.body.WhichOneof("body") == "end":
            self._finish(closing.body.end, closing.next_offset)
            return
        self._pass_audio()
        if self._source is not None:
            self._output.open_epoch()
        self._point = replace(self._point, epoch_index=0, last_pts=None)
        self._lookahead.begin_epoch()
        self._open(closing.body.head, DecodeMark(closing.offset, self._ledger.border, closing.body.head))
        self._commit({**self._lookahead.arrived(), **self._lookahead.released()})

    def _finish(self, end: End, next_offset: int) -> None:
        self._ledger.close()
        self._pass_audio()
        self._output.finish_unit()
        self._ledger.counts.packets = end.ledger.packets
        self._count_cpu()
        closing = End(ledger=self._ledger.counts, reason=end.reason)
        self._output.end(closing)
        self._reports.claim(self._lookahead.conclude())
        self._reports.end(closing)
        self._send_now()
        self._commit({}, ended_at=next_offset)
        self.ended = True
        self.close()

    # -- frames ------------------------------------------------------------------------------------

    def _account_for(self, outcome: PacketOutcome) -> None:
        if isinstance(outcome, PictureCame):
            self._arrive(outcome)
        elif isinstance(outcome, PacketLost):
            self._ledger.lose(outcome.number, outcome.reason)
            epoch = self._output.epoch
            self._reports.reject(outcome.reason, outcome.detail, epoch=epoch, number=outcome.number)
        elif isinstance(outcome, NeverShown):
            self._ledger.discard(outcome.number)
        self._pass_audio()

    def _arrive(self, came: PictureCame) -> None:
        self.decodes = True
        source, picture = self._epoch, came.decoded.picture
        stamp = source.clock.stamp(came.packet)
        shape = picture.width, picture.height, picture.format.name
        opens = stamp.jumped or (source.shape is not None and shape != source.shape)
        source.shape = shape
        frame = Frame(
            self.stream, source.index, source.clock.seconds(stamp.pts), picture, rotation=source.head.rotation
        )
        number, slot = came.packet.number, came.decoded.slot
        pending = PendingFrame(frame, stamp, number, slot, source.clock.index, opens_epoch=opens)
        time_s = stamp.pts * source.clock.base
        key, low_latency = came.packet.key, self._output.low_latency
        if source.cuts.before(key=key, time_s=time_s, low_latency=low_latency, forced=opens):
            pending.cut = self._lookahead.arrived()
        source.index += 1
        if stamp.jumped:
            self._queue.newest = (source.head.epoch, stamp.pts)
        if self._lag_s(stamp.pts) > LATE_S and not self._lookahead.unseen:
            pending.failed, pending.late = "too late: the worker cannot keep up with the camera", True
        else:
            attempt(pending, self._look)
        pending.frame = replace(pending.frame)  # drops the BGR copy; the window holds planes only
        self._lookahead.window.append(pending)

    def _look(self, pending: PendingFrame) -> None:
        free = len(self._lookahead.window) + self._epoch.intake.free - HELD_SLOTS
        self._lookahead.look(pending, lag_s=self._lag_s(pending.stamp.pts), places=free, wait_s=self._wait_s)

    @property
    def _wait_s(self) -> float:
        return self._config.wait_ms(live=self.live) / 1000

    def _lag_s(self, pts: int) -> float:
        """How much has come in after this picture of a live stream; 0 where every frame counts and has time."""
        epoch, newest = self._queue.newest
        if not (self.live and self._output.low_latency) or epoch != self._epoch.head.epoch:
            return 0.0
        return self._epoch.clock.seconds(newest - pts)

    def _release_due(self) -> None:
        while self._lookahead.is_due(free_slots=self._epoch.intake.free, wait_s=self._wait_s):
            self._release_first()

    def _release_first(self) -> None:
        source, pending = self._epoch, self._lookahead.window.popleft()
        if pending.cut is not None and (self._output.frames or pending.opens_epoch):
            if pending.opens_epoch:
                self._output.open_epoch()
            self._commit({**pending.cut, **self._lookahead.released()})
        lag_s = self._lag_s(pending.stamp.pts) - self._wait_s
        released = self._release(pending, source.head, last=self._queue.closing is not None, lag_s=lag_s)
        source.intake.release(pending.slot)
        frame, pts = pending.frame, pending.stamp.pts
        for cause, reason in released.rejects:
            self._reports.reject(cause, reason, epoch=self._output.epoch, index=frame.index)
        self._reports.add(frame_report.of_frame(frame, pts, released.fate, released.reason))
        self._reports.claim(frame.verdicts)
        self._point = replace(self._point, next_index=frame.index + 1, epoch_index=pending.epoch_index, last_pts=pts)
        self._ledger.show(pending.number, released.fate, frame.faces, released.cause)
        self._pass_audio()
        self._send_now()

    # -- out ---------------------------------------------------------------------------------------

    def _pass_audio(self) -> None:
        for packet in self._ledger.passed_audio():
            if self._config.audio == "copy":
                self._output.pass_audio(packet)

    def _send_now(self) -> None:
        """Lets masked packets go ahead of their commit."""
        if self._output.low_latency and (messages := self._output.take()):
            self._member.send(self.stream, messages)

    def _commit(self, snapshot: Mapping[str, bytes], *, ended_at: int | None = None) -> None:
        """Stores the unit with the state after it, as one; `ended_at` is the offset after the stream's end."""
        with self._ledger.timed("encode"):
            self._output.finish_unit()
        self._count_cpu()
        mark = self._source.marks.resume_at(self._ledger.border) if self._source is not None else None
        going_on_at = mark.offset if mark is not None else 0
        self._point = replace(
            self._point,
            resume_offset=going_on_at if ended_at is None else ended_at,
            source=mark.head if mark is not None else None,
            settled_below=self._ledger.border,
            settled=self._ledger.above,
            operators=snapshot,
            ledger=self._ledger.counts,
            output=self._output.point(),
            ended=ended_at is not None,
        )
        messages = [*self._output.take(), *self._reports.take()]
        resume, ended = self._point.resume_offset, self._point.ended
        self._member.commit(self.stream, messages, self._point.to_bytes(), resume_offset=resume, ended=ended)

    def _count_cpu(self) -> None:
        self._ledger.count_wall()
        if self._source is not None:
            used_ms = self._source.intake.cpu_ms
            self._ledger.add_cpu("decode", used_ms - self._source.counted_ms)
            self._source.counted_ms = used_ms
