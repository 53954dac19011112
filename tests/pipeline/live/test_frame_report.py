"""What is reported of frames and rejects, as others read it from the topics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators.frame import Faces, Frame, Verdict
from pipeline.brokers import REJECTS, VERDICTS, Message
from pipeline.live.frame_report import LONGEST_REASON, StreamReports, message_of, of_frame
from pipeline.wire import (
    FATE_COVERED_WHOLE,
    FATE_MASKED,
    End,
    Face,
    Fate,
    FrameReport,
    Ledger,
    Reject,
    VerdictMessage,
    VerdictRecord,
)
from tests.pipeline.media.scripted_decoder import picture

NAN = float("nan")
LANDMARKS = [[[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]], [[NAN, NAN]] * 5]


def frame(faces: Faces | None = None) -> Frame:
    return Frame("clip", 7, 0.28, picture(), faces=faces if faces is not None else Faces.of())


def report(faces: Faces | None = None, *, fate: Fate.ValueType = FATE_MASKED, reason: str = "") -> FrameReport:
    return of_frame(frame(faces), 280, fate, reason, epoch=2, utc_us=5)


def test_a_frame_without_faces() -> None:
    seen = report()

    assert (seen.index, seen.pts, seen.time_s) == (7, 280, 0.28)
    assert (seen.epoch, seen.utc_us) == (2, 5)
    assert (seen.fate, seen.reason, list(seen.faces)) == (FATE_MASKED, "", [])


def test_each_face_is_reported_with_what_is_known_of_it() -> None:
    boxes = [[1, 2, 3, 4], [5.5, 6, 7, 8]]
    faces = Faces.of(boxes, [0.75, 0.5], landmarks=LANDMARKS, tracks=[3, -1], kept=[False, True], seen=[True, False])

    seen = report(faces)

    assert list(seen.faces) == [
        Face(box=[1, 2, 3, 4], score=0.75, track=3, seen=True, landmarks=range(1, 11)),
        Face(box=[5.5, 6, 7, 8], score=0.5, track=-1, kept=True),
    ]


def test_detectors_that_kept_silent_are_left_out() -> None:
    faces = Faces.of([[0, 0, 8, 8]] * 2, landmarks=[LANDMARKS[0]] * 2).with_data(
        forged_acmf=np.array([0.25, NAN]), forged_gaze=np.array([NAN, NAN]), mesh=np.zeros((2, 478, 3))
    )

    seen = report(faces)

    assert [dict(face.forged) for face in seen.faces] == [{"acmf": 0.25}, {}]


def test_the_reason_of_a_frame_is_cut() -> None:
    seen = report(fate=FATE_COVERED_WHOLE, reason="x" * (LONGEST_REASON + 1))

    assert (seen.fate, seen.reason, LONGEST_REASON) == (FATE_COVERED_WHOLE, "x" * 500, 500)


@pytest.mark.parametrize("probability", [0.0, 0.75, None])
def test_an_abstention_carries_no_probability(probability: float | None) -> None:
    verdict = Verdict("clip/3", "acmf", probability, ("too few frames", "too small"), "likely genuine")

    message = message_of(verdict)

    assert message.HasField("probability") == (probability is not None)
    assert message == VerdictMessage(
        subject="clip/3",
        model="acmf",
        probability=probability,
        reasons=["too few frames", "too small"],
        words="likely genuine",
    )


def records(messages: list[Message]) -> list[Reject | VerdictRecord]:
    kinds: dict[str, type[Reject] | type[VerdictRecord]] = {REJECTS: Reject, VERDICTS: VerdictRecord}
    return [kinds[message.topic].FromString(message.value) for message in messages]


def test_what_was_reported_leaves_once_and_as_one_record() -> None:
    reports, first, second = StreamReports(), report(), report(Faces.of([[0, 0, 8, 8]], seen=[False]))
    claim = Verdict("clip", "acmf", 0.5)

    reports.add(first)
    reports.claim([claim, replace(claim, subject="clip/1")])
    reports.add(second)

    assert records(reports.take()) == [
        VerdictRecord(
            frames=[first, second], verdicts=[message_of(claim), message_of(replace(claim, subject="clip/1"))]
        )
    ]
    assert reports.take() == []


def test_the_end_is_in_the_last_record() -> None:
    reports, end = StreamReports(), End(ledger=Ledger(shown=3), reason="over")

    reports.add(report())
    reports.end(end)

    assert records(reports.take()) == [VerdictRecord(frames=[report()], end=end)]


def test_rejects_name_a_packet_or_a_frame() -> None:
    reports = StreamReports()

    reports.reject("undecodable", "no picture came out of it", epoch=2, number=0)
    reports.reject("late", "y" * (LONGEST_REASON + 1), epoch=3, index=5)
    packet, frame_reject = records(reports.take())

    assert packet == Reject(epoch=2, number=0, reason="undecodable", detail="no picture came out of it")
    assert frame_reject == Reject(epoch=3, index=5, reason="late", detail="y" * 500)
    assert isinstance(packet, Reject) and packet.HasField("number") and not packet.HasField("index")
    assert reports.take() == []


def test_rejects_leave_before_the_reports_of_the_same_unit() -> None:
    reports = StreamReports()

    reports.add(report())
    reports.reject("late", "too late", epoch=0, index=7)

    assert [message.topic for message in reports.take()] == [REJECTS, VERDICTS]
