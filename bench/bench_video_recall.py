"""How much of the faces in real clips is hidden by ours and by deface: `python -m bench.bench_video_recall`.

A face-frame is one face in one frame. It counts as covered where at least `COVERED` of the ellipse inscribed in its box
lies under covers, as they are painted, soft edges not counted. Ours come out of the very operators, tracker and
look-ahead of a run, with the look-ahead of files and with that of live streams; deface's are its detector's on each
frame, at full resolution and its default threshold, scaled and shaped by its defaults.

The truth is no human's but a vote of makers (`bench.video_truth`); recall is also given on the tracks that each maker
has seen. `--sheet FILE` draws a sample of it, with what each left uncovered, to be looked at.

`false` are covers a frame that lie where no maker was sure of a face and no two saw one, `false area` the part of the
picture under them. `weak` are tracks of ours on no face that rest on one sighting below `WEAK`; `weak s` is how long
the longest lives.

Settings were chosen on the clips named so below (`chosen on`). The others (`looked at`) took no part in that, but their
figures were seen meanwhile: no clip here is held out, so the figures flatter ours somewhat.
Intervals are bootstraps over tracks.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.covers import boxes_of, false_area, hidden, on_no_face
from bench.data import data_folder
from bench.deployed import Pass, released
from bench.peers import deface, scaled
from bench.report import DEPLOYED
from bench.video_truth import MODELS, ClipTruth, Detections, link, makers, merge, without
from operators.frame import Cover, Faces, Frame
from operators.shown import Shown
from operators.stills import planar
from pipeline.config import LIVE_LOOKAHEAD_MS, LOOKAHEAD_MS, load
from pipeline.live.steps import open_steps
from pipeline.media.buffers import matrix_of
from pipeline.models.catalog import models_of
from pipeline.models.fetch import pull
from pipeline.provenance import write_report

CHOSEN_ON = (
    "street_crowd_1080p_audio.mp4",
    "cafe_conversation_occluded.mp4",
    "two_children_drawings.mp4",
    "stage_performance_audio.mp4",
    "head-pose-face-detection-female-and-male.gif",
    "school_table_children.mp4",
)
LOOKED_AT = (
    "podium_two_men_320x240_audio.mp4",
    "fisheye_dinner_2560x1920_audio.mp4",
)
WAITS_MS = {"ours": LOOKAHEAD_MS, "ours_live": LIVE_LOOKAHEAD_MS}
NO_FACES = {"street_crowd_1080p_audio.mp4": [(900, 120, 1160, 330)]}
"""Where detectors agree on faces and the eye does not, x1 y1 x2 y2 in pixels: a coat of arms on a wall."""
LARGE = 1920 * 1080
COVERED = 0.8
WEAK = 0.35
"""A sighting below this score is weak."""


@dataclass
class ClipTally:
    """What one anonymizer left of one clip.

    Attributes:
        covered: whether each face-frame is covered.
        tracks: of which track it is.
        by: the makers that saw that track.
        false, false_area: for each frame covers near no face, and the part of the picture under them.
        weak_s: how long each track lives that lies on no face and rests on one weak sighting.
    """

    covered: list[bool] = field(default_factory=list)
    tracks: list[str] = field(default_factory=list)
    by: list[frozenset[str]] = field(default_factory=list)
    false: list[int] = field(default_factory=list)
    false_area: list[float] = field(default_factory=list)
    weak_s: list[float] = field(default_factory=list)
    whole: int = 0
    cpu_s: float = 0.0


def read_frames(path: Path) -> Iterator[Frame]:
    """The frames of a clip, as a decoder of the pipeline gives them."""
    with av.open(str(path)) as container:
        aspect = container.streams.video[0].sample_aspect_ratio or Fraction(1)
        for index, picture in enumerate(container.decode(video=0)):
            shown, planes = Shown(matrix_of(picture), aspect), planar(picture.to_ndarray(format="yuv420p"))
            yield Frame(path.name, index, float(picture.time), planes, shown=shown)


def length(path: Path, frames: int | None) -> int | None:
    """How many frames are looked at where so many are wanted: fewer of pictures larger than 1080p, for as long."""
    with av.open(str(path)) as container:
        area = container.streams.video[0].width * container.streams.video[0].height
    return None if frames is None else round(frames * min(1.0, LARGE / area))


def count(
    tally: ClipTally,
    clip: str,
    truth: ClipTruth,
    names: Sequence[str],
    frame: int,
    covers: Sequence[Cover],
    size: tuple[int, int],
) -> None:
    """Adds one frame to a tally; `names` are those of the makers."""
    tally.covered += (hidden(truth.boxes[frame], covers) >= COVERED).tolist()
    for number in truth.tracks[frame].tolist():
        tally.tracks.append(f"{clip}/{number}")
        tally.by.append(frozenset(name for name, saw in zip(names, truth.by[number], strict=True) if saw))
    places = truth.places[frame]
    tally.false.append(int(on_no_face(places, boxes_of(covers)).sum()))
    tally.false_area.append(false_area(places, covers, *size))


def weak_lives(faces: Sequence[Faces], truth: ClipTruth, times: Sequence[float]) -> list[float]:
    """For how many seconds each track lives that lies near no face and rests on one weak sighting.

    Args:
        faces: of each frame as it was released, with their tracks.
    """
    frames: defaultdict[int, list[int]] = defaultdict(list)
    scores: defaultdict[int, list[float]] = defaultdict(list)
    real: set[int] = set()
    for index, here in enumerate(faces):
        false = on_no_face(truth.places[index], here.boxes)
        for row, number in enumerate(here.tracks.tolist()):
            frames[number].append(index)
            if here.seen[row]:
                scores[number].append(float(here.scores[row]))
            if not false[row]:
                real.add(number)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    weak = [n for n in frames if n not in real and n >= 0 and len(scores[n]) <= 1 and max(scores[n], default=0) < WEAK]
    return [times[frames[number][-1]] - times[frames[number][0]] + step for number in weak]


def measure(path: Path, config: str, most: int | None) -> tuple[dict[str, ClipTally], ClipTruth]:
    """What each anonymizer leaves of one clip, and the truth that it is measured by."""
    peer = deface()
    theirs: list[Detections] = []
    judges = makers(lambda frame: theirs[frame.index])
    names, merged, times, size = [each.name for each in judges], [], [], (0, 0)
    for frame in islice(read_frames(path), most):
        size = (frame.picture.width, frame.picture.height)
        theirs.append(peer(frame.bgr))
        found = [
            without(each.find(frame), NO_FACES.get(path.name, ())) if frame.index % each.every == 0 else None
            for each in judges
        ]
        merged.append(merge(found, [each.strong for each in judges]))
        times.append(frame.time_s)
    truth = link(merged, times)

    tallies = {"deface": ClipTally()} | {name: ClipTally() for name in WAITS_MS}
    for index, (boxes, _) in enumerate(theirs):
        count(tallies["deface"], path.name, truth, names, index, scaled(boxes), size)
    chosen = load(config)
    for name, lookahead_ms in WAITS_MS.items():
        tally, spent, faces = tallies[name], Pass(), []
        frames = islice(read_frames(path), most)
        for frame in released(open_steps(chosen), frames, lookahead_ms, spent, memory_mb=chosen.lookahead_mb):
            count(tally, path.name, truth, names, frame.index, frame.covers, size)
            faces.append(frame.faces)
        tally.whole, tally.cpu_s, tally.weak_s = spent.whole, spent.cpu_s, weak_lives(faces, truth, times)
    return tallies, truth


# -- the report ----------------------------------------------------------------------------------------


def interval(tally: ClipTally, other: ClipTally | None = None, *, seed: int, rounds: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval over tracks of the recall, or of the recall less that of another."""
    less = np.zeros(len(tally.covered)) if other is None else np.array(other.covered, float)
    names, which = np.unique(tally.tracks, return_inverse=True)
    gained = np.bincount(which, np.array(tally.covered, float) - less, len(names))
    faces = np.bincount(which, minlength=len(names))
    drawn = np.random.default_rng(seed).integers(0, len(names), (rounds, len(names)))
    low, high = np.percentile(gained[drawn].sum(axis=1) / faces[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def total_of(tallies: Iterable[ClipTally]) -> ClipTally:
    """All of them as one."""
    total = ClipTally()
    for each in tallies:
        for name, value in vars(each).items():
            setattr(total, name, getattr(total, name) + value)
    return total


def draw(path: Path, tallies: dict[str, ClipTally], truth: ClipTruth) -> NDArray[np.uint8]:
    """One row of pictures `(h, w, 3)`: two frames at even distances, two in which most faces stay uncovered. The truth
    in green, red where ours leaves it uncovered, yellow where deface does."""
    ends = np.cumsum([0, *map(len, truth.boxes)])
    missed = [ends[i + 1] - ends[i] - sum(tallies["ours"].covered[ends[i] : ends[i + 1]]) for i in range(len(ends) - 1)]
    chosen = [len(missed) // 3, 2 * len(missed) // 3, *np.argsort(missed, kind="stable")[[-1, -len(missed) // 4]]]
    pictures = {}
    for frame in islice(read_frames(path), max(chosen) + 1):
        if frame.index in chosen:
            picture = frame.bgr.copy()
            thick = max(2, picture.shape[1] // 320)
            for row, (x1, y1, x2, y2) in enumerate(truth.boxes[frame.index].round().astype(int).tolist()):
                ours, theirs = (tallies[name].covered[ends[frame.index] + row] for name in ("ours", "deface"))
                color = (0, 0, 255) if not ours else (0, 255, 255) if not theirs else (0, 255, 0)
                cv2.rectangle(picture, (x1, y1), (x2, y2), color, thick)
            pictures[frame.index] = cv2.resize(picture, (640, 360), interpolation=cv2.INTER_AREA)
    return np.concatenate([pictures[index] for index in chosen], axis=1)


def recall_by(tally: ClipTally, maker: str) -> float:
    """Recall on the tracks that this maker has seen; not a number where it has seen none."""
    covered = [under for under, by in zip(tally.covered, tally.by, strict=True) if maker in by]
    return float(np.mean(covered)) if covered else np.nan


def summarize(name: str, part: str, tally: ClipTally, *, seed: int) -> dict[str, Any]:
    """One row of the table."""
    frames = len(tally.false)
    low, high = interval(tally, seed=seed)
    return {
        "anonymizer": name, "clips": part, "frames": frames, "tracks": len(set(tally.tracks)),
        "face-frames": len(tally.covered), "recall": float(np.mean(tally.covered)), "low": low, "high": high,
        **{f"by {maker}": recall_by(tally, maker) for maker in sorted(set().union(*tally.by))},
        "false": float(np.mean(tally.false)), "false area": float(np.mean(tally.false_area)),
        "weak": len(tally.weak_s), "weak s": max(tally.weak_s, default=0.0), "covered whole": tally.whole,
        "cpu_ms": tally.cpu_s / frames * 1000,
    }  # fmt: skip


def figures_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Single numbers by stable names, such as `video_recall_ours`, of all clips and of both parts of them."""
    figures: dict[str, float] = {}
    for row in rows:
        if row["clips"] not in ("chosen on", "looked at", "all"):
            continue
        suffix = row["anonymizer"] + ("" if row["clips"] == "all" else "_" + row["clips"].replace(" ", "_"))
        figures |= {f"video_recall_{suffix}": row["recall"], f"video_recall_low_{suffix}": row["low"]}
        figures |= {f"video_recall_high_{suffix}": row["high"], f"video_false_covers_{suffix}": row["false"]}
        figures[f"video_false_area_{suffix}"] = row["false area"]
        for column, value in row.items():
            if column.startswith("by "):
                figures[f"video_recall_{column.replace(' ', '_')}_{suffix}"] = value
        if row["anonymizer"] != "deface":
            figures |= {f"video_weak_tracks_{suffix}": row["weak"], f"video_weak_longest_s_{suffix}": row["weak s"]}
    return figures


def table_of(rows: Sequence[Mapping[str, Any]]) -> Table:
    title = "face-frames covered; false covers a frame; false area as a part of the picture; CPU-ms per frame"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    columns = list(dict.fromkeys(column for row in rows for column in row))
    for column in columns:
        table.add_column(column, justify="left" if column in ("anonymizer", "clips") else "right")
    for row in rows:
        values = (row.get(column, "-") for column in columns)
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in values))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", default="anonymize", help="of ours: a file, or a packaged one's name")
    parser.add_argument("--clips", nargs="+", default=[*CHOSEN_ON, *LOOKED_AT])
    parser.add_argument("--frames", type=int, help="of each clip, at most, fewer above 1080p; otherwise all")
    parser.add_argument("--sheet", type=Path, help="a picture to be written: samples of the truth, and what was missed")
    given = parser.parse_args()
    folder = data_folder() / "videos"
    pull(sorted({*MODELS, *models_of(load(given.config).steps)}))
    clips = {}
    for name in track(given.clips, "looking"):
        clips[name] = measure(folder / name, given.config, length(folder / name, given.frames))
    if given.sheet:
        sheet = np.concatenate([draw(folder / name, *clips[name]) for name in clips])
        cv2.imwrite(str(given.sheet), sheet)

    names = list(next(iter(clips.values()))[0])
    parts = {
        "chosen on": CHOSEN_ON,
        "looked at": LOOKED_AT,
        "all": given.clips,
        **{name: [name] for name in given.clips},
    }
    totals = {
        (name, part): total_of(clips[clip][0][name] for clip in members if clip in clips)
        for part, members in parts.items()
        for name in names
        if set(members) & set(clips)
    }
    rows = [summarize(name, part, tally, seed=given.seed) for (name, part), tally in totals.items() if tally.covered]
    console = Console(width=220)
    console.print(table_of(rows))
    figures = figures_of(rows)
    for name in names[1:]:
        low, high = interval(totals[name, "all"], totals["deface", "all"], seed=given.seed)
        figures |= {f"video_recall_gain_low_{name}": low, f"video_recall_gain_high_{name}": high}
        console.print(f"{name} - deface on all clips: 95 % interval {low:+.4f} to {high:+.4f}")
    code = ("bench/bench_video_recall.py", "bench/video_truth.py", *DEPLOYED)
    write_report(given.json, figures, rows, given.seed, code=code)


if __name__ == "__main__":
    main()
