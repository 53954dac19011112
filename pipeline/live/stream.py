"""The work on one stream: packets in, masked packets and reports out, by one resume primitive.

A `StreamWork` decodes continuously and commits in units. What it has not committed is forgotten with it: whoever makes
a new one from the committed state decodes from the resume offset, suppresses packets that are settled, and opens a new
epoch with an IDR at `next_index`. So the same code serves a first start, a killed actor, a lost lease, a broker that
failed in a commit and a decoder that crashed.

    RecordQueue ─> SourceEpoch: Intake (decoder) ─> LookAhead (operators) ─> Release (covers, fate) ─> MaskedOutput
                                                           PacketLedger, StreamReports, ResumePoint ─> StreamCommits
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from operators import Operator
from pipeline.brokers import Member, Record
from pipeline.config import Config
from pipeline.live.ledger import PacketLedger
from pipeline.live.lookahead import LookAhead
from pipeline.live.masked_output import MaskedOutput
from pipeline.live.record_queue import Hunger, QueuedRecord, RecordQueue
from pipeline.live.release import Release
from pipeline.live.resume import DecodeMark, ResumePoint
from pipeline.live.sealer import sealer_for
from pipeline.live.source_epoch import SourceEpoch
from pipeline.live.stream_commits import StreamCommits
from pipeline.media.intake import NeverShown, PacketLost, PacketOutcome, PictureCame
from pipeline.wire import StreamRecord


class StreamWork:
    """Works on one stream for as long as its owner owns it.

    Args:
        stream: its name.
        member: the owner; commits go through it.
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
        self.ended = self.decodes = False
        self._config, self._deaths = config, deaths
        point = ResumePoint.from_bytes(member.state(stream))
        self._queue, self._ledger = RecordQueue(stream), PacketLedger(point)
        self._lookahead = LookAhead(stream, operators, self._ledger.timed)
        self._output = MaskedOutput(config.encode, point)
        sealer = sealer_for(config.seal, stream)
        self._release = Release(self._lookahead, self._output, config.on_failure, self._ledger.timed, sealer)
        copied = config.audio == "copy"
        self._commits = StreamCommits(stream, member, point, self._output, self._ledger, copy_audio=copied)
        self._source: SourceEpoch | None = None
        self._hunger = Hunger(config.backlog // 2)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._lookahead.begin(point.operators)
            if point.source is not None:
                self._open(DecodeMark(point.resume_offset, 0, point.source))
                self._epoch.blind = True  # until a head or a keyframe shows that nothing is missing
                # No two encoder runs may share an epoch, so its number is stored before anything is sent under it.
                self._commit(point.operators)
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
        moved = self._take_records()
        if self._source is not None:
            # Of a live stream one at a time: what comes in meanwhile says how late the next one is.
            for outcome in self._source.intake.outcomes(timeout_s, max_pictures=1 if self.live else None):
                moved = True
                self._account_for(outcome)
                while self._source.has_due():
                    self._release_first(self._source)
        if self._hunger.asks(self._queue, self._ledger.border, works=moved or self.busy, live=self.live):
            self._commits.reach(self._queue.fed)
        if self._queue.closing is not None and (self._source is None or self._source.intake.done):
            self._close_epoch(self._queue.closing)
            moved = True
        return moved

    @property
    def queued(self) -> int:
        """How many records wait to be worked on."""
        return len(self._queue)

    @property
    def settled(self) -> int:
        """Packets below this number are accounted for in what was committed last."""
        return self._commits.point.settled_below

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

    # -- records and epochs ------------------------------------------------------------------------

    def _take_records(self) -> bool:
        moved = False
        while (record := self._queue.peek()) is not None and not self._must_wait(record.body):
            kind = record.body.WhichOneof("body")
            if kind == "packet":
                self._take_packet(record)
            elif kind == "head" and self._source is not None and record.body.head.epoch == self._source.head.epoch:
                self._source.blind = False  # a takeover begins at the head that it already has from its state
            else:
                self._queue.closing = record
                if self._source is not None:
                    self._source.intake.finish()
            self._queue.pop()
            moved = True
        return moved

    def _must_wait(self, body: StreamRecord) -> bool:
        """A video packet for which the decoder has no room yet."""
        return body.HasField("packet") and body.packet.track == 0 and self._epoch.intake.full

    def _take_packet(self, record: QueuedRecord) -> None:
        packet = record.body.packet
        if packet.track:
            self._ledger.expect_audio(packet)
            self._commits.pass_audio()
            return
        with self._ledger.timed("transport"):
            lost = self._epoch.send(packet, record.offset, settled=self._ledger.is_settled(packet.number))
        if lost is not None:
            self._commits.lose(lost)

    @property
    def _epoch(self) -> SourceEpoch:
        assert self._source is not None  # noqa: S101 - ingest sends a head before any packet
        return self._source

    def _open(self, mark: DecodeMark) -> None:
        point = self._commits.point
        self._source = SourceEpoch(mark, point, self._lookahead, self._queue, self._config, self._deaths)
        self._output.low_latency = self._source.low_latency

    def _close_epoch(self, closing: QueuedRecord) -> None:
        """All pictures of the source's epoch are out: settle what never came, commit, begin what comes next."""
        source, mark = self._source, None
        if source is not None:
            while self._lookahead.window:
                self._release_first(source)
            for outcome in source.intake.silent():
                self._account_for(outcome)
            self._ledger.add_cpu("decode", source.intake.take_cpu_ms())
            source.intake.close()
            mark = source.marks.resume_at(self._ledger.border)
        self._queue.closing = None
        if closing.body.HasField("end"):
            self._commits.finish(mark, closing.body.end, self._lookahead.conclude(), closing.next_offset)
            self.ended = True
            self.close()
            return
        self._commits.pass_audio()
        if source is not None:
            self._output.open_epoch()
        self._commits.begin_epoch()
        self._open(DecodeMark(closing.offset, self._ledger.border, closing.body.head))
        self._commit({**self._lookahead.arrived(), **self._lookahead.released()})

    # -- frames ------------------------------------------------------------------------------------

    def _account_for(self, outcome: PacketOutcome) -> None:
        if isinstance(outcome, PictureCame):
            self.decodes = True
            self._epoch.arrive(outcome)
        elif isinstance(outcome, PacketLost):
            self._commits.lose(outcome)
        elif isinstance(outcome, NeverShown):
            self._commits.discard(outcome.number)

    def _release_first(self, source: SourceEpoch) -> None:
        pending = self._lookahead.window.popleft()
        if pending.cut is not None and (self._output.frames or pending.opens_epoch):
            if pending.opens_epoch:
                self._output.open_epoch()
            self._commit({**pending.cut, **self._lookahead.released()})
        lag_s = source.lag_s(pending.stamp.pts, pending.utc_us) - source.wait_s
        released = self._release(pending, source.head, lag_s=lag_s)
        source.intake.release(pending.slot)
        self._commits.show(pending, released, epoch=source.head.epoch)

    def _commit(self, snapshot: Mapping[str, bytes]) -> None:
        self._ledger.add_cpu("decode", self._epoch.intake.take_cpu_ms())
        self._commits.commit(self._epoch.marks.resume_at(self._ledger.border), snapshot)
