"""How often the keep-list shows a stranger, and how often it knows its person: `python -m bench.bench_keep`.

One comparison of a photo with a face, on LFW pairs in `FACEWARDEN_DATA/faces_lfw`: `false_keep` is the share of
different people that match, `true_keep` that of same ones. Rows reduce one of the two pictures until its face has the
given height, because the faces of video are smaller than those of photos.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.data import data_folder
from engines import open_engine
from operators.arrays import Array
from operators.detect.centerface import CenterFace
from operators.keep import Descriptor
from operators.stills import decode_image, frame_of, read_images
from pipeline.models.catalog import find_model
from pipeline.models.fetch import pull
from pipeline.provenance import write_report

HEIGHTS_PX = (0, 48, 32, 24)  # 0: as it is
DISTANCES = (0.4, 0.45, 0.5, 0.55, 0.6)


def middle_face(detector: CenterFace, image: NDArray[np.uint8]) -> Array | None:
    """The box of the face nearest to the centre, where LFW has its person."""
    boxes = detector([frame_of(image)])[0].faces.boxes
    if not len(boxes):
        return None
    away = np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - np.array(image.shape[1::-1]) / 2).sum(axis=1)
    return np.asarray(boxes[away.argmin()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pairs", type=int, default=2000, help="how many pairs, half of them of one person")
    given = parser.parse_args()
    pull(["centerface", "face_descriptor", "face_points"])
    detector = CenterFace(open_engine(find_model("centerface")))
    describe = Descriptor(find_model("face_descriptor"), find_model("face_points"))
    folder = data_folder() / "faces_lfw"
    with (folder / "pairs.csv").open() as file:
        lines = list(csv.DictReader(file))
    kinds = [[line for line in lines if line["same"] == same][: given.pairs // 2] for same in "10"]
    pairs = [line for kind in kinds for line in kind]
    images = read_images(folder / "lfw_subset.tar")

    numbers: dict[tuple[str, int], NDArray[np.float64]] = {}
    photos, faces = {pair["file_a"] for pair in pairs}, {pair["file_b"] for pair in pairs}
    for name in track(sorted(photos | faces), "describing"):
        image = decode_image(images[name])
        box = middle_face(detector, image)
        if box is None:
            continue
        for height_px in HEIGHTS_PX if name in faces else (0,):
            scale = height_px / float(box[3] - box[1]) if height_px else 1.0
            smaller = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            numbers[name, height_px] = describe.face(smaller, box * scale)

    rows = []
    for height_px in HEIGHTS_PX:
        apart: dict[str, list[float]] = {"0": [], "1": []}
        for pair in pairs:
            ends = numbers.get((pair["file_a"], 0)), numbers.get((pair["file_b"], height_px))
            if ends[0] is not None and ends[1] is not None:
                apart[pair["same"]].append(float(np.linalg.norm(ends[0] - ends[1])))
        rows += [
            {
                "height_px": height_px or "as it is",
                "distance": limit,
                "pairs": len(apart["0"]) + len(apart["1"]),
                "false_keep": float(np.mean(np.array(apart["0"]) <= limit)),
                "true_keep": float(np.mean(np.array(apart["1"]) <= limit)),
            }
            for limit in DISTANCES
        ]
    table = Table(title="one comparison of a photo with a face")
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    default = next(row for row in rows if row["height_px"] == "as it is" and row["distance"] == 0.45)
    figures = {name: float(default[name]) for name in ("false_keep", "true_keep")}
    write_report(given.json, figures, rows, code=("bench/bench_keep.py", "operators/keep.py"))


if __name__ == "__main__":
    main()
