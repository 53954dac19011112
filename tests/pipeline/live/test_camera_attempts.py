"""A camera is tried again as long as that can help, and what it suffers from is said."""

from __future__ import annotations

import pytest

from pipeline.live.camera_attempts import DENIED_PAUSES_S, GRACE_S, LONGEST_PAUSE_S, CameraAttempts
from pipeline.live.events import Event


class Trial:
    """Attempts under a clock that is moved by hand."""

    def __init__(self, *, worked: bool = False) -> None:
        self.now = 1000.0
        self.events: list[Event] = []
        self.attempts = CameraAttempts("door", self.events.append, worked=worked, clock=lambda: self.now)

    def live(self, seconds: float, *, pictures: int = 10) -> None:
        """One connection that sends pictures for so long."""
        self.attempts.begin()
        for _ in range(pictures):
            self.now += seconds / pictures
            self.attempts.picture()

    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.events]


def test_pauses_double_up_to_a_limit_while_no_picture_comes() -> None:
    trial = Trial()
    pauses = []
    for _ in range(9):
        trial.attempts.begin()
        pauses.append(trial.attempts.fail("refused", denied=False))

    assert pauses == [0.5, 1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_a_camera_that_flaps_is_tried_at_once_again() -> None:
    trial = Trial()
    pauses = []
    for _ in range(4):
        trial.live(8)
        pauses.append(trial.attempts.fail("closed", denied=False))

    assert pauses == [0.5] * 4


def test_a_camera_that_closes_with_its_first_picture_is_not_hammered() -> None:
    trial = Trial()
    pauses = []
    for _ in range(4):
        trial.live(0.1, pictures=1)
        pauses.append(trial.attempts.fail("closed", denied=False))

    assert pauses == [0.5, 1, 2, 4]


def test_who_is_not_let_in_at_first_is_not_let_in_later() -> None:
    trial = Trial()

    assert trial.attempts.fail("401", denied=True) is None
    assert trial.kinds() == ["refused"]
    assert trial.attempts.reason == "401"


def test_a_camera_that_knew_the_password_is_asked_a_handful_of_times() -> None:
    trial = Trial(worked=True)

    pauses = [trial.attempts.fail("401", denied=True) for _ in range(len(DENIED_PAUSES_S) + 1)]

    assert pauses == [*DENIED_PAUSES_S, None]
    assert len(pauses) <= 5
    assert all(pause is None or pause >= 60 for pause in pauses)


def test_pictures_forgive_refusals() -> None:
    trial = Trial(worked=True)
    for _ in range(len(DENIED_PAUSES_S)):
        trial.attempts.fail("401", denied=True)

    trial.live(1)

    assert trial.attempts.fail("401", denied=True) == DENIED_PAUSES_S[0]


@pytest.mark.parametrize(
    ("away_s", "kinds"),
    [(GRACE_S - 1, ["lost", "back"]), (GRACE_S + 63, ["lost", "back", "gap"])],
    ids=["a blip", "an outage"],
)
def test_an_outage_is_a_gap(away_s: float, kinds: list[str]) -> None:
    trial = Trial()
    trial.live(8)
    trial.attempts.fail("closed", denied=False)

    trial.live(away_s, pictures=1)

    assert trial.kinds() == kinds
    assert all(event.stream == "door" for event in trial.events)
    assert trial.attempts.trouble == ""


def test_the_first_picture_of_all_ends_no_outage() -> None:
    trial = Trial()
    trial.attempts.fail("refused", denied=False)

    trial.live(60, pictures=1)

    assert trial.kinds() == ["lost", "back"]


def test_pictures_that_stop_for_a_while_are_said() -> None:
    trial = Trial()
    trial.live(8)
    trial.now += 4
    trial.attempts.silent()
    trial.now += 3
    trial.attempts.picture()

    assert trial.kinds() == ["silent", "back", "gap"]
    assert trial.events[0].reason == "no picture for 4.0 s"
    assert trial.events[-1].reason == "7.0 s without pictures"


@pytest.mark.parametrize(
    ("worked", "since_s", "reason"),
    [(False, 0.0, "closed"), (True, GRACE_S + 1, "closed"), (True, 0.0, "closed")],
    ids=["never any picture", "away", "just lost"],
)
def test_what_a_camera_suffers_from_at_the_end_is_the_reason(worked: bool, since_s: float, reason: str) -> None:
    trial = Trial()
    if worked:
        trial.live(8)
    trial.attempts.fail("closed", denied=False)
    trial.now += since_s

    assert trial.attempts.reason == reason


def test_a_camera_that_is_back_or_was_never_away_has_no_reason() -> None:
    trial = Trial()
    trial.live(8)
    assert trial.attempts.reason == ""
    trial.attempts.fail("closed", denied=False)
    trial.live(1, pictures=1)
    assert trial.attempts.reason == ""


def test_a_camera_that_is_silent_at_the_end_is_no_whole_stream() -> None:
    trial = Trial()
    trial.live(8)
    trial.now += 4
    trial.attempts.silent()

    assert trial.attempts.reason == "no picture for 4.0 s"
