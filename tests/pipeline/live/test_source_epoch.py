"""One unbroken run of a source: what opens an epoch of the output, where units end, and what comes too late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from operators import Operator
from operators.frame import Frame
from operators.shown import AS_IT_LIES, Shown
from pipeline.config import Config, Delivery, Step
from pipeline.live.lookahead import LAGS_S, LATE_S, LookAhead
from pipeline.live.record_queue import RecordQueue
from pipeline.live.resume import DecodeMark, ResumePoint
from pipeline.live.source_epoch import SourceEpoch
from pipeline.live.unit_cuts import UNIT_FRAMES
from pipeline.media import Decoded
from pipeline.media.intake import NO_PACKET, PictureCame
from pipeline.wire import Head
from tests.pipeline.live.plain_operators import CountAhead, Detector, Hindsight, Resting, lookahead
from tests.pipeline.media.scripted_decoder import BASE, TICK, ScriptedDecoder, head, packet, picture

Opened = list[ScriptedDecoder]
ZONES = Step(use="detect.zones", options={"boxes": []})


def config(delivery: Delivery = "auto", *, lookahead_ms: float = 200, lookahead_mb: int = 8) -> Config:
    return Config(steps=[ZONES], delivery=delivery, lookahead_ms=lookahead_ms, lookahead_mb=lookahead_mb)


@dataclass
class Stage:
    """An epoch with all it writes to."""

    source: Head = field(default_factory=head)
    settings: Config = field(default_factory=config)
    point: ResumePoint = field(default_factory=ResumePoint)
    operators: dict[str, Operator] = field(default_factory=lambda: {"hindsight": Hindsight()})
    deaths: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.queue = RecordQueue("clip")
        self.ahead: LookAhead = lookahead(**self.operators)
        mark = DecodeMark(7, 0, self.source)
        self.epoch = SourceEpoch(mark, self.point, self.ahead, self.queue, self.settings, self.deaths)

    def arrive(
        self,
        number: int,
        *,
        pts: int | None = None,
        key: bool = False,
        size: tuple[int, int] = (64, 48),
        shown: Shown = AS_IT_LIES,
    ) -> None:
        came = packet(number, key=key)
        came.pts = number * TICK if pts is None else pts
        self.epoch.arrive(PictureCame(came, Decoded(number, number, picture(number, *size), False, shown)))


@pytest.fixture(autouse=True)
def _no_child_processes(decoders: Opened) -> Opened:
    return decoders


# -- frames --------------------------------------------------------------------------------------------


def test_frames_are_numbered_and_timed_from_where_the_stream_is() -> None:
    stage = Stage(point=ResumePoint(next_index=10, epoch_index=4, last_pts=TICK))

    stage.arrive(2, shown=Shown.turned(90))
    stage.arrive(3, pts=3 * TICK, shown=Shown.turned(90))

    first, second = stage.ahead.window
    assert (first.frame.stream, first.frame.index, first.frame.time_s, first.frame.shown) == (
        *("clip", 10, 0.08),
        Shown.turned(90),
    )
    assert (first.number, first.slot, first.stamp.pts, first.epoch_index) == (2, 2, 2 * TICK, 5)
    assert (second.frame.index, second.frame.time_s, second.epoch_index) == (11, 0.12, 6)


def test_a_frame_at_the_instant_of_the_last_one_that_was_released_is_moved() -> None:
    stage = Stage(point=ResumePoint(next_index=10, epoch_index=4, last_pts=TICK))

    stage.arrive(1, pts=TICK)

    assert stage.ahead.window[0].stamp.pts == TICK + 1


def test_the_window_holds_planes_only() -> None:
    class ReadsColours:
        def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
            assert all(frame.bgr.size for frame in frames)
            return list(frames)

    stage = Stage(operators={"colours": ReadsColours(), "hindsight": Hindsight()})

    stage.arrive(0)

    assert "bgr" not in vars(stage.ahead.window[0].frame)
    assert not stage.ahead.window[0].failed


def test_a_frame_whose_step_fails_waits_with_its_reason() -> None:
    class Fails:
        def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
            raise ValueError(f"{len(frames)} is too many")

    stage = Stage(operators={"fails": Fails(), "hindsight": Hindsight()})

    stage.arrive(0)

    assert [(each.failed, each.late) for each in stage.ahead.window] == [("ValueError: 1 is too many", False)]


# -- epochs and units ----------------------------------------------------------------------------------


def test_another_size_opens_an_epoch_of_the_output() -> None:
    stage = Stage(operators={"count": CountAhead()})

    for number, size in enumerate([(64, 48), (64, 48), (48, 64), (48, 64), (64, 48)]):
        stage.arrive(number, key=True, size=size)

    assert [each.opens_epoch for each in stage.ahead.window] == [False, False, True, False, True]
    assert [each.cut for each in stage.ahead.window] == [None, None, {"count": b"2"}, None, {"count": b"4"}]


def test_a_clock_that_jumps_opens_an_epoch_and_nothing_lags_it() -> None:
    stage = Stage(head(live=True, may_jump=True))
    stage.queue.newest = (0, 50 * BASE)

    stage.arrive(0, pts=50 * BASE)
    stage.arrive(1, pts=TICK)

    assert [each.opens_epoch for each in stage.ahead.window] == [False, True]
    assert stage.queue.newest == (0, TICK)
    assert stage.epoch.lag_s(TICK, 0) == 0


def test_a_unit_ends_with_what_operators_remember_of_the_frames_before() -> None:
    stage = Stage(operators={"count": CountAhead()})

    for number in range(UNIT_FRAMES + 8):
        stage.arrive(number, key=number % 10 == 0)

    stage.arrive(UNIT_FRAMES + 8, key=True)

    cuts = {each.number: each.cut for each in stage.ahead.window if each.cut is not None}
    assert cuts == {30: {"count": b"30"}}  # the first keyframe after a second of 25 frames


# -- packets -------------------------------------------------------------------------------------------


def test_decoding_may_begin_at_keyframes_and_at_the_head() -> None:
    stage = Stage()

    for number in range(6):
        stage.epoch.send(packet(number, key=number % 2 == 0), offset=100 + number, settled=False)

    begins = [stage.epoch.marks.resume_at(border).offset for border in (0, 2, 3, 4, 5)]
    assert begins == [7, 100, 100, 102, 102]


def test_packets_go_to_a_decoder_that_knows_limits_and_deaths(decoders: Opened) -> None:
    stage = Stage(deaths={1: 2})

    sent = [stage.epoch.send(packet(number), offset=number, settled=False) for number in range(3)]

    assert [lost and (lost.number, lost.reason) for lost in sent] == [None, (1, "decoder_died"), None]
    assert decoders[0].received == [0, 2]
    assert decoders[0].limits.timeout_s == config().jail.timeout_s
    assert Stage(deaths={NO_PACKET: 3}).epoch.intake.free == 0
    assert len(decoders) == 1


def test_where_memory_is_scarce_a_frame_leaves_before_its_time(decoders: Opened) -> None:
    large = head()
    large.width, large.height = 1920, 1080
    detector = Detector()
    operators: dict[str, Operator] = {"detector": detector, "hindsight": Hindsight()}
    stage, left = Stage(large, config(lookahead_ms=60_000), operators=operators), []

    for number in range(7):
        stage.epoch.send(packet(number), offset=number, settled=False)
        for outcome in stage.epoch.intake.outcomes(0):
            assert isinstance(outcome, PictureCame)
            stage.epoch.arrive(outcome)
            while stage.epoch.has_due():
                leaving = stage.ahead.window.popleft()
                left.append((leaving.number, leaving.frame.examined))
                stage.epoch.intake.release(leaving.slot)

    assert decoders[0].free == 2
    assert left == [(number, True) for number in range(5)]
    assert detector.looked == list(range(7))


# -- cameras -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delivery", "live", "low_latency"),
    [
        ("auto", False, False),
        ("auto", True, True),
        ("transactional", True, False),
        ("low_latency", False, True),
    ],
)
def test_which_of_the_two_deliveries(delivery: Delivery, live: bool, low_latency: bool) -> None:
    assert Stage(head(live=live), config(delivery)).epoch.low_latency == low_latency


@pytest.mark.parametrize(
    ("live", "delivery", "newest", "lag_s"),
    [
        pytest.param(True, "auto", (3, 5000), 4.0, id="a camera"),
        pytest.param(True, "auto", (2, 5000), 0.0, id="of another epoch nothing is known"),
        pytest.param(True, "transactional", (3, 5000), 0.0, id="every frame has time"),
        pytest.param(False, "low_latency", (3, 5000), 0.0, id="a file waits for us"),
        pytest.param(True, "auto", (3, 1000), 0.0, id="in time"),
    ],
)
def test_how_far_a_picture_lags(live: bool, delivery: Delivery, newest: tuple[int, int], lag_s: float) -> None:
    stage = Stage(head(live=live, epoch=3), config(delivery))
    stage.queue.newest = newest

    assert stage.epoch.lag_s(1000, 0) == lag_s


@pytest.mark.parametrize(
    ("received_us", "newest_us", "lag_s"),
    [
        pytest.param(1_000_000, 3_500_000, 2.5, id="pictures came in while the clock stood"),
        pytest.param(1_000_000, 1_000_000, 0.0, id="a burst, all of it in time"),
        pytest.param(1_000_000, 400_000, 0.0, id="the wall clock was set back"),
        pytest.param(0, 3_500_000, 4.0, id="nobody says when it was received"),
        pytest.param(1_000_000, 0, 4.0, id="nor when the others were"),
    ],
)
def test_a_lag_is_one_of_arrival_where_that_is_known(received_us: int, newest_us: int, lag_s: float) -> None:
    """By the camera's clock, the last picture is four seconds later."""
    stage = Stage(head(live=True, epoch=3))
    stage.queue.newest, stage.queue.received_us = (3, 5000), newest_us

    assert stage.epoch.lag_s(1000, received_us) == lag_s


def test_operators_go_by_a_clock_that_does_not_stand_and_reports_by_the_source_s() -> None:
    stage = Stage(point=ResumePoint(next_index=10, epoch_index=4, last_pts=TICK, scene_s=7.0))

    for number in range(3):
        stage.arrive(number, pts=TICK)

    frames = [pending.frame for pending in stage.ahead.window]
    assert [frame.time_s for frame in frames] == pytest.approx([7.016, 7.032, 7.048])
    assert [frame.source_s for frame in frames] == [0.041, 0.042, 0.043]


@pytest.mark.parametrize("step", [0, 1, TICK])
def test_no_frame_waits_for_a_clock_that_stands(step: int) -> None:
    """The look-ahead of 200 ms is over after at most 13 frames, whatever the camera's clock says."""
    stage = Stage(head(live=True), config(lookahead_ms=200))
    waited = 0

    while not stage.epoch.has_due():
        stage.arrive(waited, pts=TICK + waited * step)
        waited += 1

    assert waited <= 13


def test_another_turn_in_the_middle_opens_an_epoch() -> None:
    stage = Stage()

    for number, degrees in enumerate((0, 0, 90, 90)):
        stage.arrive(number, shown=Shown.turned(degrees))

    assert [pending.opens_epoch for pending in stage.ahead.window] == [False, False, True, False]


def test_what_is_too_late_is_not_looked_at_be_it_the_first_of_all() -> None:
    detector, resting = Detector(), Resting()
    stage = Stage(head(live=True), operators={"detector": detector, "resting": resting, "hindsight": Hindsight()})
    stage.queue.newest = (0, TICK + round((LATE_S + 1) * BASE))

    stage.arrive(0)
    stage.arrive(1)
    stage.queue.newest = (0, 2 * TICK)
    stage.arrive(2)

    assert detector.looked == resting.looked == [2]
    assert resting.rested == []
    assert [each.late for each in stage.ahead.window] == [True, True, False]
    assert [each.failed[:8] for each in stage.ahead.window] == ["too late", "too late", ""]
    assert [each.frame.examined for each in stage.ahead.window] == [False, False, True]


def test_a_frame_that_lags_by_less_is_given_to_detectors_that_rest() -> None:
    resting = Resting()
    stage = Stage(head(live=True), operators={"resting": resting, "hindsight": Hindsight()})
    stage.queue.newest = (0, round((LAGS_S + 0.1) * BASE))

    stage.arrive(0)

    assert (resting.looked, resting.rested) == ([], [0])
    assert not stage.ahead.window[0].late


def test_a_frame_that_is_late_by_just_so_much_is_looked_at() -> None:
    stage = Stage(head(live=True))
    stage.queue.newest = (0, round(LATE_S * BASE))

    stage.arrive(0)

    assert not stage.ahead.window[0].late


def test_frames_wait_as_long_as_the_config_says() -> None:
    detector = Detector()
    stage, due = Stage(settings=config(lookahead_ms=80), operators={"detector": detector, "ahead": Hindsight()}), []

    for number in range(5):
        due.append(stage.epoch.has_due())
        stage.arrive(number)

    assert stage.epoch.wait_s == 0.08
    assert due == [False, False, False, True, True]
    assert detector.looked == list(range(5))


# -- a takeover in the middle of a GOP -------------------------------------------------------------------


def test_nothing_is_shown_of_a_gop_whose_beginning_is_gone(decoders: Opened) -> None:
    """What a decoder makes of it may show a face that no detector knows."""
    stage = Stage()
    stage.epoch.blind = True

    sent = [stage.epoch.send(packet(n, key=n == 4), n, settled=n == 2) for n in (2, 3, 4, 5)]

    assert [lost and (lost.number, lost.detail) for lost in sent] == [
        None, (3, "its keyframe is no longer stored"), None, None
    ]  # fmt: skip
    assert [given.number for given in decoders[0]._under_way] == [4, 5]
