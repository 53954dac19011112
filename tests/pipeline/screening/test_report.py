"""Reports are read back through their types: what is damaged, older or of other things is no finished report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.screening.batch import finished_report
from pipeline.screening.document import summary
from pipeline.screening.report import ListedFile, ListedVideo, OutcomeCounts, ScreeningList, ScreeningReport
from tests.pipeline.screening.test_document import ABSTAINED, DETAIL, SHA, said, screening, told_of


@pytest.fixture(scope="module")
def report() -> ScreeningReport:
    return told_of(screening(said(DETAIL, 0.9, "track 2"), ABSTAINED))


def test_a_report_reads_back_as_itself(report: ScreeningReport, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(report.to_json())

    read = finished_report(file, SHA)

    assert read == report
    assert read.to_json() == report.to_json()
    assert read.tracks[0].gaze is not None and read.tracks[0].gaze.rows[0][-1] is None


def test_what_is_not_measured_is_absent(report: ScreeningReport) -> None:
    (track, *_) = report.tracks
    without = report.model_copy(update={"tracks": (track.model_copy(update={"gaze": None}),)})

    written = json.loads(without.to_json())

    assert "gaze" not in written["tracks"][0]
    assert ScreeningReport.model_validate(written) == without


def changed(**changes: Any) -> Callable[[str], str]:
    return lambda whole: json.dumps({**json.loads(whole), **changes})


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda _: "[]", id="another document"),
        pytest.param(lambda whole: whole[: len(whole) // 2], id="half of it"),
        pytest.param(changed(format=0), id="an older format"),
        pytest.param(changed(mood="good"), id="a field of a newer one"),
        pytest.param(changed(outcome="forged"), id="an outcome that there is not"),
        pytest.param(changed(probability=1.5), id="a probability above 1"),
        pytest.param(changed(complete=False), id="not to the end"),
        pytest.param(changed(key="cd" * 32), id="made of other things"),
    ],
)
def test_what_is_no_finished_report_is_not_taken_for_one(
    report: ScreeningReport, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    file = tmp_path / "report.json"
    file.write_text(damage(report.to_json().decode()))

    assert finished_report(file, SHA) is None
    assert finished_report(tmp_path / "missing.json", SHA) is None


def test_a_report_cannot_be_changed(report: ScreeningReport) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        report.outcome = "no_indication"  # type: ignore[misc]


def test_the_list_calls_the_document_of_a_video_json(report: ScreeningReport) -> None:
    source = ListedFile(name="a.mp4", path="in/a.mp4", sha256=SHA, bytes=3)
    row = summary(report, source, html="a.html", document="a.json")
    counts = OutcomeCounts(indication=1, nothing_said=0, no_indication=0, incomplete=0)
    listed = ScreeningList(format=1, facewarden="1", config="screen", models={"m@1": SHA}, counts=counts, videos=(row,))

    written = json.loads(listed.to_json())

    assert written["videos"] == [
        {
            "source": {"name": "a.mp4", "path": "in/a.mp4", "sha256": SHA, "bytes": 3},
            "outcome": "indication", "words": "indication of a forgery", "probability": 0.9, "confidence": "moderate",
            "complete": True, "reason": "", "seconds": 0.44, "tracks": 2, "html": "a.html", "json": "a.json",
        }
    ]  # fmt: skip
    assert ScreeningList.model_validate(written) == listed
    assert isinstance(ScreeningList.model_validate(written).videos[0], ListedVideo)
