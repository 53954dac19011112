"""What a stream gives out: in units, with the state to go on from; in low latency, masked packets before that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from operators.frame import Faces, Verdict
from pipeline.brokers import MASKED, REJECTS, SEALED, VERDICTS, Message
from pipeline.config import EncodeSection
from pipeline.live.ledger import PacketLedger
from pipeline.live.lookahead import PendingFrame
from pipeline.live.masked_output import MaskedOutput
from pipeline.live.release import Released
from pipeline.live.resume import DecodeMark, OutputPoint, ResumePoint
from pipeline.live.stream_commits import StreamCommits
from pipeline.media.intake import PacketLost
from pipeline.wire import (
    FATE_MASKED,
    FATE_WITHHELD,
    End,
    Ledger,
    Packet,
    Reject,
    Seal,
    StreamRecord,
    VerdictRecord,
)
from tests.pipeline.live.plain_operators import STREAM, pending
from tests.pipeline.live.scripted_member import Commit, ScriptedMember
from tests.pipeline.media.scripted_decoder import head

MARK = DecodeMark(100, 0, head())
MASKED_FRAME = Released(FATE_MASKED)


class Desk:
    """The commits of one stream, with all they write to."""

    def __init__(
        self,
        point: ResumePoint | None = None,
        *,
        low_latency: bool = False,
        copy_audio: bool = True,
        member: ScriptedMember | None = None,
    ) -> None:
        point = point or ResumePoint()
        self.member, self.ledger = member or ScriptedMember(), PacketLedger(point)
        self.output = MaskedOutput(EncodeSection(preset="ultrafast"), point)
        self.output.low_latency = low_latency
        self.commits = StreamCommits(STREAM, self.member, point, self.output, self.ledger, copy_audio=copy_audio)

    def show(self, frame: PendingFrame, released: Released = MASKED_FRAME) -> None:
        if released.fate != FATE_WITHHELD:
            self.output.prepare(head(), frame.frame.picture, frame.frame.shown)
            self.output.encode(frame.frame.picture, frame.frame.index, frame.stamp.pts, frame.stamp.duration)
        self.commits.show(frame, released, epoch=0)

    def commit(self, mark: DecodeMark | None = MARK) -> Commit:
        self.commits.commit(mark, {"track": b"remembered"})
        return self.member.commits[-1]


def put_out(messages: Sequence[Message]) -> list[tuple[str, int]]:
    """Kind and number of each record of `masked`."""
    records = [StreamRecord.FromString(message.value) for message in messages if message.topic == MASKED]
    kinds = ["sound" if record.packet.track else str(record.WhichOneof("body")) for record in records]
    return [(kind, record.packet.number) for kind, record in zip(kinds, records, strict=True)]


def reports(messages: Sequence[Message]) -> VerdictRecord:
    (record,) = (VerdictRecord.FromString(message.value) for message in messages if message.topic == VERDICTS)
    return record


def rejects(messages: Sequence[Message]) -> list[Reject]:
    return [Reject.FromString(message.value) for message in messages if message.topic == REJECTS]


# -- one unit ------------------------------------------------------------------------------------------


def test_a_unit_is_stored_with_the_state_to_go_on_from() -> None:
    desk = Desk()
    for index, number in enumerate((0, 2, 1, 4)):
        desk.show(replace(pending(index), number=number))

    commit = desk.commit()

    assert put_out(commit.messages) == [("head", 0), *[("packet", index) for index in (0, 1, 2, 3)]]
    assert [frame.index for frame in reports(commit.messages).frames] == [0, 1, 2, 3]
    assert (commit.resume_offset, commit.ended) == (100, False)
    point = ResumePoint.from_bytes(commit.state.SerializeToString())
    assert point == desk.commits.point
    assert (point.next_index, point.epoch_index, point.last_pts) == (4, 4, 120)
    assert (point.settled_below, point.settled, point.ledger.shown) == (3, (4,), 4)
    assert (point.resume_offset, point.source, point.operators) == (100, MARK.head, {"track": b"remembered"})
    assert point.output == desk.output.point() != OutputPoint()
    assert not point.ended


def test_what_a_unit_cost_is_stored_with_it() -> None:
    desk = Desk()
    desk.show(pending(0))

    ledger = desk.commit().state.ledger

    assert ledger.cpu_ms["encode"] > 0
    assert ledger.wall_s > 0


def test_what_was_committed_is_not_committed_again() -> None:
    desk = Desk()
    desk.show(pending(0))
    desk.commit()

    again = desk.commit()

    assert again.messages == ()
    assert again.state.next_index == 1


def test_a_stream_without_a_head_is_stored_without_an_offset_to_decode_from() -> None:
    commit = Desk().commit(None)

    assert commit.resume_offset == 0
    assert not commit.state.HasField("source")


def test_a_new_epoch_of_the_source_is_counted_anew_and_the_frames_are_not() -> None:
    desk = Desk(ResumePoint(next_index=7, epoch_index=5, last_pts=40))

    desk.commits.begin_epoch()

    assert desk.commits.point == ResumePoint(next_index=7, epoch_index=0, last_pts=None)


# -- what becomes of packets ---------------------------------------------------------------------------


def test_a_lost_packet_is_counted_and_rejected() -> None:
    desk = Desk()

    desk.commits.lose(PacketLost(0, "undecodable", "no picture came out of it"))
    commit = desk.commit()

    assert dict(commit.state.ledger.withheld) == {"undecodable": 1}
    assert rejects(commit.messages) == [Reject(number=0, reason="undecodable", detail="no picture came out of it")]
    assert commit.state.settled_below == 1


def test_a_packet_that_is_never_shown_is_only_counted() -> None:
    desk = Desk()

    desk.commits.discard(0)
    commit = desk.commit()

    assert (commit.state.ledger.discarded, commit.state.settled_below, commit.messages) == (1, 1, ())


def test_a_frame_that_is_withheld_is_reported_with_its_reasons() -> None:
    desk = Desk()
    causes = (("not_examined", "made to fail"), ("unencodable", "too wide"))

    desk.show(pending(3), Released(FATE_WITHHELD, "not_examined", "too wide", causes))
    commit = desk.commit()

    (report,) = reports(commit.messages).frames
    assert (report.index, report.fate, report.reason) == (3, FATE_WITHHELD, "too wide")
    assert [(reject.index, reject.reason, reject.detail) for reject in rejects(commit.messages)] == [
        (3, "not_examined", "made to fail"),
        (3, "unencodable", "too wide"),
    ]
    assert dict(commit.state.ledger.withheld) == {"not_examined": 1}
    assert put_out(commit.messages) == []


def test_rejects_carry_the_epoch_of_the_masked_output() -> None:
    desk = Desk()
    desk.output.open_epoch()

    desk.commits.lose(PacketLost(0, "undecodable", ""))
    desk.show(pending(1), Released(FATE_WITHHELD, "late", "too late", (("late", "too late"),)))

    assert [reject.epoch for reject in rejects(desk.commit().messages)] == [1, 1]


def test_faces_and_claims_of_a_frame_are_counted_and_reported() -> None:
    desk, frame = Desk(), pending(0)
    claim = Verdict(f"{STREAM}/3", "acmf", 0.25)
    frame.frame = replace(frame.frame, faces=Faces.of([[0, 0, 8, 8]], tracks=[3]), verdicts=(claim,))

    desk.show(frame)
    commit = desk.commit()

    assert (commit.state.ledger.faces, commit.state.ledger.tracks) == (1, 3)
    assert [verdict.subject for verdict in reports(commit.messages).verdicts] == [claim.subject]


# -- sound ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settle", ["show", "lose", "discard"])
@pytest.mark.parametrize("copy_audio", [True, False], ids=["copied", "dropped"])
def test_sound_goes_out_when_what_precedes_it_is_settled(settle: str, copy_audio: bool) -> None:
    desk = Desk(copy_audio=copy_audio)
    desk.ledger.expect_audio(Packet(number=1, track=1, chain=b"hash", data=b"tone"))
    desk.commits.pass_audio()
    early = put_out(desk.commit().messages)

    if settle == "show":
        desk.show(pending(0), Released(FATE_WITHHELD, "late"))
    elif settle == "lose":
        desk.commits.lose(PacketLost(0, "undecodable", ""))
    else:
        desk.commits.discard(0)
    late = desk.commit()

    assert early == []
    assert put_out(late.messages) == ([("sound", 1)] if copy_audio else [])
    assert late.state.settled_below == 2


# -- low latency, and the end --------------------------------------------------------------------------


def test_in_low_latency_masked_packets_go_ahead_and_reports_with_the_commit() -> None:
    desk = Desk(low_latency=True)

    desk.show(pending(0))
    ahead = put_out(desk.member.sent[STREAM])
    commit = desk.commit()

    assert ahead == [("head", 0), ("packet", 0)]
    assert [message.topic for message in commit.messages] == [VERDICTS]


def test_in_transactional_delivery_nothing_goes_ahead() -> None:
    desk = Desk()

    desk.show(pending(0))
    desk.commits.lose(PacketLost(1, "undecodable", ""))

    assert desk.member.sent == {}


def test_seals_are_stored_before_the_masked_packets_that_they_are_of() -> None:
    """By a call of their own: of what is sent as one a broker may store a part."""

    class Calls(ScriptedMember):
        def send(self, stream: str, messages: Sequence[Message]) -> None:
            calls.append({message.topic for message in messages})
            super().send(stream, messages)

    calls: list[set[str]] = []
    desk = Desk(low_latency=True, member=Calls())

    desk.show(pending(0), Released(FATE_MASKED, seals=(Seal(index=0),)))
    desk.show(pending(1))

    assert calls == [{SEALED}, {MASKED}, {MASKED}]


def test_in_a_transaction_they_go_with_their_unit() -> None:
    desk = Desk()
    desk.show(pending(0), Released(FATE_MASKED, seals=(Seal(index=0),)))

    commit = desk.commit()

    assert desk.member.sent == {}
    assert [message.topic for message in commit.messages[:2]] == [SEALED, MASKED]
    assert not desk.commit().messages


@pytest.mark.parametrize("low_latency", [False, True])
def test_the_end_is_the_last_that_is_put_out_and_counts_all(low_latency: bool) -> None:
    desk = Desk(low_latency=low_latency)
    desk.show(pending(0))
    desk.ledger.expect_audio(Packet(number=5, track=1))  # a gap before it: the packets between never came

    claim = Verdict(STREAM, "acmf", None, ("too few frames",))
    desk.commits.finish(MARK, End(ledger=Ledger(packets=4), reason="broke off"), [claim], 77)

    (commit,) = desk.member.commits
    out = [*desk.member.sent[STREAM], *commit.messages]
    first, *between, last = put_out(out)
    assert (first, sorted(between), last) == (("head", 0), [("packet", 0), ("sound", 5)], ("end", 0))
    end = StreamRecord.FromString([message for message in out if message.topic == MASKED][-1].value).end
    assert (end.reason, end.ledger.packets, end.ledger.shown) == ("broke off", 4, 1)
    assert reports(commit.messages).end == end
    assert [verdict.subject for verdict in reports(commit.messages).verdicts] == [STREAM]
    assert (commit.resume_offset, commit.ended, commit.state.ended, commit.state.resume_offset) == (77, True, True, 77)
    assert dict(commit.state.operators) == {}


def test_a_stream_that_never_had_a_head_can_end() -> None:
    desk = Desk()

    desk.commits.finish(None, End(reason="no such camera"), [], 3)

    (commit,) = desk.member.commits
    assert (commit.ended, commit.resume_offset) == (True, 3)
    assert not commit.state.HasField("source")
