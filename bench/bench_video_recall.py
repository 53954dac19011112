"""How much of the faces in real clips is hidden by ours and by deface: `python -m bench.bench_video_recall`.

A face-frame is one face in one frame. It counts as covered where at least `COVERED` of the ellipse inscribed in its box
lies under covers, as they are painted, soft edges not counted. Ours come out of the very operators, tracker and
look-ahead of a run, with the look-ahead of files and with that of live streams; deface's are its detector's on each
frame, at full resolution and its default threshold, scaled and shaped by its defaults.

The truth is no human's. CenterFace looks at every frame at full resolution and at every second one enlarged; what it
finds is linked in time, from weak sightings too; a track counts if it is strong once and seen three times, and its gaps
up to half a second are filled. `--sheet FILE` draws a sample of it, with what each left uncovered, to be looked at.

Settings were chosen on the clips named so below (`chosen on`). The others (`looked at`) took no part in that, but their
figures were seen meanwhile: no clip here is held out, so the figures flatter ours somewhat.
Intervals are bootstraps over tracks. `false area` is the part of the picture under covers that no face is near to.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
from scipy.optimize import linear_sum_assignment

from bench.bench_recall import deface
from bench.data import data_folder
from engines import open_engine
from operators import LooksAhead, Operator
from operators.arrays import Array
from operators.boxes import iou
from operators.detect.centerface import CenterFace
from operators.frame import Cover, Frame
from operators.stills import planar
from pipeline.config import LIVE_LOOKAHEAD_MS, LOOKAHEAD_MS, load
from pipeline.live.lookahead import LookAhead, PendingFrame
from pipeline.live.steps import open_steps
from pipeline.media.clock import FrameStamp
from pipeline.models.catalog import find_model
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
COVERED = 0.8
DEFACE_SCALE = 1.3
STRONG, SIGHTINGS, GAP_S, LINK_IOU = 0.5, 3, 0.5, 0.3
"""What makes a track of the truth: its best score, how often it is seen, the longest gap, and the overlap of a link."""
NEAR = 0.5
"""A cover is false where it lies further from every face than this part of the face's size."""


@dataclass
class ClipTally:
    """What one anonymizer left of one clip: whether each face-frame is covered, of which track it is, and the rest."""

    covered: list[bool] = field(default_factory=list)
    tracks: list[str] = field(default_factory=list)
    false_area: list[float] = field(default_factory=list)
    whole: int = 0
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ClipTruth:
    """The faces of one clip: for each frame boxes `(n, 4)` and the numbers of their tracks `(n,)`."""

    boxes: list[Array]
    tracks: list[Array]


def read_frames(path: Path) -> Iterator[Frame]:
    """The frames of a clip, as a decoder of the pipeline gives them."""
    with av.open(str(path)) as container:
        for index, picture in enumerate(container.decode(video=0)):
            yield Frame(path.name, index, float(picture.time), planar(picture.to_ndarray(format="yuv420p")))


# -- truth ---------------------------------------------------------------------------------------------


def enlarged(longest: int) -> int:
    """Longest side in pixels at which the truth is looked for in a picture of that longest side."""
    return 2 * longest if longest < 1280 else max(longest, min(longest * 3 // 2, 2880))


def joined(main: Array, other: Array) -> Array:
    """Detections `(n, 5)`, and those of another look that overlap with none of them."""
    if not len(main) or not len(other):
        return np.concatenate([main, other])
    return np.concatenate([main, other[iou(main, other).max(axis=0) < LINK_IOU]])


def without(detections: Array, places: Sequence[tuple[int, int, int, int]]) -> Array:
    """The detections `(n, 5)` whose centres lie in none of the places."""
    centers = (detections[:, :2] + detections[:, 2:4]) / 2
    for place in np.array(places).reshape(-1, 4):
        outside = ((centers < place[:2]) | (centers > place[2:])).any(axis=1)
        detections, centers = detections[outside], centers[outside]
    return detections


def link(detections: Sequence[Array], times: Sequence[float]) -> ClipTruth:
    """Tracks through detections `(n, 5)` x1 y1 x2 y2 score of each frame; see the module for what counts as one."""
    tracks: list[list[tuple[int, Array]]] = []
    for frame, found in enumerate(detections):
        open_ = [t for t in tracks if times[frame] - times[t[-1][0]] <= GAP_S]
        taken = np.zeros(len(found), np.bool_)
        if open_ and len(found):
            overlap = iou(np.array([t[-1][1] for t in open_]), found)
            for row, column in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
                if overlap[row, column] >= LINK_IOU:
                    open_[row].append((frame, found[column]))
                    taken[column] = True
        tracks += [[(frame, each)] for each in found[~taken]]
    faces: list[list[tuple[int, Array]]] = [[] for _ in detections]
    counted = [t for t in tracks if len(t) >= SIGHTINGS and max(each[4] for _, each in t) >= STRONG]
    for number, sightings in enumerate(counted):
        for (first, one), (last, other) in zip(sightings, [*sightings[1:], sightings[-1]], strict=True):
            for frame in range(first, max(last, first + 1)):
                part = (times[frame] - times[first]) / max(times[last] - times[first], 1e-9)
                faces[frame].append((number, ((1 - part) * one + part * other)[:4]))
    return ClipTruth(
        [np.array([each for _, each in here]).reshape(-1, 4) for here in faces],
        [np.array([number for number, _ in here], int) for here in faces],
    )


# -- what is covered -----------------------------------------------------------------------------------


def inside(points: Array, covers: Sequence[Cover]) -> NDArray[np.bool_]:
    """Which of the points `(..., 2)` lie under the shapes of covers."""
    under = np.zeros(points.shape[:-1], np.bool_)
    for cover in covers:
        corners = np.array(cover.box).reshape(2, 2)
        offset = np.abs(points - corners.mean(axis=0)) / np.maximum((corners[1] - corners[0]) / 2, 1e-9)
        under |= (offset**2).sum(axis=-1) <= 1 if cover.shape == "ellipse" else offset.max(axis=-1) <= 1
    return under


def covered(faces: Array, covers: Sequence[Cover]) -> NDArray[np.bool_]:
    """Which of the faces `(n, 4)` are covered."""
    grid = np.stack(np.meshgrid(*[np.linspace(-0.95, 0.95, 11)] * 2), axis=-1).reshape(-1, 2)
    disc = grid[(grid**2).sum(axis=1) <= 1]
    centers, halves = (faces[:, :2] + faces[:, 2:]) / 2, (faces[:, 2:] - faces[:, :2]) / 2
    points = centers[:, None] + disc[None] * halves[:, None]
    return np.asarray(inside(points, covers).mean(axis=1) >= COVERED)


def false_area(faces: Array, covers: Sequence[Cover], width: int, height: int) -> float:
    """The part of the picture that is under covers and not near a face."""
    across, down = np.meshgrid((np.arange(128) + 0.5) / 128 * width, (np.arange(72) + 0.5) / 72 * height)
    points = np.stack([across, down], axis=-1)
    out = (faces[:, 2:] - faces[:, :2]) * NEAR
    near = [Cover(tuple(each), shape="box") for each in np.hstack([faces[:, :2] - out, faces[:, 2:] + out]).tolist()]
    return float((inside(points, covers) & ~inside(points, near)).mean())


def scaled(boxes: Array, scale: float) -> list[Cover]:
    """Elliptic covers whose sides lie (scale - 1) of a box's size outside of it."""
    out = (boxes[:, 2:4] - boxes[:, :2]) * (scale - 1)
    return [Cover(tuple(each)) for each in np.hstack([boxes[:, :2] - out, boxes[:, 2:4] + out]).tolist()]


def released(
    operators: Sequence[Operator], frames: Iterable[Frame], lookahead_ms: float, tally: ClipTally
) -> Iterator[Frame]:
    """Frames with covers as a stream's work would release them; what no detector looked at has one cover over all."""

    @contextmanager
    def timed(_: str = "") -> Iterator[None]:
        began = time.process_time()
        yield
        tally.cpu_s += time.process_time() - began

    last_ahead = max((i for i, each in enumerate(operators) if isinstance(each, LooksAhead)), default=-1)
    looking = LookAhead("", {str(number): each for number, each in enumerate(operators)}, timed)
    window = looking.window

    def release() -> Frame:
        frame = looking.settle(window.popleft().frame)
        if not frame.examined:
            tally.whole += 1
            everything = Cover((0, 0, frame.picture.width, frame.picture.height), shape="box")
            frame = replace(frame, covers=(everything,))
        return frame

    for arrived in frames:
        looked = [arrived]
        with timed():
            for operator in operators[: last_ahead + 1]:
                looked = operator(looked)
        stamp = FrameStamp(arrived.index, 1)
        window.append(PendingFrame(replace(looked[0]), stamp, arrived.index, slot=0, epoch_index=arrived.index))
        while window and window[-1].frame.time_s - window[0].frame.time_s >= lookahead_ms / 1000:
            yield release()
    while window:
        yield release()


def count(
    tally: ClipTally, clip: str, truth: ClipTruth, frame: int, covers: Sequence[Cover], size: tuple[int, int]
) -> None:
    boxes = truth.boxes[frame]
    tally.covered += covered(boxes, covers).tolist()
    tally.tracks += [f"{clip}/{number}" for number in truth.tracks[frame]]
    tally.false_area.append(false_area(boxes, covers, *size))


def measure(path: Path, config: str, most: int | None) -> tuple[dict[str, ClipTally], ClipTruth]:
    """What each anonymizer leaves of one clip, and the truth that it is measured by."""
    peer, engine = deface(), open_engine(find_model("centerface"))
    theirs: list[Array] = []
    seen: list[Array] = []
    times: list[float] = []
    size = (0, 0)
    for frame in islice(read_frames(path), most):
        size = (frame.picture.width, frame.picture.height)
        theirs.append(np.column_stack(peer(frame.bgr)))
        found = theirs[-1]
        if frame.index % 2 == 0:
            side = enlarged(max(size))
            faces = CenterFace(engine, min_px=side, max_px=side)([frame])[0].faces
            found = joined(np.column_stack([faces.boxes, faces.scores]), found)
        seen.append(without(found, NO_FACES.get(path.name, ())))
        times.append(frame.time_s)
    truth = link(seen, times)

    tallies = {"deface": ClipTally()} | {name: ClipTally() for name in WAITS_MS}
    for index, boxes in enumerate(theirs):
        count(tallies["deface"], path.name, truth, index, scaled(boxes, DEFACE_SCALE), size)
    for name, lookahead_ms in WAITS_MS.items():
        operators = list(open_steps(load(config)).values())
        for frame in released(operators, islice(read_frames(path), most), lookahead_ms, tallies[name]):
            count(tallies[name], path.name, truth, frame.index, frame.covers, size)
    return tallies, truth


# -- the report ----------------------------------------------------------------------------------------


def gain(one: ClipTally, other: ClipTally, *, seed: int, rounds: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval over tracks of the recall of one less that of the other."""
    names, which = np.unique(one.tracks, return_inverse=True)
    gained = np.bincount(which, np.array(one.covered, float) - np.array(other.covered, float), len(names))
    faces = np.bincount(which, minlength=len(names))
    drawn = np.random.default_rng(seed).integers(0, len(names), (rounds, len(names)))
    low, high = np.percentile(gained[drawn].sum(axis=1) / faces[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def merged(tallies: Iterable[ClipTally]) -> ClipTally:
    total = ClipTally()
    for each in tallies:
        total.covered += each.covered
        total.tracks += each.tracks
        total.false_area += each.false_area
        total.whole += each.whole
        total.cpu_s += each.cpu_s
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


def summarize(name: str, part: str, tally: ClipTally) -> dict[str, Any]:
    """One row of the table."""
    frames = len(tally.false_area)
    return {
        "anonymizer": name, "clips": part, "frames": frames, "tracks": len(set(tally.tracks)),
        "face-frames": len(tally.covered), "recall": float(np.mean(tally.covered)),
        "false area": float(np.mean(tally.false_area)), "covered whole": tally.whole,
        "cpu_ms": tally.cpu_s / frames * 1000,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", default="anonymize", help="of ours: a file, or a packaged one's name")
    parser.add_argument("--clips", nargs="+", default=[*CHOSEN_ON, *LOOKED_AT])
    parser.add_argument("--frames", type=int, help="of each clip, at most; otherwise all")
    parser.add_argument("--sheet", type=Path, help="a picture to be written: samples of the truth, and what was missed")
    given = parser.parse_args()
    folder = data_folder() / "videos"
    pull(["centerface"])
    clips = {}
    for name in track(given.clips, "looking"):
        clips[name] = measure(folder / name, given.config, given.frames)
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
        (name, part): merged(clips[clip][0][name] for clip in members if clip in clips)
        for part, members in parts.items()
        for name in names
        if set(members) & set(clips)
    }
    rows = [summarize(name, part, tally) for (name, part), tally in totals.items() if tally.covered]
    title = "face-frames covered; false area as a part of the picture; CPU-ms per frame of our operators"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in rows[0]:
        table.add_column(column, justify="left" if column in ("anonymizer", "clips") else "right")
    for row in rows:
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()))
    console = Console()
    console.print(table)

    figures: dict[str, float] = {}
    for row in rows:
        if row["clips"] in ("chosen on", "looked at", "all"):
            suffix = row["anonymizer"] + ("" if row["clips"] == "all" else "_" + row["clips"].replace(" ", "_"))
            figures[f"video_recall_{suffix}"] = row["recall"]
            figures[f"video_false_area_{suffix}"] = row["false area"]
    for name in names[1:]:
        low, high = gain(totals[name, "all"], totals["deface", "all"], seed=given.seed)
        figures |= {f"video_recall_gain_low_{name}": low, f"video_recall_gain_high_{name}": high}
        console.print(f"{name} - deface on all clips: 95 % interval {low:+.4f} to {high:+.4f}")
    write_report(given.json, figures, rows, given.seed)


if __name__ == "__main__":
    main()
