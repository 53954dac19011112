"""The page for people: a report as one HTML file that holds all it shows, and needs neither network nor scripts.

File names and words of child processes are hostile: everything goes into the templates as values, which escape it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from numpy.typing import NDArray

from engines.card import Card, CardMetric
from operators.deepfake.heatmap import overlay
from operators.deepfake.scores import VerdictLimits
from pipeline.screening.document import Edition, by_weight
from pipeline.screening.observations import GAZE, Shot, TrackNotes
from pipeline.screening.plots import Plot, Samples, angle_range, clock, plot
from pipeline.screening.report import OUTCOMES, ListedVideo, OutcomeCounts, ScreeningReport, SystemVerdict
from pipeline.screening.screener import Screening

JPEG_QUALITY = 88
COLOURS = 8
"""Tracks that the first plots show, each in a colour of its own."""
LEAST_POINTS = 4
"""Of a gaze that is worth a plot."""
KIND = "auc_kind_"
"""What the names of figures begin with that are about one kind of forgery."""
SYSTEMS = {
    "acmf": ("ACMF", "looks at the fine detail of each picture of a face"),
    "gazeforensics": ("GazeForensics", "compares eyes and face over a second of frames"),
}
"""Names of systems, and what they do, for readers. Others go by the name of their operator."""


@dataclass(slots=True)
class Silence:
    """Why a system kept silent, and of which tracks.

    Attributes:
        tracks: by their numbers.
        others: how many tracks more that are not shown.
    """

    system: str
    reasons: tuple[str, ...]
    tracks: list[int] = field(default_factory=list)
    others: int = 0


def report_page(report: ScreeningReport, screening: Screening, edition: Edition) -> str:
    """The HTML of one report."""
    tracks = by_weight(screening)
    shots = [shot for track in tracks for shot in track.album]
    most = max((float(shot.evidence.max()) for shot in shots if shot.evidence is not None), default=0.0)
    limits = {name: edition.limits(verdict) for name, verdict in screening.verdicts.items()}
    return _render(
        "report.html",
        report=report,
        timelines=_timelines(tracks, limits, screening.seconds),
        tracks=[
            {
                "report": track_report,
                "shots": [shown(shot, most) for shot in track.album],
                "plots": _plots(track, limits, screening.seconds),
            }
            for track, track_report in zip(tracks, report.tracks, strict=True)
        ],
        silences=_silences(report),
        judges=[_judge(name, edition.judge(verdict)) for name, verdict in screening.verdicts.items()],
    )


def index_page(rows: Sequence[ListedVideo], counts: OutcomeCounts, version: str) -> str:
    """The HTML of a list of reports, those first that somebody should look at."""

    def urgency(row: ListedVideo) -> tuple[int, bool, float]:
        return OUTCOMES.index(row.outcome), row.complete, -(row.probability or 0)

    return _render("index.html", rows=sorted(rows, key=urgency), counts=counts, version=version)


def system_title(system: str) -> str:
    return SYSTEMS.get(system, (system, ""))[0]


@cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"clock": clock, "system": system_title, "score": _score, "megabytes": _megabytes}
    return made


def _render(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(**values)


def _timelines(tracks: Sequence[TrackNotes], limits: Mapping[str, VerdictLimits], seconds: float) -> list[Plot]:
    """For each system, the scores of the first tracks over the whole video; a track has one colour in all of them."""
    names = {track.number: f"track {track.number}" for track in tracks[:COLOURS]}
    colours = {name: number for number, name in enumerate(names.values(), 1)}
    plots = []
    for system, limit in limits.items():
        scored = [track for track in tracks[:COLOURS] if system in track.scores]
        series = {names[track.number]: _points(track.scores[system].rows(), 1) for track in scored}
        if series:
            plots.append(_scores(f"{system_title(system)}: scores over time", series, limit, seconds, colours))
    return plots


def _scores(
    caption: str, series: Mapping[str, Samples], limits: VerdictLimits, seconds: float, colours: Mapping[str, int] = {}
) -> Plot:
    marks = {"indication from {:.2f} up": limits.fake, "no indication up to {:.2f}": limits.real}
    spoken = {words.format(at): at for words, at in marks.items() if 0 < at < 1}
    return plot(caption, series, seconds=seconds, low=0, high=1, y=(0, 0.5, 1), marks=spoken, colours=colours)


def _plots(track: TrackNotes, limits: Mapping[str, VerdictLimits], seconds: float) -> list[Plot]:
    """Scores of one track by each system, then where the eyes looked."""
    plots = [
        _scores(f"{system_title(name)} score", {"score": _points(track.scores[name].rows(), 1)}, limit, seconds)
        for name, limit in limits.items()
        if name in track.scores
    ]
    return plots + (_gaze_plots(track.gaze.rows(), seconds) if track.gaze is not None else [])


def _gaze_plots(rows: NDArray[np.float64], seconds: float) -> list[Plot]:
    columns = {name: _points(rows, column) for column, name in enumerate(GAZE, 1)}
    if np.isfinite(columns["vergence"][1]).sum() < LEAST_POINTS:
        return []
    plots = []
    for caption, names in (
        ("Yaw: to the side", {"right eye": "right_yaw", "left eye": "left_yaw"}),
        ("Pitch: up and down", {"right eye": "right_pitch", "left eye": "left_pitch"}),
        ("Vergence: towards each other", {"both eyes": "vergence"}),
    ):
        series = {shown: columns[name] for shown, name in names.items()}
        most = angle_range([values for _, values in series.values()])
        y = (-most, 0, most)
        plots.append(plot(caption, series, seconds=seconds, low=-most, high=most, y=y, unit="°", dashed=("left eye",)))
    agree = {"right with left": columns["eyes_agree"]}
    return [*plots, plot("Agreement of both eyes", agree, seconds=seconds, low=-1, high=1, y=(-1, 0, 1))]


def _points(rows: NDArray[np.float64], column: int) -> Samples:
    return rows[:, 0], rows[:, column]


def shown(shot: Shot, most: float) -> dict[str, Any]:
    """A shot for the template: when, and its picture without and with the evidence, `most` in the brightest colour."""
    hot = None if shot.evidence is None else overlay(shot.rgb, shot.evidence, strongest=most)
    return {"time_s": shot.time_s, "plain": _jpeg(shot.rgb), "hot": None if hot is None else _jpeg(hot)}


def _silences(report: ScreeningReport) -> list[Silence]:
    """Why each system kept silent, and of which tracks; the most frequent reasons first."""
    found: dict[tuple[str, tuple[str, ...]], Silence] = {}

    def of(verdict: SystemVerdict) -> Silence:
        key = verdict.system, verdict.reasons
        return found.setdefault(key, Silence(*key))

    for track in report.tracks:
        for verdict in track.verdicts:
            if verdict.probability is None:
                of(verdict).tracks.append(track.track)
    for counted in report.left_out.verdicts:
        if counted.probability is None:
            of(counted).others += counted.tracks
    return sorted(found.values(), key=lambda each: (each.system, -len(each.tracks) - each.others))


def _jpeg(rgb: NDArray[np.uint8]) -> str:
    """A picture as an address that holds it."""
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(rgb[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def _judge(system: str, model: Any) -> dict[str, Any]:
    """A system and what its card says of its skill."""
    _, does = SYSTEMS.get(system, (system, ""))
    known: dict[str, Any] = {"system": system, "does": does, "skill": "", "limits": None, "data": ""}
    if model is None:
        return known
    limits: VerdictLimits = model.limits
    return {**known, "skill": _skill(model.card, limits), "limits": limits, "data": model.card.data}


def _skill(card: Card, limits: VerdictLimits) -> str:
    """What its AUC means, on what it was measured, and how often it was wrong there; empty where nobody measured it.

    An AUC is about pairs, and says nothing of how often a verdict is right: that stands apart, where it is known.
    """
    auc = card.metrics.get("auc")
    if auc is None:
        return ""
    if isinstance(auc, CardMetric):
        value, between = auc.value, f" (95 % interval over people: {100 * auc.low:.0f} to {100 * auc.high:.0f})"
    else:
        value, between = auc, ""
    kinds = sorted(name.removeprefix(KIND) for name in card.metrics if name.startswith(KIND))
    count = card.metrics.get("crops")
    pictures = f"{count:.0f} pictures" if isinstance(count, float) else "pictures"
    said = (
        f"Measured on {pictures} that it has not learned from{f', forged by {_listed(kinds)}' if kinds else ''}: of a "
        f"genuine and a forged one, the forged one got the higher score in {100 * value:.0f} of 100 pairs{between}, by "
        f"guessing in 50. That is how it orders pairs, not how often a verdict is right."
    )
    wrong = card.metrics.get("error_spoken")
    if not limits.skilled or not isinstance(wrong, float):
        return said
    return f"{said} Of what it would say of single pictures among these, {100 * wrong:.0f} in 100 is wrong."


def _listed(names: Sequence[str]) -> str:
    """A few names as a reader has them.

    >>> _listed(["a", "b", "c"]), _listed(["a"])
    ('a, b and c', 'a')
    """
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last


def _score(value: float) -> str:
    """A number without a percent sign: it is no chance for anything but what a detector was calibrated on.

    >>> _score(0.984)
    '0.98'
    """
    return f"{value:.2f}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
