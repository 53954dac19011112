from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import EngineError
from engines.card import Card, CardMetric, write_card
from operators.deepfake.quality import BETWEEN, BLURRED, TOO_FEW, UNSKILLED
from operators.deepfake.scores import (
    CALM,
    Standings,
    TrackScore,
    VerdictLimits,
    card_of,
    known_to,
    of_video,
    suspicion,
    thresholds,
    unspoken,
)
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


@pytest.mark.parametrize(("low", "words"), [(0.43, ""), (0.5, ""), (0.51, "weak indication of a forgery")])
def test_what_was_measured_with_an_interval_counts_by_its_lower_end(low: float, words: str) -> None:
    """An AUC of 0.52 that may as well be 0.43 is no better than chance."""
    measured = CardMetric(value=0.52, low=low, high=0.62)
    metrics: dict[str, CardMetric | float] = {"threshold_fake": 0.8, "threshold_real": 0.2, "auc": measured}

    assert VerdictLimits.of(metrics).judge(0.99)[0] == words


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


@pytest.mark.parametrize(
    ("scores", "latest", "probability", "judged"),
    [
        pytest.param([0.9, 0.5], 0, 0.75, 2, id="odds of 9 and 1: their mean is 3"),
        pytest.param([0.8, 0.2], 0, 0.5, 2, id="as much for as against"),
        pytest.param([0.1, 0.1, 0.9, 0.5], 2, 0.75, 4, id="the last two"),
        pytest.param([np.nan, 0.9], 0, 0.9, 1, id="what is no number is not judged"),
        pytest.param([1.0, 0.0], 0, 0.5, 2, id="certainties weigh alike"),
        pytest.param([1.0], 0, 1 - 1e-6, 1, id="nothing is certain"),
        pytest.param([], 0, np.nan, 0, id="nothing"),
    ],
)
def test_the_score_of_a_track(scores: list[float], latest: int, probability: float, judged: int) -> None:
    track = TrackScore()
    for index, score in enumerate(scores):
        track.add(score, "", index, latest)

    assert track.probability == pytest.approx(probability, nan_ok=True) and track.judged == judged


def test_a_fault_is_counted_and_its_score_is_not() -> None:
    track = TrackScore()
    track.add(0.9, BLURRED, 3, 0)

    assert (track.judged, track.met_at, track.silent) == (0, 3, {BLURRED: 1})


def test_what_is_more_suspicious() -> None:
    order = [
        Verdict("s/1", "m", None, (TOO_FEW,)),
        Verdict("s/2", "m", 0.02, (), CALM),
        Verdict("s/3", "m", 0.1, (), CALM),
        Verdict("s/4", "m", None, (BETWEEN,)),
        Verdict("s/5", "m", 0.05, (), "weak indication of a forgery"),
        Verdict("s/6", "m", 0.9, (), "weak indication of a forgery"),
    ]

    assert all(suspicion(less) < suspicion(more) for less, more in pairwise(order))


SHARE = st.floats(0, 1)


@given(SHARE, SHARE, SHARE, st.sampled_from([0.0, 0.4, 0.5, 0.6]))
def test_of_many_as_of_each(probability: float, one: float, other: float, skill: float) -> None:
    limits = VerdictLimits(fake=max(one, other), real=min(one, other), skill=skill)

    words, why = limits.judge(probability)

    assert bool(words) != bool(why)
    assert limits.between(np.array([probability]))[0] == bool(why)


def test_no_number_is_between() -> None:
    assert LIMITS.between(np.array([np.nan, 0.8, 0.5, 0.2])).tolist() == [True, False, True, False]


def test_faces_without_a_track_are_not_remembered() -> None:
    standings = Standings("m", LIMITS, least=1)
    standings.add("s", -1, 0, 0.9, "")

    assert [verdict.subject for verdict in standings.verdicts("s")] == ["s"]


def test_streams_are_kept_apart_and_forgotten_alone() -> None:
    standings = Standings("m", LIMITS, least=1)
    for stream, score in (("a", 0.9), ("b", 0.1)):
        standings.add(stream, 1, 0, score, "")

    standings.forget("a")

    assert [verdict.subject for verdict in standings.verdicts("a")] == ["a"]
    assert [verdict.probability for verdict in standings.verdicts("b")] == [pytest.approx(0.1)] * 2


# -- cards -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """An engine that lies in a file."""

    file: Path


CARD = Card(
    name="net", task="forgery", licence="-", sha256="ab" * 32, source="-",
    metrics={"threshold_fake": 0.8, "threshold_real": 0.2, "auc": CardMetric(value=0.9, low=0.7, high=0.95)},
)  # fmt: skip


@pytest.mark.parametrize("name", ["net.onnx", "net.0123456789abcdef.plan", "net.pt2"])
def test_a_card_lies_beside_the_network_or_what_its_plan_was_built_from(name: str, tmp_path: Path) -> None:
    write_card(tmp_path / "net.onnx", CARD)

    assert card_of(Opened(tmp_path / name)) == CARD
    assert known_to(Opened(tmp_path / name)) == (VerdictLimits(0.8, 0.2, skill=0.7), "net@abababababab")


def test_what_is_given_goes_before_the_card(tmp_path: Path) -> None:
    write_card(tmp_path / "net.onnx", CARD)

    limits, name = known_to(Opened(tmp_path / "net.onnx"), {"threshold_fake": 0.6})

    assert (limits, name) == (VerdictLimits(0.6), "net@abababababab")


def test_a_function_has_no_card_and_claims_nothing() -> None:
    assert known_to(lambda **_: {}) == (VerdictLimits(), "unnamed")


def test_a_network_without_its_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no card"):
        known_to(Opened(tmp_path / "net.onnx"))


def test_nothing_is_claimed_of_unusual_crops_and_of_scores_between(tmp_path: Path) -> None:
    """The second crop is too dark, and the third scores neither."""
    usual = {"brightness_low": 50.0, "brightness_high": 200.0}
    write_card(tmp_path / "net.onnx", CARD.model_copy(update={"metrics": {**CARD.metrics, **usual}}))
    pixels = np.full((3, 32, 32, 3), 120, np.uint8)
    pixels[1] = 10

    silent = unspoken(Opened(tmp_path / "net.onnx"), pixels, 16, np.array([0.9, 0.9, 0.5]))

    assert silent.tolist() == [False, True, True]
