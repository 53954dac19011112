"""What a stream gives out: masked packets, sound and reports, in units, each with the state to go on from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from operators.frame import Verdict
from pipeline.brokers import SEALED, Member, Message
from pipeline.live import frame_report
from pipeline.live.frame_report import StreamReports
from pipeline.live.ledger import PacketLedger
from pipeline.live.lookahead import PendingFrame
from pipeline.live.masked_output import MaskedOutput
from pipeline.live.release import Released
from pipeline.live.resume import DecodeMark, ResumePoint
from pipeline.media.intake import PacketLost
from pipeline.wire import End


class StreamCommits:
    """The accounts of one stream, and the only one that sends and commits for it.

    Args:
        stream: its name.
        member: the stream's owner.
        point: what was committed last.
        output: the masked side.
        ledger: the packets' accounts.
        copy_audio: whether sound is passed on.

    Attributes:
        point: where the stream is; what the next commit stores.
    """

    def __init__(
        self,
        stream: str,
        member: Member,
        point: ResumePoint,
        output: MaskedOutput,
        ledger: PacketLedger,
        *,
        copy_audio: bool,
    ) -> None:
        self.point = self._stored = point
        self._stream, self._member = stream, member
        self._output, self._ledger, self._copy_audio = output, ledger, copy_audio
        self._reports = StreamReports()
        self._seals: list[Message] = []

    def lose(self, lost: PacketLost) -> None:
        """Accounts for a packet of which no picture came."""
        self._ledger.lose(lost.number, lost.reason)
        self._reports.reject(lost.reason, lost.detail, epoch=self._output.epoch, number=lost.number)
        self.pass_audio()

    def discard(self, number: int) -> None:
        """Accounts for a packet that is never shown."""
        self._ledger.discard(number)
        self.pass_audio()

    def show(self, pending: PendingFrame, released: Released, *, epoch: int) -> None:
        """Accounts for a frame of that epoch of the source that was released or withheld, and lets go of what may leave
        before the commit."""
        frame, pts = pending.frame, pending.stamp.pts
        for cause, reason in released.rejects:
            self._reports.reject(cause, reason, epoch=self._output.epoch, index=frame.index)
        fate, reason, utc_us = released.fate, released.reason, pending.utc_us
        self._reports.add(frame_report.of_frame(frame, pts, fate, reason, epoch=epoch, utc_us=utc_us))
        self._reports.claim(frame.verdicts)
        self.point = replace(
            self.point,
            next_index=frame.index + 1,
            epoch_index=pending.epoch_index,
            last_pts=pts,
            scene_s=frame.time_s,
        )
        self._seals += [Message(SEALED, seal.SerializeToString(deterministic=True)) for seal in released.seals]
        self._ledger.show(pending.number, released.fate, frame.faces, released.cause)
        self.pass_audio()
        self._send_now()

    def begin_epoch(self) -> None:
        """Frames are counted anew."""
        self.point = replace(self.point, epoch_index=0, last_pts=None, scene_s=None)

    def pass_audio(self) -> None:
        """Puts sound out up to the packets that are accounted for."""
        for packet in self._ledger.passed_audio():
            if self._copy_audio:
                self._output.pass_audio(packet)

    def commit(self, mark: DecodeMark | None, snapshot: Mapping[str, bytes], *, ended_at: int | None = None) -> None:
        """Stores the unit with the state after it, as one.

        Args:
            mark: where a new owner begins to decode; None where nothing was ever decoded.
            snapshot: what the operators remember.
            ended_at: the offset after the stream's end.

        Raises:
            Fenced, BrokerError: see `Member.commit`.
        """
        with self._ledger.timed("encode"):
            self._output.finish_unit()
        self._ledger.count_wall()
        going_on_at = mark.offset if mark is not None else 0
        self.point = replace(
            self.point,
            resume_offset=going_on_at if ended_at is None else ended_at,
            source=mark.head if mark is not None else None,
            settled_below=self._ledger.border,
            settled=self._ledger.above,
            operators=snapshot,
            ledger=self._ledger.counts,
            output=self._output.point(),
            ended=ended_at is not None,
        )
        messages = [*self._take_seals(), *self._output.take(), *self._reports.take()]
        resume, ended = self.point.resume_offset, self.point.ended
        self._member.commit(self._stream, messages, self.point.to_bytes(), resume_offset=resume, ended=ended)
        self._stored = self.point

    def reach(self, number: int) -> None:
        """Tells ingest that packets below that number were all taken in, and no unit can end with them alone. Nothing
        else of what was stored last is changed.

        Raises:
            Fenced, BrokerError: see `Member.commit`.
        """
        self.point = replace(self.point, reached=number)
        self._stored = replace(self._stored, reached=number)
        stored = self._stored
        self._member.commit(self._stream, [], stored.to_bytes(), resume_offset=stored.resume_offset)

    def finish(self, mark: DecodeMark | None, end: End, verdicts: Iterable[Verdict], ended_at: int) -> None:
        """Accounts for the end of the stream, and commits all of it.

        Args:
            end: what ingest says of the source.
            verdicts: what operators claim of the stream as a whole.
            ended_at: the offset after it.
        """
        self._ledger.close()
        self.pass_audio()
        self._output.finish_unit()
        self._ledger.counts.packets = end.ledger.packets
        self._ledger.count_wall()
        closing = End(ledger=self._ledger.counts, reason=end.reason)
        self._output.end(closing)
        self._reports.claim(verdicts)
        self._reports.end(closing)
        self._send_now()
        self.commit(mark, {}, ended_at=ended_at)

    def _send_now(self) -> None:
        """Lets masked packets go ahead of their commit, and their seals ahead of them: what is sent as one may be
        stored in part."""
        if self._output.low_latency and (messages := self._output.take()):
            if seals := self._take_seals():
                self._member.send(self._stream, seals)
            self._member.send(self._stream, messages)

    def _take_seals(self) -> list[Message]:
        """Those of the frames that are sent now: none leaves without them."""
        seals, self._seals = self._seals, []
        return seals
