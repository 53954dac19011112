"""The page for people: a report as one HTML file, with pictures of the masked video alone, never of the original."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from numpy.typing import NDArray

from pipeline.judging.judge import Judging, TrackRecord
from pipeline.judging.report import JudgedTrack, JudgingReport

JPEG_QUALITY = 85
TEMPLATES = Path(__file__).parent / "templates"
STYLE = TEMPLATES.parents[1] / "screening" / "templates"
"""Where the frame and the style sheet of all pages lie."""
LEAST_WIDTH = 0.6
"""Of a mark on a time line, in hundredths of it: what lasts for one frame is to be seen."""
MOST_TRACKS = 200


@dataclass(frozen=True, slots=True)
class BarMark:
    """A stretch on a time line, in hundredths of its length."""

    kind: str
    left: float
    width: float


def judging_page(report: JudgingReport, judging: Judging) -> str:
    """The HTML of one report."""
    records = dict(enumerate(judging.records, 1))
    seconds = float(judging.times[-1]) if len(judging.times) else 0.0
    rows = [
        {"track": track, "marks": marks(track, seconds), "picture": _picture(records[track.track])}
        for track in report.tracks[:MOST_TRACKS]
    ]
    return (
        _templates()
        .get_template("judging.html")
        .render(report=report, rows=rows, seconds=seconds, left_out=max(0, len(report.tracks) - MOST_TRACKS))
    )


def marks(track: JudgedTrack, seconds: float) -> list[BarMark]:
    """The time line of one face: where it is there, and where it is not hidden."""

    def mark(kind: str, first: float, last: float) -> BarMark:
        whole = max(seconds, 1e-3)
        left = min(100 * first / whole, 100 - LEAST_WIDTH)
        return BarMark(kind, round(left, 2), round(min(max(100 * (last - first) / whole, LEAST_WIDTH), 100 - left), 2))

    return [
        mark("there", track.from_s, track.to_s),
        *(mark(span.exposure, span.from_s, span.to_s) for span in track.spans),
    ]


def _picture(record: TrackRecord) -> dict[str, Any] | None:
    if record.crop is None:
        return None
    _, frame, bgr = record.crop
    return {"frame": frame, "source": _jpeg(bgr)}


def _jpeg(bgr: NDArray[np.uint8]) -> str:
    """A picture as an address that holds it."""
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def clock_of(seconds: float) -> str:
    """As a player shows it, with hundredths, which single frames need.

    >>> clock_of(61.28)
    '1:01.28'
    """
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


@cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([TEMPLATES, STYLE]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"clock": clock_of}
    return made
