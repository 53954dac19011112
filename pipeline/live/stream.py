"""The work on one stream: packets in, masked packets and reports out, by one resume primitive.

A `StreamWork` decodes continuously and commits in units. What it has not committed is forgotten with it:
whoever makes a new one from the committed state decodes from the resume offset, suppresses packets that are
settled, and opens a new epoch with an IDR at `next_index`. So the same code serves a first start, a killed
actor, a lost lease, a broker that failed in a commit and a decoder that crashed.

Fail closed: a frame on which an operator failed is covered whole or withheld, never passed on; the painter
refuses a frame with an uncovered face; what cannot be decoded is withheld.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction

from engines import FrameError, StreamError
from operators import Operator
from operators.frame import Frame
from operators.paint import cpu as painter
from pipeline.brokers import REJECTS, VERDICTS, Member, Message, Record
from pipeline.config import Config
from pipeline.jail.parent import JailLimits
from pipeline.live import frame_report
from pipeline.live.ledger import PacketLedger
from pipeline.live.lookahead import BEHIND_S, LATE_S, LookAhead, PendingFrame
from pipeline.live.masked_output import LIVE_UNIT, MaskedOutput
from pipeline.media import Decoded, Decoder, Undecodable, slot_count
from pipeline.wire import (
    FATE_COVERED_WHOLE,
    FATE_MASKED,
    FATE_WITHHELD,
    End,
    Fate,
    FrameReport,
    Head,
    Packet,
    Reject,
    StreamRecord,
    StreamState,
    VerdictMessage,
    VerdictRecord,
    fraction,
)

UNIT_FRAMES = 32
"""A unit ends at the first keyframe after this many frames (or a second), so that short GOPs share an encoder."""
LONGEST_UNIT = 96
"""And here at the latest: it bounds what a crash repeats, and memory."""
HIDES_PACKETS = frozenset({"vp8", "vp9", "av1", "mpeg4"})
CLOCK_JUMP_S = 10.0
UNDER_WAY = 8
"""Packets that a decoder is given ahead of what it has done: it decodes them all, into memory that stays taken."""
NO_PACKET, FAILURES = -1, -2
"""In the counts of deaths: decoders that died with nothing to do, as of broken extradata; and whatever else failed."""
MOST_OPENED, MOST_FAILURES = 3, 5


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place from which decoding can begin."""

    offset: int
    number: int
    head: Head


class StreamWork:
    """Works on one stream for as long as its owner owns it.

    Args:
        stream: its name.
        member: the owner; `commit` and `send` go through it.
        operators: opened steps by name; shared with other streams, state is keyed by stream.
        config: the run's.
        deaths: how often a decoder died on the packet of that number. Once may be anybody's fault; what two decoders
            died of is not given to a third.

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
        self._member = member
        self._config = config
        self._deaths = deaths
        self._limits = JailLimits(
            memory_bytes=config.jail.memory_mb << 20, timeout_s=config.jail.timeout_s, max_pixels=config.jail.max_pixels
        )
        self._looking = LookAhead(stream, operators, self._timed)

        self._queue: deque[tuple[StreamRecord, Record]] = deque()
        self._fed: int | None = None
        self._came: deque[Decoded | Undecodable] = deque()
        self._window: deque[PendingFrame] = deque()
        self._beside: list[Message] = []  # records that go with the masked ones
        self._reports: list[FrameReport] = []
        self._verdicts: list[VerdictMessage] = []
        self._decoder: Decoder | None = None
        self._closing: StreamRecord | None = None
        self._closing_offset = 0
        self._sizes: tuple[int, int, str] | None = None
        self._started = time.monotonic()

        stored = member.state(stream)
        state = StreamState.FromString(stored) if stored else StreamState()
        self._accounts = PacketLedger(state)
        self._output = MaskedOutput(config.encode, state)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._restore(state)
            undo.pop_all()

    # -- state -------------------------------------------------------------------------------------

    def _restore(self, state: StreamState) -> None:
        self._index = self._next_index = state.next_index
        self._epoch_index = self._released_epoch_index = state.epoch_index
        self._last_pts = self._arrived_pts = state.last_pts if state.epoch_index else None
        self._since_cut = 0
        self._cut_pts: int | None = None
        self._newest = (-1, 0)  # epoch and pts of the picture that came in last
        self._cpu: dict[str, float] = dict(state.ledger.cpu_ms)
        self._wall_before = state.ledger.wall_s
        self._head: Head | None = None
        self._marks: deque[_Mark] = deque()
        self._looking.begin(state.operators)
        if state.HasField("source"):
            self._take_head(state.source, state.resume_offset, 0)
            # No two encoder runs may share an epoch, so its number is stored before anything is sent under it.
            self._commit(state.operators)

    def _commit(self, snapshot: Mapping[str, bytes], *, ended: bool = False) -> None:
        """Stores the unit with the state behind it, as one."""
        with self._timed("encode"):
            self._output.finish_unit()
        while len(self._marks) > 2 and self._marks[2].number <= self._accounts.border:
            self._marks.popleft()
        self._count_cpu()
        resume = self._marks[0].offset if self._marks and not ended else self._closing_offset
        state = StreamState(
            next_index=self._next_index,
            source=self._marks[0].head if self._marks else None,
            settled_below=self._accounts.border,
            settled=self._accounts.above,
            operators=dict(snapshot),
            ledger=self._accounts.ledger,
            ended=ended,
            epoch_index=self._released_epoch_index,
            last_pts=self._last_pts or 0,
            resume_offset=resume,
        )
        self._output.store(state)
        messages = [*self._output.take(), *self._beside]
        if self._reports or self._verdicts:
            record = VerdictRecord(frames=self._reports, verdicts=self._verdicts)
            messages.append(Message(VERDICTS, record.SerializeToString()))
        self._beside, self._reports, self._verdicts = [], [], []
        self._member.commit(self.stream, messages, state.SerializeToString(), resume_offset=resume, ended=ended)

    def _send_now(self) -> None:
        """Lets masked packets go ahead of their commit."""
        if self._output.low_latency and (messages := self._output.take()):
            self._member.send(self.stream, messages)

    def _count_cpu(self) -> None:
        self._accounts.ledger.wall_s = self._wall_before + time.monotonic() - self._started
        if self._decoder is not None:
            self._cpu["decode"] = self._decode_before + self._decoder.cpu_ms
        for stage, milliseconds in self._cpu.items():
            self._accounts.ledger.cpu_ms[stage] = milliseconds

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        before = time.process_time()
        try:
            yield
        finally:
            self._cpu[stage] = self._cpu.get(stage, 0.0) + (time.process_time() - before) * 1000

    # -- records in --------------------------------------------------------------------------------

    def feed(self, record: Record) -> None:
        """Takes the stream's next record from `packets`.

        Raises:
            StreamError: it is not the next one; the stream has to begin again.
        """
        body = StreamRecord.FromString(record.value)
        if body.HasField("packet"):
            first, number = self._fed is None, body.packet.number
            if number > self._accounts.border if first else number != (self._fed or 0) + 1:
                raise StreamError(f"{self.stream}: packet {number} is out of turn, behind packet {self._fed}")
            self._fed = body.packet.number
            if body.packet.track == 0 and body.packet.HasField("pts"):
                self._newest = (body.packet.epoch, body.packet.pts)
        self._queue.append((body, record))

    @property
    def queued(self) -> int:
        """How many records wait to be worked on."""
        return len(self._queue) + (self._closing is not None)

    def pump(self, timeout_s: float) -> bool:
        """Moves on as far as it goes without waiting longer than that; true if anything moved.

        Raises:
            Fenced, BrokerError: from the commit; this object must be dropped.
            FrameError: the decoder died; drop this object and make a new one, after the stream was rewound.
        """
        moved = self._send_packets()
        if self._decoder is not None:
            self._came.extend(self._decoder.receive(0 if self._came else timeout_s))
            # Of a live stream one at a time: what comes in meanwhile says how late the next one is.
            for _ in range(min(1, len(self._came)) if self.live else len(self._came)):
                moved = True
                item = self._came.popleft()
                if isinstance(item, Undecodable):
                    self._lose(item.number, "undecodable", item.detail)
                else:
                    self._arrive(item)
                self._release_due()
            self._accounts.decoded(self._entered_before + self._decoder.decoded)
            for number in self._accounts.overdue():
                self._lose_silent(number)
        if self._closing is not None and not self._came and (self._decoder is None or self._decoder.done):
            self._close_epoch()
            moved = True
        return moved

    @property
    def busy(self) -> bool:
        """A decoder is at work, or a picture that came out of it waits."""
        return self.suspect() is not None or bool(self._came)

    def suspect(self) -> int | None:
        """Number of the packet on which the decoder died, None if it lives."""
        return self._decoder.suspect if self._decoder is not None else None

    def _send_packets(self) -> bool:
        moved = False
        while self._queue and self._closing is None:
            body, record = self._queue[0]
            kind = body.WhichOneof("body")
            if kind == "packet" and body.packet.track == 0:
                if self._decoder is not None and self._decoder.under_way + len(self._came) >= UNDER_WAY:
                    break
                self._take_video(body.packet, record.offset)
            elif kind == "packet":
                self._accounts.expect_audio(body.packet)
                self._pass_audio()
            elif kind == "head" and self._head is not None and body.head.epoch == self._head.epoch:
                pass  # a takeover that begins at the head it already has from its state
            else:
                self._closing = body
                self._closing_offset = record.next_offset if kind == "end" else record.offset
                if self._decoder is not None:
                    self._decoder.finish()
            self._queue.popleft()
            moved = True
        return moved

    def _take_video(self, packet: Packet, offset: int) -> None:
        assert self._head is not None  # noqa: S101 - ingest sends a head first
        if packet.key:
            self._marks.append(_Mark(offset, packet.number, self._head))
        self._accounts.expect(packet)
        if self._decoder is None:
            self._lose(packet.number, "undecodable", "this stream has made every decoder fail")
        elif self._deaths.get(packet.number, 0) >= 2:
            self._lose(packet.number, "decoder_died", "two decoders died on this packet")
        else:
            with self._timed("transport"):
                self._decoder.send(packet)

    # -- epochs ------------------------------------------------------------------------------------

    def _take_head(self, head: Head, offset: int, number: int) -> None:
        """Begins a new epoch of the source: a decoder of its own, and no way back behind it."""
        self._head = head
        self._marks = deque([_Mark(offset, number, head)])
        self._output.low_latency = self._config.delivery == "low_latency" or (
            self._config.delivery == "auto" and head.live
        )
        slots = slot_count(head, memory_bytes=self._config.lookahead_mb << 20)
        self._decode_before = self._cpu.get("decode", 0.0)
        self._entered_before = self._accounts.entered
        if self._deaths.get(NO_PACKET, 0) < MOST_OPENED and self._deaths.get(FAILURES, 0) < MOST_FAILURES:
            self._decoder = Decoder(head, slots=slots, limits=self._limits)

    def _close_epoch(self) -> None:
        """All frames of the source's epoch are out: settle what never came, commit, begin what comes next."""
        record = self._closing
        assert record is not None  # noqa: S101
        while self._window:
            self._release_first()
        self._closing = None
        for number in sorted(self._accounts.expected):
            self._lose_silent(number)
        if self._decoder is not None:
            self._count_cpu()
            self._decoder.close()
            self._decoder = None
        if record.WhichOneof("body") == "end":
            self._finish(record.end)
            return
        self._pass_audio()
        if self._head is not None:
            self._output.open_epoch()
        self._epoch_index = self._released_epoch_index = 0
        self._arrived_pts = self._last_pts = None
        self._sizes = None
        self._looking.begin_epoch()
        self._take_head(record.head, self._closing_offset, self._accounts.border)
        self._commit({**self._looking.arrived(), **self._looking.released()})

    def _finish(self, end: End) -> None:
        self._accounts.close()
        self._pass_audio()
        self._output.finish_unit()
        self._accounts.ledger.packets = end.ledger.packets
        self._count_cpu()
        closing = End(ledger=self._accounts.ledger, reason=end.reason)
        self._output.end(closing)
        self._verdicts += map(frame_report.message_of, self._looking.conclude())
        report = VerdictRecord(frames=self._reports, verdicts=self._verdicts, end=closing)
        self._beside.append(Message(VERDICTS, report.SerializeToString()))
        self._reports, self._verdicts = [], []
        self._send_now()
        self._commit({}, ended=True)
        self.ended = True
        self.close()

    # -- frames ------------------------------------------------------------------------------------

    def _arrive(self, decoded: Decoded) -> None:
        assert self._decoder is not None and self._head is not None  # noqa: S101
        if decoded.corrupt:
            self._lose(decoded.number, "undecodable", "the decoder marked the picture as corrupt")
        self.decodes = True
        packet = self._accounts.came(decoded.number)
        if packet is None:
            self._decoder.release(decoded.slot)
            self._pass_audio()
            return
        pts, duration, jumped = self._time(packet)
        picture = decoded.picture
        sizes = (picture.width, picture.height, picture.format.name)
        opens = jumped or (self._sizes is not None and sizes != self._sizes)
        self._sizes = sizes
        base = fraction(self._head.time_base)
        waiting = PendingFrame(
            Frame(self.stream, self._index, float(pts * base), picture, rotation=self._head.rotation),
            decoded.number,
            pts,
            duration,
            decoded.slot,
            self._epoch_index,
            opens_epoch=opens,
            utc_us=frame_report.utc_us_of(self._head, pts, packet.received_us),
        )
        if opens or self._may_cut(packet.key, pts, base):
            waiting.cut = self._looking.arrived()
            self._since_cut, self._cut_pts = 0, pts
        self._since_cut += 1
        self._index += 1
        self._epoch_index += 1
        if jumped:
            self._newest = (self._head.epoch, pts)
        if self._behind_s(pts) > LATE_S and not self._looking.unseen:
            waiting.failed, waiting.late = "too late: the worker cannot keep up with the camera", True
        else:
            self._guard(waiting, self._look)
        waiting.frame = replace(waiting.frame)  # drops the BGR copy; the window holds planes only
        self._window.append(waiting)

    def _time(self, packet: Packet) -> tuple[int, int, bool]:
        """pts, duration in ticks of the source, and whether the clock jumped."""
        assert self._head is not None  # noqa: S101
        base, rate = fraction(self._head.time_base), fraction(self._head.rate) or Fraction(25)
        tick = max(1, round(1 / rate / base))
        before = self._arrived_pts
        if not self._head.timed:
            pts = round(self._epoch_index / rate / base)
            self._arrived_pts = pts
            return pts, tick, False
        pts = packet.pts if packet.HasField("pts") else (before + tick if before is not None else 0)
        jumped = False
        if before is not None:
            step = float((pts - before) * base)
            jumped = step < -1 or (self._head.clock_may_jump and step > CLOCK_JUMP_S)
            if step <= 0 and not jumped:
                pts = before + 1  # two frames at one instant: the later one shows a tick later
        self._arrived_pts = pts
        return pts, packet.duration or tick, jumped

    def _may_cut(self, key: bool, pts: int, base: Fraction) -> bool:
        if self._since_cut == 0:
            return False
        long = self._cut_pts is not None and (pts - self._cut_pts) * base >= 1
        if self._output.low_latency:
            return self._since_cut >= LIVE_UNIT or long
        return self._since_cut >= LONGEST_UNIT or (key and (self._since_cut >= UNIT_FRAMES or long))

    @property
    def _lookahead_s(self) -> float:
        return self._config.wait_ms(live=self.live) / 1000

    @property
    def live(self) -> bool:
        """A camera shows it right now."""
        return self._head is not None and self._head.live

    def _behind_s(self, pts: int) -> float:
        """How much has come in behind this picture of a live stream; 0 where every frame counts and has time."""
        if not (self.live and self._output.low_latency) or self._head is None or self._newest[0] != self._head.epoch:
            return 0.0
        return float((self._newest[1] - pts) * fraction(self._head.time_base))

    def _look(self, waiting: PendingFrame) -> None:
        assert self._decoder is not None  # noqa: S101
        behind_s = self._behind_s(waiting.pts)
        places = len(self._window) + self._decoder.free - 2
        self._looking.look(waiting, behind_s=behind_s, places=places, wait_s=self._lookahead_s)

    def _guard(self, waiting: PendingFrame, work: Callable[[PendingFrame], None]) -> None:
        """Runs what may fail on one frame: whatever it is, the frame is marked, and the stream goes on."""
        try:
            work(waiting)
        except FrameError as error:
            waiting.failed = str(error)
        except Exception as error:
            waiting.failed = f"{type(error).__name__}: {error}"

    def _release_due(self) -> None:
        """Releases frames that have waited long enough, or whose place in memory is needed."""
        assert self._decoder is not None  # noqa: S101
        while self._window:
            span = self._window[-1].frame.time_s - self._window[0].frame.time_s
            if self._decoder.free > 1 and 0 <= span < self._lookahead_s:
                return
            self._release_first()

    def _release_first(self) -> None:
        assert self._decoder is not None and self._head is not None  # noqa: S101
        waiting = self._window.popleft()
        if waiting.cut is not None and (self._output.frames or waiting.opens_epoch):
            if waiting.opens_epoch:
                self._output.open_epoch()
            self._commit({**waiting.cut, **self._looking.released()})
        if not waiting.failed:
            self._guard(waiting, self._cover)
        fate, picture = FATE_MASKED, waiting.frame.picture
        reason = waiting.failed
        if reason:
            withhold = self._config.on_failure == "withhold" or (self._config.on_failure == "auto" and self.live)
            fate = FATE_WITHHELD if withhold else FATE_COVERED_WHOLE
            self._reject("late" if waiting.late else "not_examined", reason, index=waiting.frame.index)
        if fate == FATE_COVERED_WHOLE:
            painter.cover_whole(picture)
        if fate != FATE_WITHHELD:
            try:
                self._output.prepare(self._head, picture)
            except FrameError as error:
                fate, reason = FATE_WITHHELD, str(error)
                self._reject("unencodable", reason, index=waiting.frame.index)
            else:
                self._encode(waiting)
        self._decoder.release(waiting.slot)
        self._account(waiting, fate, reason)
        self._send_now()

    def _encode(self, waiting: PendingFrame) -> None:
        try:
            with self._timed("encode"):
                self._output.encode(waiting.frame.picture, waiting.frame.index, waiting.pts, waiting.duration)
        except FrameError as error:
            # It has swallowed frames that were counted as shown: only a new life can bring them back.
            raise StreamError(f"{self.stream}: the encoder failed: {error}") from error

    def _cover(self, waiting: PendingFrame) -> None:
        waiting.frame = self._looking.settle(waiting.frame, self._window)
        if not self._looking.vouches_for(waiting.frame, self._window, last=self._closing is not None):
            raise FrameError("no detector has looked at this frame or near it")
        if self._behind_s(waiting.pts) - self._lookahead_s > BEHIND_S:
            waiting.frame = replace(waiting.frame, covers=tuple(map(painter.plain, waiting.frame.covers)))
        with self._timed("paint"):
            painter.paint(waiting.frame)

    def _account(self, waiting: PendingFrame, fate: Fate.ValueType, reason: str) -> None:
        frame, ledger = waiting.frame, self._accounts.ledger
        if fate == FATE_WITHHELD:
            ledger.withheld["late" if waiting.late else "not_examined" if waiting.failed else "unencodable"] += 1
        else:
            ledger.shown += 1
            ledger.covered_whole += fate == FATE_COVERED_WHOLE
            ledger.faces += int((~frame.faces.kept).sum())
            ledger.kept += int(frame.faces.kept.sum())
        ledger.tracks = max(ledger.tracks, int(frame.faces.tracks.max(initial=0)))
        assert self._head is not None  # noqa: S101
        dated = {"epoch": self._head.epoch, "utc_us": waiting.utc_us}
        self._reports.append(frame_report.of_frame(frame, waiting.pts, fate, reason, **dated))
        self._verdicts += map(frame_report.message_of, frame.verdicts)
        self._next_index = frame.index + 1
        self._released_epoch_index = waiting.epoch_index + 1
        self._last_pts = waiting.pts
        self._accounts.settle(waiting.number)
        self._pass_audio()

    # -- accounting --------------------------------------------------------------------------------

    def _pass_audio(self) -> None:
        for packet in self._accounts.passed_audio():
            if self._config.audio == "copy":
                self._output.pass_audio(packet)

    def _lose_silent(self, number: int) -> None:
        """A packet that gave neither a frame nor an error."""
        assert self._head is not None  # noqa: S101
        if self._accounts.expected[number].packet.discard or self._head.codec in HIDES_PACKETS:
            self._accounts.discard(number)
        else:
            self._lose(number, "undecodable", "no picture came out of it")

    def _lose(self, number: int, reason: str, detail: str) -> None:
        if number in self._accounts.expected:
            self._accounts.ledger.withheld[reason] += 1
            self._reject(reason, detail, number=number)
            self._accounts.settle(number)

    def _reject(self, reason: str, detail: str, *, number: int | None = None, index: int | None = None) -> None:
        reject = Reject(epoch=self._output.epoch, number=number, index=index, reason=reason, detail=detail[:500])
        self._beside.append(Message(REJECTS, reject.SerializeToString()))

    def close(self) -> None:
        """Lets go of the child process and of what operators remember. Nothing is committed."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
        self._looking.forget()
