"""The page for people: curves, pictures and silences stand where they should, and no word of a stranger is obeyed."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Any

import cv2
import jinja2
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.deepfake.heatmap import overlay
from operators.deepfake.quality import BETWEEN, BLURRED, TOO_FEW, TOO_SMALL
from operators.deepfake.scores import VerdictLimits
from operators.frame import Verdict
from pipeline.screening import page
from pipeline.screening.document import Edition
from pipeline.screening.networks import JudgingNetwork
from pipeline.screening.observations import GAZE, Notes, Series, Shot, TrackNotes
from pipeline.screening.page import report_page, shown, system_title
from pipeline.screening.report import OutcomeCounts
from pipeline.screening.screener import Screening
from tests.pipeline.screening.test_document import ABSTAINED, DETAIL, EDITION, EYES, Reader, said, screening, told_of

MARKUP = "<script>alert(1)</script>"


def page_of(made: Screening, edition: Edition = EDITION) -> str:
    return report_page(told_of(made, edition), made, edition)


def track_of(number: int, scores: list[float], *, seen: int = 1) -> TrackNotes:
    """A track with a score of ACMF in each second."""
    track = TrackNotes(number, 0.0, seen=seen)
    track.scores["acmf"] = Series(1)
    for second, score in enumerate(scores):
        track.scores["acmf"].add(second, [score])
    return track


# -- curves ----------------------------------------------------------------------------------------


def test_scores_of_a_track_lie_where_they_should_on_the_page() -> None:
    """From 0.25 to 1 over ten seconds, with the thresholds of the card at 0.8 and 0.2."""
    notes = Notes()
    notes.tracks[1] = track_of(1, [0.25] + [1.0] * 10)
    made = Screening(seconds=10, notes=notes, verdicts={"acmf": said(DETAIL, 0.9, "track 1")})

    words = page_of(made)

    lines = set(re.findall(r'<path class="line c(\d+)" d="(M[\d.]+ [\d.]+h0L[\d.]+ [\d.]+)', words))
    assert lines == {("1", "M0.00 75.00h0L10.00 0.00")}
    assert re.findall(r'class="mark" d="M0 ([\d.]+)H100"', words) == ["20.0", "80.0"] * 2  # over time, and of the track
    read = Reader(words).words
    assert "indication from 0.80 up" in read and "no indication up to 0.20" in read
    assert "ACMF: scores over time, over 0:10. track 1: 0.25 to 1" in read


@pytest.mark.parametrize(("fake", "real", "marks"), [(1.0, 0.0, 0), (0.8, 0.0, 1), (0.8, 0.2, 2)])
def test_thresholds_at_the_edge_are_not_drawn(fake: float, real: float, marks: int) -> None:
    (plot,) = page._timelines([track_of(1, [0.5])], {"acmf": VerdictLimits(fake, real)}, 10)

    assert len(plot.marks) == marks


def test_a_track_has_one_colour_in_the_plots_of_all_systems() -> None:
    """The second system scored the second track alone."""
    one, two = track_of(4, [0.5]), track_of(2, [0.6])
    two.scores["gazeforensics"] = two.scores["acmf"]
    limits = {"acmf": VerdictLimits(), "gazeforensics": VerdictLimits(), "silent": VerdictLimits()}

    detail, gaze = page._timelines([one, two], limits, 10)

    assert [(line.name, line.colour) for line in detail.lines] == [("track 4", 1), ("track 2", 2)]
    assert [(line.name, line.colour) for line in gaze.lines] == [("track 2", 2)]
    assert (detail.caption, gaze.caption) == ("ACMF: scores over time", "GazeForensics: scores over time")


def test_the_first_eight_tracks_are_drawn_over_time() -> None:
    (plot,) = page._timelines([track_of(number, [0.5]) for number in range(1, 12)], {"acmf": VerdictLimits()}, 10)

    assert [line.name for line in plot.lines] == [f"track {number}" for number in range(1, 9)]


def gaze_of(rows: int, **columns: float) -> NDArray[np.float64]:
    """Rows of a series of gaze, a second apart: 1, 2, 3, ... degrees in the columns, unless they are given."""
    values = {name: float(number) for number, name in enumerate(GAZE, 1)} | columns
    return np.array([[second, *values.values()] for second in range(rows)], np.float64)


def test_gaze_is_drawn_in_four_plots() -> None:
    plots = page._gaze_plots(gaze_of(4, right_yaw=-20, left_yaw=3, vergence=5, eyes_agree=0.5), 10)

    assert [plot.caption.partition(":")[0] for plot in plots] == ["Yaw", "Pitch", "Vergence", "Agreement of both eyes"]
    yaw, pitch, vergence, agreement = plots
    assert [tick.label for tick in yaw.y] == ["-30°", "0°", "30°"] and pitch.y[0].label == "-15°"
    assert [(line.name, line.dashed) for line in yaw.lines] == [("right eye", False), ("left eye", True)]
    assert [line.path.split("h0")[0] for line in (*yaw.lines, *vergence.lines, *agreement.lines)] == [
        "M0.00 83.33", "M0.00 45.00", "M0.00 33.33", "M0.00 25.00",
    ]  # fmt: skip


@pytest.mark.parametrize(("rows", "drawn"), [(4, True), (3, False)])
def test_a_gaze_of_a_few_moments_is_not_worth_a_plot(rows: int, drawn: bool) -> None:
    measured = np.concatenate([gaze_of(rows), gaze_of(9, vergence=np.nan)])

    assert bool(page._gaze_plots(measured, 10)) == drawn


# -- pictures --------------------------------------------------------------------------------------


def decoded(address: str) -> NDArray[np.uint8]:
    """The RGB picture that an address holds."""
    kind, _, data = address.partition("base64,")
    assert kind == "data:image/jpeg;"
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture[:, :, ::-1], np.uint8)


def test_a_picture_comes_back_in_its_colours() -> None:
    """Red at the left and blue at the right, and all the evidence at the right."""
    rgb = np.zeros((32, 32, 3), np.uint8)
    rgb[:, :16, 0], rgb[:, 16:, 2] = 200, 200
    evidence = np.array([[0.0, 2.0], [0.0, 2.0]])

    made = shown(Shot(1.5, rgb, evidence, (True, 1.0)), 2.0)

    assert made["time_s"] == 1.5
    assert np.abs(decoded(made["plain"]).astype(int) - rgb).mean() < 6
    assert np.abs(decoded(made["hot"]).astype(int) - overlay(rgb, evidence, strongest=2.0)).mean() < 8
    assert np.abs(decoded(made["hot"]).astype(int) - rgb)[:, 24:].mean() > 30


def test_a_face_that_was_not_scored_has_no_heat_map() -> None:
    assert shown(Shot(0.0, np.zeros((8, 8, 3), np.uint8), None, (False, 0.0)), 1.0)["hot"] is None


# -- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "title"), [("acmf", "ACMF"), ("gazeforensics", "GazeForensics"), ("own_system", "own_system")]
)
def test_a_system_is_called_as_its_paper_or_as_its_operator(system: str, title: str) -> None:
    assert system_title(system) == title


def changed(network: JudgingNetwork, **about: Any) -> JudgingNetwork:
    return replace(network, card=network.card.model_copy(update=about))


@pytest.mark.parametrize("field", ["name", "licence", "source", "commit", "data"])
def test_no_word_of_a_card_is_obeyed(field: str) -> None:
    network = changed(DETAIL, **{field: MARKUP})
    made = screening(said(network, 0.9, "track 1"), ABSTAINED, tracks=1)

    written = page_of(made, Edition("1", MARKUP, (network, EYES)))

    shown_words = MARKUP[:12] if field == "commit" else MARKUP
    assert shown_words in Reader(written).words and "<script" not in written


@pytest.mark.parametrize(
    "change",
    [
        {"lost": {f"{MARKUP} 1": 2}},
        {"reason": f"{MARKUP} 2"},
        {"verdicts": {"acmf": Verdict("video", MARKUP, None, (f"{MARKUP} 3",))}},
        {"verdicts": {f"{MARKUP} 4": said(DETAIL, 0.9, "track 1")}},
    ],
    ids=["lost frames", "the end", "a reason", "a system"],
)
def test_no_word_about_a_video_is_obeyed(change: dict[str, Any]) -> None:
    made = replace(screening(said(DETAIL, 0.9), ABSTAINED, tracks=1), **change)

    written = page_of(made)

    assert MARKUP in Reader(written).words and "<script" not in written


def test_silences_are_gathered_by_reason_the_most_frequent_first() -> None:
    """Tracks 1 and 3 are blurred, 2 is small; the eyes are silent on all three."""
    made = screening(said(DETAIL, None, TOO_FEW), ABSTAINED, tracks=3)
    reasons = {1: (BLURRED, TOO_FEW), 2: (TOO_SMALL, TOO_FEW), 3: (BLURRED, TOO_FEW)}
    for number, why in reasons.items():
        made.notes.hear("acmf", [Verdict(f"video/{number}", DETAIL.identity, None, why)])

    written = page_of(made)

    rows = [re.sub(r"<[^>]+>|\s+", " ", row) for row in re.findall(r'<tr><th scope="row">.*?</tr>', written, re.DOTALL)]
    silent = [re.sub(r" +", " ", row).strip() for row in rows if TOO_FEW in row or BETWEEN in row]
    assert silent == [
        f"ACMF {BLURRED}; {TOO_FEW} 1 , 3",
        f"ACMF {TOO_SMALL}; {TOO_FEW} 2",
        f"GazeForensics {BETWEEN} 1 , 2 , 3",
    ]


def test_where_all_spoke_nothing_was_left_unsaid() -> None:
    written = page_of(screening(said(DETAIL, 0.9, "track 1"), said(EYES, 0.9, "track 1"), tracks=1))

    assert "Each detector spoke of each track." in Reader(written).words


@pytest.mark.parametrize(
    ("metrics", "skill"),
    [
        ({}, "How skilled it is, nobody has measured yet."),
        ({"auc": 0.83}, "the forged one got the higher score in 83 of 100 pairs, by guessing in 50."),
        (
            {"auc": {"value": 0.69, "low": 0.61, "high": 0.77}, "crops": 476.0, "auc_kind_DeepFaceLive": 0.69},
            "Measured on 476 pictures that it has not learned from, forged by DeepFaceLive: of a genuine and a forged "
            "one, the forged one got the higher score in 69 of 100 pairs (95 % interval over people: 61 to 77), by "
            "guessing in 50. That is how it orders pairs, not how often a verdict is right.",
        ),
        (
            {"auc": 0.69, "auc_kind_swap": 0.7, "auc_kind_eyes": 0.6, "error_spoken": 0.3158},
            "forged by eyes and swap: of a genuine and a forged one, the forged one got the higher score in 69 of 100 "
            "pairs, by guessing in 50. That is how it orders pairs, not how often a verdict is right. Of what it would "
            "say of single pictures among these, 32 in 100 is wrong.",
        ),
    ],
    ids=["not measured", "a number", "with its interval and kind", "with how often it is wrong"],
)
def test_the_skill_of_a_detector_in_words(metrics: dict[str, Any], skill: str) -> None:
    card = type(DETAIL.card).model_validate({**DETAIL.card.model_dump(), "metrics": metrics})
    network = replace(DETAIL, card=card)
    made = screening(said(network, 0.9, "track 1"), ABSTAINED, tracks=1)

    words = Reader(page_of(made, Edition("1", "screen", (network, EYES)))).words

    assert skill in words
    assert "right in" not in words


def test_who_says_nothing_is_not_said_to_be_wrong() -> None:
    metrics = {"auc": {"value": 0.52, "low": 0.43, "high": 0.62}, "error_spoken": 0.58}
    card = type(DETAIL.card).model_validate({**DETAIL.card.model_dump(), "metrics": metrics})
    network = replace(DETAIL, card=card, limits=VerdictLimits.of(card.metrics))
    made = screening(said(network, None, "no skill"), ABSTAINED, tracks=1)

    words = Reader(page_of(made, Edition("1", "screen", (network, EYES)))).words

    assert "in 52 of 100 pairs" in words and "58 in 100" not in words


def test_a_score_beside_a_low_confidence_is_no_percentage() -> None:
    """It reads as a chance, which it is not on faces that the detector does not know."""
    written = page_of(screening(said(DETAIL, 0.984, "track 1"), ABSTAINED, tracks=1))

    words = Reader(written).words
    assert "0.98" in words and "98 %" not in words
    assert not re.search(r"score (of )?\d+ %", words)


def test_sizes_and_lengths_are_those_of_the_video() -> None:
    read = Reader(page_of(replace(screening(said(DETAIL, 0.9), ABSTAINED), seconds=75.4))).words

    for words in (
        "1:15 long, 640 \N{MULTIPLICATION SIGN} 360, 2 face tracks",
        "1.2 MB",
        "25.0 frames per second",
        "12 decoded, 6 looked at",
    ):
        assert words in read, words


def test_what_a_template_lacks_is_a_mistake_and_no_gap_on_the_page() -> None:
    counts = OutcomeCounts(indication=0, no_indication=0, nothing_said=0, incomplete=0)

    with pytest.raises(jinja2.UndefinedError, match="'version' is undefined"):
        page._render("index.html", rows=[], counts=counts)
