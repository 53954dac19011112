"""Fail closed: a frame leaves masked, covered whole or not at all, and what fails on one costs no other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from engines import FrameError, StreamError
from operators import Operator
from operators.arrays import Array
from operators.frame import Cover, Frame, Picture
from operators.shown import Shown
from pipeline.config import EncodeSection, OnFailure, SealSection
from pipeline.live import release as release_module
from pipeline.live.lookahead import LAGS_S, LookAhead, PendingFrame
from pipeline.live.masked_output import MaskedOutput
from pipeline.live.release import NOT_SEALED, Release, Released, attempt, fate_of
from pipeline.live.resume import ResumePoint
from pipeline.live.sealer import NewestKeys, Sealer, sealer_for
from pipeline.sealing.keyring import destroy
from pipeline.sealing.seal import open_seal
from pipeline.wire import FATE_COVERED_WHOLE, FATE_MASKED, FATE_WITHHELD, Fate, Head, StreamRecord
from tests.pipeline.live.plain_operators import (
    DOUBTFUL,
    FACE,
    STREAM,
    Broken,
    CoverFaces,
    Detector,
    FixedPlace,
    FrameCount,
    Hindsight,
    Resting,
    Stopwatch,
    pending,
)
from tests.pipeline.live.sealed_streams import keys_in
from tests.pipeline.media.scripted_decoder import head, picture

ENCODE = EncodeSection(preset="ultrafast")
NOT_EXAMINED = "no detector has looked at this frame"


class RefusingOutput(MaskedOutput):
    """Its encoder takes no picture."""

    def prepare(self, source: Head, picture: Picture, shown: Shown) -> None:  # noqa: ARG002
        raise FrameError(f"{source.codec} of {picture.width}x{picture.height} is refused")


class WayOut:
    """The steps of one stream, and what is after them."""

    def __init__(
        self,
        *,
        policy: OnFailure = "auto",
        output: type[MaskedOutput] = MaskedOutput,
        sealer: Sealer | None = None,
        **operators: Operator,
    ) -> None:
        self.stopwatch = Stopwatch()
        self.ahead = LookAhead(STREAM, operators, lambda _: nullcontext())
        self.output = output(ENCODE, ResumePoint())
        self._release = Release(self.ahead, self.output, policy, self.stopwatch, sealer)

    def arrive(self, frame: PendingFrame) -> None:
        attempt(frame, lambda each: self.ahead.look(each, lag_s=0))
        self.ahead.window.append(frame)

    def leave(self, *, live: bool = False, lag_s: float = 0) -> tuple[PendingFrame, Released]:
        frame = self.ahead.window.popleft()
        return frame, self._release(frame, head(live=live), lag_s=lag_s)

    def all_left(self, frames: Sequence[PendingFrame]) -> list[Released]:
        for frame in frames:
            self.arrive(frame)
        return [self.leave()[1] for _ in frames]


def of_one_colour(shown: Picture) -> bool:
    return all(np.ptp(plane) == 0 for plane in shown.planes)


# -- the decision --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "live", "policy", "fate"),
    [
        ("", False, "auto", FATE_MASKED),
        ("", False, "cover", FATE_MASKED),
        ("", False, "withhold", FATE_MASKED),
        ("", True, "auto", FATE_MASKED),
        ("", True, "cover", FATE_MASKED),
        ("", True, "withhold", FATE_MASKED),
        ("failed", False, "auto", FATE_COVERED_WHOLE),
        ("failed", False, "cover", FATE_COVERED_WHOLE),
        ("failed", False, "withhold", FATE_WITHHELD),
        ("failed", True, "auto", FATE_WITHHELD),
        ("failed", True, "cover", FATE_COVERED_WHOLE),
        ("failed", True, "withhold", FATE_WITHHELD),
    ],
)
def test_the_fate_of_a_frame(failure: str, live: bool, policy: OnFailure, fate: Fate.ValueType) -> None:
    assert fate_of(failure, live=live, policy=policy) == fate


# -- masked --------------------------------------------------------------------------------------------


def test_a_frame_that_was_looked_at_leaves_with_its_face_painted_over() -> None:
    way = WayOut(detector=Detector(), hindsight=Hindsight(), cover=CoverFaces())
    way.arrive(pending(3))

    frame, released = way.leave()

    assert released == Released(FATE_MASKED)
    luma, before = frame.frame.picture.planes[0], picture(3).planes[0]
    x1, y1, x2, y2 = map(int, FACE)
    assert np.ptp(luma[y1:y2, x1:x2]) == 0
    assert np.array_equal(luma[y2:], before[y2:])
    assert way.output.frames == 1
    assert way.stopwatch.entered == {"paint": 1, "encode": 1}


@pytest.mark.parametrize(("lag_s", "plain"), [(0.0, False), (LAGS_S, False), (LAGS_S + 0.01, True)])
def test_what_lags_gets_the_plainest_covers(lag_s: float, plain: bool) -> None:
    fine = Cover(FACE, style="blur", shape="ellipse", feather=0.1)
    way = WayOut(detector=Detector(), hindsight=Hindsight(), cover=CoverFaces(fine))
    way.arrive(pending(0))

    frame, released = way.leave(lag_s=lag_s)

    (cover,) = frame.frame.covers
    assert released.fate == FATE_MASKED
    assert cover.box == FACE
    assert (cover.style, cover.shape, cover.feather) == (("solid", "box", 0) if plain else ("blur", "ellipse", 0.1))


# -- not examined --------------------------------------------------------------------------------------


@pytest.mark.parametrize("hindsight", [True, False], ids=["looks ahead", "does not"])
def test_what_no_detector_looked_at_is_covered_whole(hindsight: bool) -> None:
    between = Hindsight() if hindsight else FrameCount()
    way = WayOut(detector=Detector(blind=[0]), between=between, cover=CoverFaces())
    way.arrive(pending(0))

    frame, released = way.leave()

    assert released == Released(FATE_COVERED_WHOLE, "not_examined", NOT_EXAMINED, (("not_examined", NOT_EXAMINED),))
    assert of_one_colour(frame.frame.picture)
    assert way.output.frames == 1


def test_no_frame_is_masked_for_a_look_at_the_one_before_or_after_it() -> None:
    way = WayOut(detector=Detector(blind=[1, 3]), hindsight=Hindsight(), cover=CoverFaces())

    released = way.all_left([pending(index) for index in range(4)])

    assert [each.fate for each in released] == [FATE_MASKED, FATE_COVERED_WHOLE] * 2


def test_where_a_detector_left_a_frame_out_fixed_places_do_not_pass_it_on() -> None:
    way = WayOut(fixed=FixedPlace(), detector=Resting(blind=[1]), also=FixedPlace(), cover=CoverFaces())

    released = way.all_left([pending(0), pending(1)])

    assert [each.fate for each in released] == [FATE_MASKED, FATE_COVERED_WHOLE]


def test_a_frame_for_which_a_detector_rested_leaves_with_all_that_it_did_not_look_at_painted_over() -> None:
    way = WayOut(detector=Resting(), hindsight=Hindsight(), cover=CoverFaces())
    frame = pending(3)
    way.ahead.look(frame, lag_s=LAGS_S * 2)
    way.ahead.window.append(frame)

    _, released = way.leave(live=True, lag_s=LAGS_S * 2)

    assert released == Released(FATE_MASKED)
    x1, y1, x2, y2 = map(int, DOUBTFUL)
    luma, before = frame.frame.picture.planes[0], picture(3).planes[0]
    assert np.ptp(luma[y1:y2, x1:x2]) == 0
    assert np.array_equal(luma[y2:], before[y2:])


def test_a_face_without_a_cover_does_not_leave() -> None:
    way = WayOut(detector=Detector(), hindsight=Hindsight())
    way.arrive(pending(0))

    frame, released = way.leave()

    assert released.fate == FATE_COVERED_WHOLE
    assert "expected a cover over the face" in released.reason
    assert of_one_colour(frame.frame.picture)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FrameError("too dark"), "too dark"),
        (ValueError("no number"), "ValueError: no number"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (MemoryError(), "MemoryError: "),
        (StreamError("from an operator"), "StreamError: from an operator"),
        (StopIteration(), "StopIteration: "),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("when", ["arrival", "release"])
def test_an_operator_that_raises_anything_marks_only_that_frame(when: str, error: Exception, reason: str) -> None:
    early, late = (Broken(error, indices=[1] if when == step else []) for step in ("arrival", "release"))
    way = WayOut(early=early, detector=Detector(), hindsight=Hindsight(), cover=CoverFaces(), late=late)

    first, second, third = way.all_left([pending(0), pending(1), pending(2)])

    assert first == third == Released(FATE_MASKED)
    assert second == Released(FATE_COVERED_WHOLE, "not_examined", reason, (("not_examined", reason),))


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit()], ids=lambda value: type(value).__name__)
def test_what_ends_the_process_is_not_taken_for_a_frame_that_failed(stop: BaseException) -> None:
    def work(_: PendingFrame) -> None:
        raise stop

    with pytest.raises(type(stop)):
        attempt(pending(0), work)


@pytest.mark.parametrize(
    ("live", "policy", "fate"),
    [(True, "auto", FATE_WITHHELD), (True, "cover", FATE_COVERED_WHOLE), (False, "withhold", FATE_WITHHELD)],
)
def test_a_frame_that_came_too_late_says_so(live: bool, policy: OnFailure, fate: Fate.ValueType) -> None:
    way = WayOut(policy=policy, detector=Detector(), hindsight=Hindsight(), cover=CoverFaces())
    way.ahead.window.append(pending(0, failed="too late", late=True))

    frame, released = way.leave(live=live)

    assert released == Released(fate, "late", "too late", (("late", "too late"),))
    assert of_one_colour(frame.frame.picture) == (fate == FATE_COVERED_WHOLE)


def test_of_a_frame_that_is_withheld_nothing_leaves() -> None:
    way = WayOut(policy="withhold", broken=Broken(ValueError("made to fail")))
    way.arrive(pending(0))

    way.leave()
    way.output.finish_unit()

    assert way.output.frames == 0
    assert way.output.take() == []
    assert way.stopwatch.entered == {}


# -- encoders ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failed", "cause", "first"),
    [("", "unencodable", ()), ("made to fail", "not_examined", (("not_examined", "made to fail"),))],
    ids=["examined", "not examined"],
)
@pytest.mark.parametrize("live", [False, True], ids=["file", "camera"])
def test_what_cannot_be_encoded_is_withheld_whatever_the_policy_says(
    live: bool, failed: str, cause: str, first: tuple[tuple[str, str], ...]
) -> None:
    way = WayOut(policy="cover", output=RefusingOutput, detector=Detector(), cover=CoverFaces())
    way.ahead.window.append(pending(0, failed=failed))

    _, released = way.leave(live=live)

    refused = "h264 of 64x48 is refused"
    assert released == Released(FATE_WITHHELD, cause, refused, (*first, ("unencodable", refused)))


def test_what_is_withheld_is_not_shown_to_the_encoder() -> None:
    way = WayOut(policy="withhold", output=RefusingOutput)
    way.ahead.window.append(pending(0, failed="made to fail"))

    _, released = way.leave()

    assert released.rejects == (("not_examined", "made to fail"),)


def test_an_encoder_that_fails_ends_this_life_of_the_stream() -> None:
    way = WayOut(detector=Detector(), cover=CoverFaces())
    for frame in (pending(0), pending(1, size=(32, 48))):
        way.arrive(frame)

    assert way.leave()[1] == Released(FATE_MASKED)
    with pytest.raises(StreamError, match=r"clip: the encoder failed: encoder of 64x48 yuv420p: got 32x48"):
        way.leave()


# -- sealed --------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> SealSection:
    return keys_in(tmp_path)


def sealed(settings: SealSection) -> Sealer:
    sealer = sealer_for(settings, STREAM)
    assert sealer is not None
    return sealer


def opened(settings: SealSection, released: Released) -> list[tuple[str, int, list[Array]]]:
    """Style, track and planes of each seal."""
    keys = NewestKeys(settings, STREAM)()
    return [(seal.style, seal.track, open_seal(keys, seal)) for seal in released.seals]


def test_what_a_cover_hides_is_sealed_before(settings: SealSection) -> None:
    way = WayOut(sealer=sealed(settings), detector=Detector(), hindsight=Hindsight(), cover=CoverFaces())
    way.arrive(pending(3))

    _, released = way.leave()
    way.output.finish_unit()

    ((style, track, planes),) = opened(settings, released)
    x1, y1, x2, y2 = map(int, FACE)
    assert (released.fate, style, track) == (FATE_MASKED, "solid", 1)
    assert np.array_equal(planes[0], picture(3).planes[0][y1:y2, x1:x2])
    assert seals_said(way.output) == [1]


@pytest.mark.parametrize("why", ["not looked at", "an operator failed", "no cover"])
def test_a_picture_that_is_covered_whole_is_sealed_whole(settings: SealSection, why: str) -> None:
    steps: dict[str, dict[str, Operator]] = {
        "not looked at": {"detector": Detector(blind=[3]), "cover": CoverFaces()},
        "an operator failed": {"detector": Detector(), "broken": Broken(ValueError("no")), "cover": CoverFaces()},
        "no cover": {"detector": Detector()},
    }
    way = WayOut(policy="auto", output=MaskedOutput, sealer=sealed(settings), **steps[why])
    way.arrive(pending(3))

    frame, released = way.leave()
    way.output.finish_unit()

    ((style, track, planes),) = opened(settings, released)
    assert (released.fate, style, track) == (FATE_COVERED_WHOLE, "whole", -1)
    assert all(map(np.array_equal, planes, picture(3).planes))
    assert of_one_colour(frame.frame.picture)
    assert seals_said(way.output) == [1]


def test_where_the_painter_fails_the_seals_of_the_faces_stay(
    settings: SealSection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has painted by then is no original any more."""

    def failing(frame: Frame) -> None:
        frame.picture.planes[0][:4] = 0
        raise MemoryError

    monkeypatch.setattr(release_module, "paint", failing)
    way = WayOut(sealer=sealed(settings), detector=Detector(), cover=CoverFaces())
    way.arrive(pending(3))

    _, released = way.leave()

    ((style, track, planes),) = opened(settings, released)
    x1, y1, x2, y2 = map(int, FACE)
    assert (released.fate, style, track) == (FATE_COVERED_WHOLE, "solid", 1)
    assert np.array_equal(planes[0], picture(3).planes[0][y1:y2, x1:x2])


def test_what_cannot_be_sealed_is_covered_whole_and_says_so(settings: SealSection) -> None:
    way = WayOut(sealer=sealed(settings), detector=Detector(), cover=CoverFaces())
    destroy(Path(settings.keyring), 1, "a test")
    way.arrive(pending(3))

    frame, released = way.leave()
    way.output.finish_unit()

    assert (released.fate, released.seals) == (FATE_COVERED_WHOLE, ())
    assert released.reason.startswith(NOT_SEALED) and "was destroyed" in released.reason
    assert of_one_colour(frame.frame.picture)
    assert seals_said(way.output) == [0]


@pytest.mark.parametrize("output", [MaskedOutput, RefusingOutput])
def test_what_is_withheld_leaves_no_seal(settings: SealSection, output: type[MaskedOutput]) -> None:
    blind = [3] if output is MaskedOutput else []
    way = WayOut(sealer=sealed(settings), output=output, detector=Detector(blind=blind), cover=CoverFaces())
    way.arrive(pending(3))

    _, released = way.leave(live=True)

    assert (released.fate, released.seals) == (FATE_WITHHELD, ())


def seals_said(output: MaskedOutput) -> list[int]:
    """By each masked packet."""
    records = [StreamRecord.FromString(message.value) for message in output.take()]
    return [record.packet.seals for record in records if record.HasField("packet")]
