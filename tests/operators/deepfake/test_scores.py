from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators.deepfake.quality import BETWEEN, BLURRED, TOO_FEW, UNSKILLED
from operators.deepfake.scores import CALM, Standings, VerdictLimits, of_video, thresholds
from operators.frame import Verdict

LIMITS = VerdictLimits(fake=0.8, real=0.2, skill=0.8)


def after(*scores: float, faults: int = 0, limits: VerdictLimits = LIMITS, latest: int = 0) -> Verdict:
    standings = Standings("m@1", limits, least=3, latest=latest)
    for index, score in enumerate(scores):
        standings.add("s", 7, index, score, "")
    for index in range(faults):
        standings.add("s", 7, len(scores) + index, np.nan, BLURRED)
    return standings.verdict("s", 7)


@pytest.mark.parametrize(
    ("verdict", "probability", "reasons", "words"),
    [
        (after(0.9, 0.9, 0.9), 0.9, (), "indication of a forgery"),
        (after(0.1, 0.1, 0.1), 0.1, (), "no indication of a forgery"),
        (after(0.9, 0.1, 0.9), None, (BETWEEN,), ""),
        (after(0.9, 0.9), None, (TOO_FEW,), ""),
        (after(0.9, faults=4), None, (BLURRED, TOO_FEW), ""),
        (after(0.9, 0.9, 0.9, faults=9), 0.9, (), "indication of a forgery"),
        (after(0.9, 0.9, 0.1, 0.1, latest=2), 0.1, (), "no indication of a forgery"),
    ],
    ids=["forged", "genuine", "between", "few", "blurred", "blurred at times", "the latest count"],
)
def test_what_is_said_of_a_track(
    verdict: Verdict, probability: float | None, reasons: tuple[str, ...], words: str
) -> None:
    assert verdict.probability == (None if probability is None else pytest.approx(probability))
    assert replace(verdict, probability=None) == Verdict("s/7", "m@1", None, reasons, words)


@pytest.mark.parametrize(
    ("skill", "words"),
    [(0.55, "weak indication"), (0.8, "indication"), (0.95, "strong indication")],
)
def test_words_are_as_strong_as_what_was_measured(skill: float, words: str) -> None:
    verdict = after(0.99, 0.99, 0.99, limits=VerdictLimits(fake=0.8, real=0.2, skill=skill))

    assert verdict.words == f"{words} of a forgery"


@pytest.mark.parametrize("score", [0.99, 0.01])
def test_a_detector_that_did_no_better_than_chance_says_nothing(score: float) -> None:
    guessing = replace(LIMITS, skill=0.5)

    assert after(score, score, score, limits=guessing) == Verdict("s/7", "m@1", None, (UNSKILLED,))
    assert guessing.between(np.array([score])).all()


def test_without_a_card_nothing_is_claimed() -> None:
    assert after(0.99, 0.99, 0.99, limits=VerdictLimits()).probability is None


def test_what_is_said_is_said_again_after_so_many_scores_and_lost_tracks_are_forgotten() -> None:
    standings = Standings("m", LIMITS, least=1)
    told = []
    for index in range(6):
        standings.add("s", 1, index, 0.9, "")
        told.append(len(standings.due("s", index, every=3)))

    assert told == [0, 0, 1, 0, 0, 1]
    assert standings.due("s", 1000, every=1) == ()
    assert [verdict.subject for verdict in standings.verdicts("s")] == ["s"]


def test_a_track_that_has_ended_is_told_once_more_and_counts_for_the_video() -> None:
    standings = Standings("m", LIMITS, least=1)
    standings.add("s", 1, 0, 0.9, "")
    standings.add("s", 2, 0, 0.1, "")
    standings.add("s", 3, 999, 0.1, "")

    ended = standings.due("s", 1000, every=5)
    *tracks, whole = standings.verdicts("s")

    assert [verdict.subject for verdict in ended] == ["s/1", "s/2"]
    assert [verdict.subject for verdict in tracks] == ["s/3"]
    assert (whole.words, whole.reasons) == ("indication of a forgery", ("track 1",))


def test_what_is_remembered_can_be_handed_over() -> None:
    standings = Standings("m", LIMITS, least=1, latest=4)
    standings.add("s", 0, 0, 0.9, "")
    standings.due("s", 1000, every=5)
    standings.add("s", 1, 1000, 0.7, "")
    standings.add("s", 2, 1000, np.nan, BLURRED)

    other = Standings("m", LIMITS, least=1, latest=4)
    other.restore("s", standings.snapshot("s"))

    assert other.verdicts("s") == standings.verdicts("s")


def test_a_video_is_as_suspicious_as_its_worst_track() -> None:
    calm, silent = Verdict("v/1", "m", 0.1, (), "no"), Verdict("v/2", "m", None, (TOO_FEW,))
    bad = Verdict("v/3", "m", 0.9, (), "yes")

    assert of_video("v", "m", [calm, silent, bad]) == Verdict("v", "m", 0.9, ("track 3",), "yes")
    assert of_video("v", "m", [silent]) == Verdict("v", "m", None, (TOO_FEW,))
    assert of_video("v", "m", []) == Verdict("v", "m", None, (TOO_FEW,))


def test_a_video_is_not_calm_beside_a_track_that_is_neither() -> None:
    calm, neither = Verdict("v/1", "m", 0.1, (), CALM), Verdict("v/2", "m", None, (BETWEEN,))
    few, bad = Verdict("v/3", "m", None, (TOO_FEW,)), Verdict("v/4", "m", 0.9, (), "indication of a forgery")

    assert of_video("v", "m", [calm, neither]) == Verdict("v", "m", None, (BETWEEN,))
    assert of_video("v", "m", [calm, few]).words == CALM
    assert of_video("v", "m", [calm, neither, bad]).probability == 0.9


def test_thresholds_leave_a_twentieth_on_the_wrong_side() -> None:
    genuine, forged = np.linspace(0, 0.7, 1001), np.linspace(0.3, 1, 1001)

    fake, real = thresholds(np.concatenate([genuine, forged]), np.repeat([0, 1], 1001))

    assert (genuine >= fake).mean() == pytest.approx(0.05, abs=0.002)
    assert (forged <= real).mean() == pytest.approx(0.05, abs=0.002)


def test_thresholds_of_classes_well_apart_meet_between_them() -> None:
    fake, real = thresholds(np.array([0.1, 0.1, 0.9, 0.9]), np.array([0, 0, 1, 1]))

    assert fake == real == pytest.approx(0.5)


def test_limits_travel_in_a_card() -> None:
    limits = VerdictLimits(fake=0.9, real=0.3, usual={"noise": (1.0, 2.0)})

    assert VerdictLimits.of({**limits.figures(), "auc": 0.7}) == VerdictLimits(0.9, 0.3, 0.7, {"noise": (1.0, 2.0)})
    assert VerdictLimits.of({"auc": float("nan")}).skill == 0  # nobody could measure it
