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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from engines import FrameError
from operators import LooksAhead, Operator, Remembers
from operators.frame import Frame, Picture
from pipeline import painter
from pipeline.brokers import MASKED, REJECTS, VERDICTS, Fenced, Member, Message, Record
from pipeline.config import Config
from pipeline.jail import Limits
from pipeline.media import Clock, Decoded, Decoder, Encoder, Undecodable, masked_head, slot_count
from pipeline.wire import (
    FATE_COVERED_WHOLE,
    FATE_MASKED,
    FATE_WITHHELD,
    End,
    Face,
    FrameReport,
    Head,
    Ledger,
    Packet,
    Reject,
    StreamRecord,
    StreamState,
    VerdictRecord,
    fraction,
)

UNIT_FRAMES = 32
"""A unit ends at the first keyframe after this many frames (or a second), so that short GOPs share an encoder."""
LONGEST_UNIT = 96
"""And here at the latest: it bounds what a crash repeats, and memory."""
LIVE_UNIT = 32
"""Frames that low_latency sends ahead of its commit at most. A takeover makes that many IDRs, for a sink may have
any of them and can enter the new epoch only at a keyframe."""
REORDER = 32
"""No codec shows a picture after more than 16 pictures that were coded behind it."""
HIDES_PACKETS = frozenset({"vp8", "vp9", "av1", "mpeg4"})
CLOCK_JUMP_S = 10.0


@dataclass(slots=True)
class _Pending:
    """A video packet whose frame has not been settled."""

    packet: Packet
    ordinal: int


@dataclass(slots=True)
class _Waiting:
    """A decoded frame in the look-ahead."""

    frame: Frame
    number: int
    pts: int
    duration: int
    slot: int
    epoch_index: int
    failed: str = ""
    cut: Mapping[str, bytes] | None = None  # what the operators remembered before this frame, if a unit may end here
    opens_epoch: bool = False


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
        self._member = member
        self._config = config
        self._deaths = deaths
        self._limits = Limits(
            memory_bytes=config.jail.memory_mb << 20, timeout_s=config.jail.timeout_s, max_pixels=config.jail.max_pixels
        )
        last_ahead = max((i for i, op in enumerate(operators.values()) if isinstance(op, LooksAhead)), default=-1)
        self._arrival = list(operators.items())[: last_ahead + 1]
        self._release = list(operators.items())[last_ahead + 1 :]
        self._remembers = {name: op for name, op in operators.items() if isinstance(op, Remembers)}

        self._queue: deque[tuple[StreamRecord, Record]] = deque()
        self._pending: dict[int, _Pending] = {}
        self._audio: dict[int, Packet] = {}
        self._window: deque[_Waiting] = deque()
        self._outbox: list[Message] = []
        self._reports: list[FrameReport] = []
        self._decoder: Decoder | None = None
        self._encoder: Encoder | None = None
        self._closing: StreamRecord | None = None
        self._closing_offset = 0
        self._made: list[Packet] = []  # of the unit being encoded
        self._by_pts: dict[int, int] = {}  # and the indices of its frames
        self._unit = 0
        self._sizes: tuple[int, int, str] | None = None
        self._video_packets = 0
        self._newest_ordinal = -1
        self._slots = 0
        self._started = time.monotonic()

        stored = member.state(stream)
        self._restore(StreamState.FromString(stored) if stored else StreamState())

    # -- state -------------------------------------------------------------------------------------

    def _restore(self, state: StreamState) -> None:
        taken_over = state.HasField("source")
        self._epoch = state.epoch + 1 if taken_over else 0
        self._announce: Literal["", "continues", "anew"] = "continues" if taken_over and not state.anew else "anew"
        self._next_index = state.next_index
        self._index = state.next_index
        self._settled_below = state.settled_below
        self._settled = set(state.settled)
        self._ledger = state.ledger
        self._clock = Clock.from_bytes(state.encoder_clock)
        self._epoch_index = self._released_epoch_index = state.epoch_index
        self._last_pts = self._arrived_pts = state.last_pts if state.epoch_index else None
        self._idr_left = LIVE_UNIT if taken_over else 1
        self._since_cut = 0
        self._cut_pts: int | None = None
        self._cpu: dict[str, float] = dict(state.ledger.cpu_ms)
        self._wall_before = state.ledger.wall_s
        self._head = state.source if taken_over else None
        self._marks: deque[_Mark] = deque()
        for name, operator in self._remembers.items():
            operator.forget(self.stream)
            if name in state.operators:
                operator.restore(self.stream, state.operators[name])
        if self._head is not None:
            self._marks.append(_Mark(state.resume_offset, 0, self._head))
            self._open_decoder(self._head)
            # No two encoder runs may share an epoch, so its number is stored before anything is sent under it.
            self._commit(state.operators)

    def _commit(self, snapshot: Mapping[str, bytes], *, ended: bool = False) -> None:
        """Stores the unit with the state behind it, as one."""
        self._finish_unit()
        while len(self._marks) > 2 and self._marks[2].number <= self._settled_below:
            self._marks.popleft()
        self._count_cpu()
        resume = self._marks[0].offset if self._marks and not ended else self._closing_offset
        state = StreamState(
            epoch=self._epoch,
            next_index=self._next_index,
            source=self._marks[0].head if self._marks else None,
            encoder_clock=self._clock.to_bytes(),
            settled_below=self._settled_below,
            settled=sorted(self._settled),
            operators=dict(snapshot),
            ledger=self._ledger,
            ended=ended,
            epoch_index=self._released_epoch_index,
            last_pts=self._last_pts or 0,
            resume_offset=resume,
            anew=self._announce == "anew",
        )
        messages = [*self._outbox]
        if self._reports:
            messages.append(Message(VERDICTS, VerdictRecord(frames=self._reports).SerializeToString()))
        self._outbox, self._reports = [], []
        self._member.commit(self.stream, messages, state.SerializeToString(), resume_offset=resume, ended=ended)

    def _count_cpu(self) -> None:
        self._ledger.wall_s = self._wall_before + time.monotonic() - self._started
        if self._decoder is not None:
            self._cpu["decode"] = self._decode_before + self._decoder.cpu_ms
        for stage, milliseconds in self._cpu.items():
            self._ledger.cpu_ms[stage] = milliseconds

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        before = time.process_time()
        try:
            yield
        finally:
            self._cpu[stage] = self._cpu.get(stage, 0.0) + (time.process_time() - before) * 1000

    # -- records in --------------------------------------------------------------------------------

    def feed(self, record: Record) -> None:
        """Takes the stream's next record from `packets`."""
        self._queue.append((StreamRecord.FromString(record.value), record))

    @property
    def hungry(self) -> bool:
        """Ready for more records."""
        return not self._queue and self._closing is None

    def pump(self, timeout_s: float) -> bool:
        """Moves on as far as it goes without waiting longer than that; true if anything moved.

        Raises:
            Fenced, BrokerError: from the commit; this object must be dropped.
            FrameError: the decoder died; drop this object and make a new one, after the stream was rewound.
        """
        moved = self._send_packets()
        if self._decoder is not None:
            for item in self._decoder.receive(timeout_s):
                moved = True
                if isinstance(item, Undecodable):
                    self._lose(item.number, "undecodable", item.detail)
                else:
                    self._arrive(item)
                self._release_due()
        if self._closing is not None and (self._decoder is None or self._decoder.done):
            self._close_epoch()
            moved = True
        return moved

    def suspect(self) -> int | None:
        """Number of the packet on which the decoder died, None if it lives."""
        return self._decoder.suspect if self._decoder is not None else None

    def _send_packets(self) -> bool:
        moved = False
        while self._queue and self._closing is None:
            body, record = self._queue[0]
            kind = body.WhichOneof("body")
            if kind == "packet" and body.packet.track == 0:
                if len(self._pending) >= self._slots + REORDER:
                    break
                self._take_video(body.packet, record.offset)
            elif kind == "packet":
                if body.packet.number >= self._settled_below:
                    self._audio[body.packet.number] = body.packet
                    self._advance()
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
        assert self._head is not None and self._decoder is not None  # noqa: S101 - ingest sends a head first
        if packet.key:
            self._marks.append(_Mark(offset, packet.number, self._head))
        known = packet.number < self._settled_below or packet.number in self._settled
        if not known:
            self._pending[packet.number] = _Pending(packet, self._video_packets)
        self._video_packets += 1
        if self._deaths.get(packet.number, 0) >= 2:
            if not known:
                self._lose(packet.number, "decoder_died", "two decoders died on this packet")
            return
        with self._timed("transport"):
            self._decoder.send(packet)
        if not known:
            self._pending[packet.number].packet.ClearField("data")

    # -- epochs ------------------------------------------------------------------------------------

    def _open_decoder(self, head: Head) -> None:
        memory = self._config.lookahead_mb << 20
        self._slots = slot_count(head, memory_bytes=memory)
        self._decode_before = self._cpu.get("decode", 0.0)
        self._decoder = Decoder(head, slots=self._slots, limits=self._limits)

    def _close_epoch(self) -> None:
        """All frames of the source's epoch are out: settle what never came, commit, begin what comes next."""
        record, self._closing = self._closing, None
        assert record is not None  # noqa: S101
        if self._decoder is not None:
            while self._window:
                self._release_first()
            for number in sorted(self._pending):
                self._lose_silent(number)
            self._count_cpu()
            self._decoder.close()
            self._decoder = None
        if record.WhichOneof("body") == "end":
            self._finish(record.end)
            return
        if self._head is not None:
            self._open_epoch()
        first_number = self._settled_below
        self._head = record.head
        self._marks = deque([_Mark(self._closing_offset, first_number, self._head)])
        self._epoch_index = self._released_epoch_index = 0
        self._arrived_pts = self._last_pts = None
        self._sizes = None
        self._open_decoder(self._head)
        self._commit(self._snapshot())

    def _open_epoch(self) -> None:
        self._finish_unit()
        self._epoch += 1
        self._announce, self._idr_left = "anew", 1
        self._encoder, self._clock = None, Clock()

    def _finish(self, end: End) -> None:
        self._advance(everything=True)
        self._finish_unit()
        self._ledger.packets = end.ledger.packets
        self._count_cpu()
        closing = End(ledger=self._ledger, reason=end.reason)
        self._outbox.append(Message(MASKED, StreamRecord(end=closing).SerializeToString()))
        report = VerdictRecord(frames=self._reports, end=closing)
        self._reports = []
        self._outbox.append(Message(VERDICTS, report.SerializeToString()))
        if self._low_latency:
            self._send_now()
        self._commit({}, ended=True)
        self.ended = True
        self.close()

    # -- frames ------------------------------------------------------------------------------------

    def _arrive(self, decoded: Decoded) -> None:
        assert self._decoder is not None and self._head is not None  # noqa: S101
        pending = self._pending.get(decoded.number)
        if pending is None or pending.packet.discard:
            self._decoder.release(decoded.slot)
            if pending is not None:
                self._settle(decoded.number)
                self._ledger.discarded += 1
                self._newest_ordinal = max(self._newest_ordinal, pending.ordinal)
            return
        self._newest_ordinal = max(self._newest_ordinal, pending.ordinal)
        if decoded.corrupt:
            self._decoder.release(decoded.slot)
            self._lose(decoded.number, "undecodable", "the decoder marked the picture as corrupt")
            return
        del self._pending[decoded.number]
        pts, duration, jumped = self._time(pending.packet)
        picture = decoded.picture
        sizes = (picture.width, picture.height, picture.format.name)
        opens = jumped or (self._sizes is not None and sizes != self._sizes)
        self._sizes = sizes
        base = fraction(self._head.time_base)
        waiting = _Waiting(
            Frame(self.stream, self._index, float(pts * base), picture, rotation=self._head.rotation),
            decoded.number,
            pts,
            duration,
            decoded.slot,
            self._epoch_index,
            opens_epoch=opens,
        )
        if opens or self._may_cut(pending.packet.key, pts, base):
            waiting.cut = self._snapshot()
            self._since_cut, self._cut_pts = 0, pts
        self._since_cut += 1
        self._index += 1
        self._epoch_index += 1
        self._guard(waiting, self._look)
        waiting.frame = replace(waiting.frame)  # drops the BGR copy; the window holds planes only
        self._window.append(waiting)
        self._lose_overdue()

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
        if self._low_latency:
            return self._since_cut >= LIVE_UNIT or long
        return self._since_cut >= LONGEST_UNIT or (key and (self._since_cut >= UNIT_FRAMES or long))

    @property
    def _live(self) -> bool:
        return self._head is not None and self._head.live

    @property
    def _low_latency(self) -> bool:
        return self._config.delivery == "low_latency" or (self._config.delivery == "auto" and self._live)

    def _snapshot(self) -> dict[str, bytes]:
        return {name: operator.snapshot(self.stream) for name, operator in self._remembers.items()}

    def _look(self, waiting: _Waiting) -> None:
        for name, operator in self._arrival:
            with self._timed(name):
                (waiting.frame,) = operator([waiting.frame])

    def _guard(self, waiting: _Waiting, work: Callable[[_Waiting], None]) -> None:
        """Runs what may fail on one frame: whatever it is, the frame is marked, and the stream goes on."""
        try:
            work(waiting)
        except FrameError as error:
            waiting.failed = str(error)
        except Exception as error:
            waiting.failed = f"{type(error).__name__}: {error}"

    def _release_due(self) -> None:
        """Releases frames that have waited long enough, or whose place in memory is needed."""
        default = 250.0 if self._live else 750.0
        wait_s = (default if self._config.lookahead_ms is None else self._config.lookahead_ms) / 1000
        while self._window:
            span = self._window[-1].frame.time_s - self._window[0].frame.time_s
            if len(self._window) < self._slots - 1 and 0 <= span < wait_s:
                return
            self._release_first()

    def _release_first(self) -> None:
        assert self._decoder is not None  # noqa: S101
        waiting = self._window.popleft()
        if waiting.cut is not None and (self._unit or waiting.opens_epoch):
            if waiting.opens_epoch:
                self._open_epoch()
            self._idr_left = max(self._idr_left, 1)
            self._commit(waiting.cut)
        if not waiting.failed:
            self._guard(waiting, self._cover)
        fate, picture = FATE_MASKED, waiting.frame.picture
        reason = waiting.failed
        if reason:
            withhold = self._config.on_failure == "withhold" or (self._config.on_failure == "auto" and self._live)
            fate = FATE_WITHHELD if withhold else FATE_COVERED_WHOLE
            self._reject("not_examined", reason, index=waiting.frame.index)
        if fate == FATE_COVERED_WHOLE:
            painter.cover_whole(picture)
        if fate != FATE_WITHHELD:
            try:
                self._encode(waiting, picture)
            except FrameError as error:
                fate, reason = FATE_WITHHELD, str(error)
                self._encoder = None
                self._reject("unencodable", reason, index=waiting.frame.index)
        self._decoder.release(waiting.slot)
        self._account(waiting, fate, reason)

    def _cover(self, waiting: _Waiting) -> None:
        frame = waiting.frame
        following = [later.frame for later in self._window if not later.failed]
        for name, operator in self._arrival:
            if isinstance(operator, LooksAhead):
                with self._timed(name):
                    frame = operator.settle(frame, following)
        for name, operator in self._release:
            with self._timed(name):
                (frame,) = operator([frame])
        waiting.frame = frame
        with self._timed("paint"):
            painter.paint(frame)

    def _account(self, waiting: _Waiting, fate: int, reason: str) -> None:
        frame, ledger = waiting.frame, self._ledger
        if fate == FATE_WITHHELD:
            ledger.withheld["unencodable" if not waiting.failed else "not_examined"] += 1
        else:
            ledger.shown += 1
            ledger.covered_whole += fate == FATE_COVERED_WHOLE
            ledger.faces += int((~frame.faces.kept).sum())
            ledger.kept += int(frame.faces.kept.sum())
        ledger.tracks = max(ledger.tracks, int(frame.faces.tracks.max(initial=0)))
        self._reports.append(_report(waiting, fate, reason))
        self._next_index = frame.index + 1
        self._released_epoch_index = waiting.epoch_index + 1
        self._last_pts = waiting.pts
        self._unit += 1
        self._settle(waiting.number)

    # -- masked packets out ------------------------------------------------------------------------

    def _encode(self, waiting: _Waiting, picture: Picture) -> None:
        assert self._head is not None  # noqa: S101
        encode = self._config.encode
        if self._encoder is None:
            self._encoder = Encoder(
                self._head,
                picture.format,
                picture.width,
                picture.height,
                encoder=encode.encoder,
                preset=encode.preset,
                crf=encode.crf,
                options=encode.options,
                low_latency=self._low_latency,
            )
        if self._announce:
            head = masked_head(self._head, self._encoder)
            head.epoch, head.continues = self._epoch, self._announce == "continues"
            self._announce = ""
            self._outbox.append(Message(MASKED, StreamRecord(head=head).SerializeToString()))
        self._by_pts[waiting.pts] = waiting.frame.index
        with self._timed("encode"):
            packets = self._encoder.encode(picture, waiting.pts, waiting.duration, key=self._idr_left > 0)
        self._idr_left -= self._idr_left > 0
        if self._low_latency:
            self._put(packets)
            self._send_now()
        else:
            self._made += packets

    def _put(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            packet.epoch, packet.number = self._epoch, self._by_pts.pop(packet.pts)
            self._outbox.append(Message(MASKED, StreamRecord(packet=packet).SerializeToString()))

    def _finish_unit(self) -> None:
        """Gets all frames of the unit out of the encoder; the next unit's is a fresh one."""
        self._unit = 0
        if self._encoder is None or self._low_latency:
            return  # a low-latency encoder holds nothing back, and runs on
        with self._timed("encode"):
            self._made += self._encoder.flush()
        self._clock.stamp(self._made)
        self._put(self._made)
        self._made, self._encoder = [], None

    def _send_now(self) -> None:
        now = [message for message in self._outbox if message.topic == MASKED]
        self._outbox = [message for message in self._outbox if message.topic != MASKED]
        if now:
            self._member.send(self.stream, now)

    # -- accounting --------------------------------------------------------------------------------

    def _settle(self, number: int) -> None:
        self._pending.pop(number, None)
        self._settled.add(number)
        self._advance()

    def _advance(self, *, everything: bool = False) -> None:
        """Moves the border below which all is settled, passing audio on as it goes by."""
        while True:
            if self._settled_below in self._settled:
                self._settled.remove(self._settled_below)
            elif self._settled_below in self._audio:
                self._pass_audio(self._audio.pop(self._settled_below))
            else:
                break
            self._settled_below += 1
        if everything:
            for number in sorted(self._audio):
                self._pass_audio(self._audio.pop(number))

    def _pass_audio(self, packet: Packet) -> None:
        if self._config.audio == "drop":
            return
        packet.epoch = self._epoch
        packet.ClearField("chain")
        self._outbox.append(Message(MASKED, StreamRecord(packet=packet).SerializeToString()))

    def _lose_overdue(self) -> None:
        """Settles packets whose frame can no longer come."""
        while self._pending:
            number, pending = next(iter(self._pending.items()))
            if pending.ordinal >= self._newest_ordinal - REORDER:
                return
            self._lose_silent(number)

    def _lose_silent(self, number: int) -> None:
        """A packet that gave neither a frame nor an error."""
        assert self._head is not None  # noqa: S101
        if self._pending[number].packet.discard or self._head.codec in HIDES_PACKETS:
            self._settle(number)
            self._ledger.discarded += 1
        else:
            self._lose(number, "undecodable", "no picture came out of it")

    def _lose(self, number: int, reason: str, detail: str) -> None:
        if number not in self._pending:
            return
        self._ledger.withheld[reason] += 1
        self._reject(reason, detail, number=number)
        self._settle(number)

    def _reject(self, reason: str, detail: str, *, number: int | None = None, index: int | None = None) -> None:
        reject = Reject(epoch=self._epoch, number=number, index=index, reason=reason, detail=detail[:500])
        self._outbox.append(Message(REJECTS, reject.SerializeToString()))

    def close(self) -> None:
        """Lets go of the child process and of what operators remember. Nothing is committed."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
        for operator in self._remembers.values():
            operator.forget(self.stream)


def _report(waiting: _Waiting, fate: int, reason: str) -> FrameReport:
    faces = waiting.frame.faces
    return FrameReport(
        index=waiting.frame.index,
        pts=waiting.pts,
        time_s=waiting.frame.time_s,
        fate=fate,
        reason=reason[:500],
        faces=[
            Face(
                box=faces.boxes[i].tolist(),
                score=float(faces.scores[i]),
                track=int(faces.tracks[i]),
                kept=bool(faces.kept[i]),
                seen=bool(faces.seen[i]),
                landmarks=faces.landmarks[i].reshape(-1).tolist() if faces.seen[i] else [],
            )
            for i in range(len(faces))
        ],
    )


__all__ = ["LIVE_UNIT", "Fenced", "Ledger", "StreamWork"]
