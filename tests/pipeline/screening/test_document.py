"""What a report says: the words of whoever is most suspicious, and silences with their reasons."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from engines.card import Card, CardMetric
from operators.deepfake.quality import BETWEEN, BLURRED, TOO_FEW, TOO_SMALL, UNSKILLED
from operators.deepfake.scores import VerdictLimits
from operators.frame import Verdict
from pipeline.screening.document import NOTHING, UNSHOWN, Edition, document, summary
from pipeline.screening.networks import JudgingNetwork
from pipeline.screening.observations import Notes
from pipeline.screening.page import index_page, report_page, shown
from pipeline.screening.report import ListedFile, ListedVideo, OutcomeCounts, ScreeningReport
from pipeline.screening.screener import Screening, Upload
from pipeline.wire import Head, Rational
from tests.operators.deepfake.faces import frame_of, mesh
from tests.pipeline.screening.test_observations import scored

SHA = "ab" * 32
HOSTILE = Path("<img src=x onerror=alert(1)>&amp;\"'[red].mp4")


def model(name: str, auc: float | None, *, fake: float = 0.8, real: float = 0.2) -> JudgingNetwork:
    metrics: dict[str, CardMetric | float] = {"threshold_fake": fake, "threshold_real": real}
    if auc is not None:
        metrics["auc"] = CardMetric(value=auc + 0.05, low=auc, high=auc + 0.1)
    card = Card(
        name=f"deepfake.{name}/small", task="forgery of a face", licence="CC0-1.0", sha256=SHA, source="a test",
        data="drawn faces", metrics=metrics, failures=["<b>drawn</b> faces"],
    )  # fmt: skip
    return JudgingNetwork(f"deepfake.{name}", "detector", Path(f"{name}.onnx"), SHA, card, VerdictLimits.of(metrics))


EYES, DETAIL = model("gazeforensics", 0.55), model("acmf", 0.8)
EDITION = Edition("1.2.3", "screen", (DETAIL, EYES))


def said(by: JudgingNetwork, probability: float | None, *reasons: str, of: str = "video") -> Verdict:
    words = "" if probability is None else by.limits.judge(probability)[0]
    return Verdict(of, by.identity, probability, reasons, words)


def screening(detail: Verdict, eyes: Verdict, *, tracks: int = 2) -> Screening:
    """A video with some tracks, of which the systems say the same as of the whole."""
    notes = Notes()
    for number in range(1, tracks + 1):
        for index in range(6):
            notes.add(scored(frame_of(mesh(150), index=index, seed=number, tracks=(number,)), 0.1 * number + 0.1))
        for system, verdict in (("acmf", detail), ("gazeforensics", eyes)):
            notes.hear(system, [replace(verdict, subject=f"video/{number}")])
    head = Head(codec="h264", width=640, height=360, rate=Rational(num=25, den=1))
    return Screening(head, 12, 6, 0.44, {}, "", notes, {"acmf": detail, "gazeforensics": eyes})


def told_of(made: Screening, edition: Edition = EDITION) -> ScreeningReport:
    return document(Upload(HOSTILE, SHA, 1234567), made, edition, SHA)


ABSTAINED = said(EYES, None, BETWEEN)


@pytest.mark.parametrize(
    ("detail", "eyes", "outcome", "words", "confidence"),
    [
        (said(DETAIL, 0.9), ABSTAINED, "indication", "indication of a forgery", "moderate"),
        (said(DETAIL, 0.1), ABSTAINED, "no_indication", "no indication of a forgery", "moderate"),
        (said(DETAIL, 0.1), said(EYES, 0.85), "indication", "weak indication of a forgery", "low"),
        (said(DETAIL, None, TOO_FEW), ABSTAINED, "nothing_said", NOTHING, "none"),
    ],
    ids=["forged", "genuine", "one of two", "silent"],
)
def test_the_outcome_is_that_of_the_most_suspicious(
    detail: Verdict, eyes: Verdict, outcome: str, words: str, confidence: str
) -> None:
    told = told_of(screening(detail, eyes))

    assert (told.outcome, told.words, told.confidence) == (outcome, words, confidence)


@pytest.mark.parametrize("skill", [0.55, 0.8, 0.95])
def test_what_speaks_for_a_forgery_is_known_by_its_words(skill: float) -> None:
    detail = model("acmf", skill)
    edition = Edition("1", "screen", (detail,))

    outcomes = [told_of(screening(said(detail, p), ABSTAINED), edition).outcome for p in (0.9, 0.1)]

    assert outcomes == ["indication", "no_indication"]


def test_a_detector_without_skill_is_listed_and_says_nothing() -> None:
    guessing = model("gazeforensics", 0.45)
    silent = said(guessing, None, UNSKILLED)

    made, edition = screening(said(DETAIL, 0.1), silent), Edition("1", "screen", (DETAIL, guessing))
    told = told_of(made, edition)

    assert told.outcome == "no_indication"
    assert [entry.confidence for entry in told.verdicts] == ["moderate", "none"]
    assert UNSKILLED in Reader(report_page(told, made, edition)).words


def test_without_a_measured_skill_there_is_no_confidence() -> None:
    unmeasured = model("acmf", None)
    told = told_of(screening(said(unmeasured, 0.9), ABSTAINED), Edition("1", "screen", (unmeasured,)))

    assert (told.outcome, told.confidence) == ("indication", "not measured")


def test_the_document_is_plain_and_names_what_it_rests_on() -> None:
    told = json.loads(told_of(screening(said(DETAIL, 0.9, "track 2"), ABSTAINED)).to_json())

    assert told["source"] == {"name": HOSTILE.name, "sha256": SHA, "bytes": 1234567}
    assert [entry["sha256"] for entry in told["models"]] == [SHA, SHA]
    assert told["models"][0]["card"]["metrics"]["auc"] == pytest.approx({"value": 0.85, "low": 0.8, "high": 0.9})
    assert [track["track"] for track in told["tracks"]] == [1, 2]
    assert told["tracks"][1]["scores"]["acmf"][:2] == [[0.0, 0.3], [0.04, 0.3]]
    assert told["tracks"][0]["gaze"]["columns"][:2] == ["time_s", "right_pitch"]
    assert told["tracks"][0]["gaze"]["rows"][0] == [0, 5, 5, 5, 5, 0, None]
    assert told["verdicts"][1]["reasons"] == [BETWEEN] and told["verdicts"][1]["words"] == NOTHING
    assert (told["facewarden"], told["config"], told["complete"]) == ("1.2.3", "screen", True)


def test_what_was_lost_makes_it_incomplete() -> None:
    whole = screening(said(DETAIL, 0.1), ABSTAINED)

    lossy, broken = (told_of(replace(whole, **change)) for change in ({"lost": {"corrupt": 2}}, {"reason": "ends"}))

    assert (lossy.complete, lossy.reason) == (False, "2 frames lost: corrupt")
    assert (broken.complete, broken.reason) == (False, "ends")


def test_tracks_that_are_not_shown_are_told_of() -> None:
    made = screening(said(DETAIL, 0.9), said(EYES, None, TOO_SMALL), tracks=30)
    made.notes.thin(10**6)
    verdicts = {**made.verdicts, "acmf": said(DETAIL, 0.9, "track 0")}
    told = told_of(replace(made, verdicts=verdicts))

    assert len(told.tracks) == 24 and told.left_out.tracks == 6
    assert {entry.tracks for entry in told.left_out.verdicts} == {6}
    assert told.verdicts[0].reasons == (UNSHOWN,)
    page = report_page(told, made, EDITION)
    assert "6 more tracks" in page and "and 6 not shown" in page


# -- the page --------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """What a browser would fetch, run and show, and whether all tags are closed."""

    VOID = frozenset({"meta", "img", "br", "path"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.ids: list[str] = []
        self.unlabelled = 0
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]
        self.ids += [given["id"] or ""] if "id" in given else []
        self.unlabelled += tag == "img" and not given.get("alt")
        assert not [name for name in given if name.startswith("on")], given
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += [data] if not self.open or self.open[-1] != "style" else []

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


@pytest.fixture(scope="module")
def page() -> str:
    made = screening(said(DETAIL, 0.9, "track 2"), said(EYES, None, BLURRED, TOO_FEW))
    return report_page(told_of(made), made, EDITION)


def test_a_page_needs_nothing_but_itself(page: str) -> None:
    read = Reader(page)

    assert not read.open and not read.unlabelled
    assert not {"script", "iframe", "link", "object", "embed", "form", "base"} & set(read.tags)
    assert all(address.startswith(("data:image/jpeg;base64,", "#track-")) for address in read.addresses)
    assert {address[1:] for address in read.addresses if address.startswith("#")} <= set(read.ids)
    assert "url(" not in page and "@import" not in page
    assert "default-src 'none'" in page


def test_hostile_words_are_shown_and_not_obeyed(page: str) -> None:
    assert HOSTILE.name in Reader(page).words
    assert "<img src=x" not in page and "<b>drawn" not in page


def test_a_page_says_what_a_moderator_needs(page: str) -> None:
    words = Reader(page).words

    for told in (
        "Indication of a forgery", "A person decides", "moderate", "0.90", "track 2", f"{BLURRED}; {TOO_FEW}",
        "85 of 100 pairs (95 % interval over people: 80 to 90)",
        "drawn faces", SHA, "Facewarden 1.2.3", "at most 5 in 100",
        "Yaw", "Pitch", "Vergence", "6 of 12 frames were looked at",
    ):  # fmt: skip
        assert told in words, told
    assert not re.search(r"\bfakes?\b", words, re.IGNORECASE)


def test_each_track_shows_its_face_beside_its_heat_map(page: str) -> None:
    read = Reader(page)

    assert read.tags.count("img") == 2 * 2 * 6
    assert page.count('role="img"') == page.count("<title>") - 1


def test_what_was_not_looked_at_is_said_first() -> None:
    made = replace(screening(said(DETAIL, 0.1), ABSTAINED), reason="breaks off <here>")

    words = Reader(report_page(told_of(made), made, EDITION)).words

    first, then = "Not all of this video was looked at. breaks off <here>", "What each detector says"
    assert 0 < words.index(first) < words.index(then)


def test_a_video_of_nobody_has_a_page_too() -> None:
    silent = said(DETAIL, None, TOO_FEW)
    made = Screening(verdicts={"acmf": silent}, reason="is not a video")

    read = Reader(report_page(told_of(made), made, EDITION))

    assert not read.open and "No face was found" in read.words and "Nothing can be said" in read.words


def test_the_list_begins_with_what_somebody_should_look_at() -> None:
    def row(name: str, verdict: Verdict) -> ListedVideo:
        source = ListedFile(name=name, path=f"in/{name}", sha256=SHA, bytes=1)
        told = told_of(screening(verdict, ABSTAINED))
        return summary(told, source, html=f"{name}.html", document=f"{name}.json")

    rows = [
        row("calm", said(DETAIL, 0.1)), row("silent", said(DETAIL, None, TOO_FEW)), row("bad", said(DETAIL, 0.85)),
        row("<worst>", said(DETAIL, 0.95)),
    ]  # fmt: skip
    counts = OutcomeCounts(indication=2, no_indication=1, nothing_said=1, incomplete=0)

    read = Reader(index_page(rows, counts, "1.2.3"))

    places = [read.words.index(name) for name in ("<worst>", "bad", "silent", "calm")]
    assert places == sorted(places)
    assert read.addresses == ["%3Cworst%3E.html", "bad.html", "silent.html", "calm.html"]
    assert "4 videos: 2 with an indication of a forgery" in read.words and not read.open


def test_evidence_is_bright_where_it_is() -> None:
    """One scale for all maps of a page: without evidence, a face stays as it is."""
    made = screening(said(DETAIL, 0.9), ABSTAINED, tracks=1)
    (shot, *_) = made.notes.tracks[1].album
    assert shot.evidence is not None

    bright, dark = (shown(replace(shot, evidence=np.full((4, 4), level)), 1.0) for level in (1.0, 0.0))

    assert dark["hot"] == dark["plain"] != bright["hot"]
