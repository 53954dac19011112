"""Who is still recognised in a covered track: `python -m bench.bench_leak`. Re-identification on LFW, ours and deface.

A probe is a track of somebody of whom the gallery holds one other picture, clear; rank-1 is the share of probes whose
nearest in the gallery is the same person. People move before a camera with grain, boxes jitter as those of our detector
and tracker do on such clips, and the covered pictures have gone through x264 as in a run. The attacker knows exactly
where the face is in each frame, lays the first 1, 4, 16 or 64 of them over one another, and also takes off what stands
still with the cover. `bench/leak_attackers.py` has who then looks at it: they learned on covered tracks of other
people, and what they find without any cover says how good they are.

`around`, for comparison, is a square twice as high as the face with the cover's ellipse cut out: hair, clothes and
background, which no cover of a face hides; LFW often has two pictures of one occasion. Each track is a stream of its
own with its own secret, as those of different cameras are. LFW is published for research only: use it for evaluation
alone.
"""

from __future__ import annotations

import argparse
import inspect
import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.bench_keep import middle_face
from bench.data import data_folder
from bench.hiding import STYLES, Hide, clear, deface, ours
from bench.leak_attackers import Case, TrackView, attack, describe, nearest, principal, share
from bench.leak_tracks import Estimate, PersonPicture, estimates_of, jitter_of
from engines import open_engine
from operators.arrays import Array
from operators.deidentify.cover import CoverFaces
from operators.detect.centerface import CenterFace
from operators.detect.yunet import YuNet
from operators.stills import decode_image, read_images
from pipeline.models.catalog import find_model
from pipeline.models.fetch import pull
from pipeline.provenance import write_report

PEOPLE, LEARN = 675, 150
COUNTS = (1, 4, 16, 64)
DESCRIBED = {"none": (1,), "blur": COUNTS, "mosaic": (64,)}
"""Whose estimates dlib describes, of so many frames: a twelfth of a second of CPU time for each of them."""
PIXELS_ONLY = {"mosaic": (1, 4, 16), "deface blur": (1, 16), "deface mosaic": (1, 16), "solid": (1, 4), "image": (1, 4)}
"""What pixels alone are tried on besides: solid covers and images are the same whatever they hide."""
JITTER_PEOPLE, CHUNK = 24, 25
AROUND, AROUND_PX = 2.0, 32


def load() -> list[list[PersonPicture]]:
    """Of every person two pictures in which a face is found."""
    detector = CenterFace(open_engine(find_model("centerface")), min_px=32)
    images = read_images(data_folder() / "faces_lfw" / "lfw_subset.tar")
    people: dict[str, list[PersonPicture]] = {}
    for name in track(sorted(name for name in images if name.endswith(".jpg")), "finding faces"):
        pictures = people.setdefault(name.split("/")[-2], [])
        if len(pictures) == 2:
            continue
        image = decode_image(images[name])
        box = middle_face(detector, image)
        if box is not None:
            pictures.append(PersonPicture(image, box.astype(np.float64)))
    return [pictures for pictures in people.values() if len(pictures) == 2]


_people: list[list[PersonPicture]] = []
"""What forked children work on: inherited, since it is too large to be sent to each of them."""


def describe_clear(rows: Sequence[int]) -> NDArray[np.float64]:
    """dlib's numbers of the first picture of some people."""
    return describe([_people[row][0].chip() for row in rows])


def look(folder: Path, seed: int, jitter: Array, job: tuple[str, Sequence[int]]) -> dict[int, TrackView]:
    """What is seen of the tracks of some people under a cover, by the number of frames."""
    name, rows = job
    described, counts = DESCRIBED.get(name, ()), counts_of(name)
    hide = hiding(name, folder, seed)
    found: dict[int, list[Estimate]] = {count: [] for count in counts}
    for row in rows:
        person = _people[row][1].cropped()
        own = jitter[np.random.default_rng((seed, row)).integers(len(jitter))]
        for count, estimate in estimates_of(person, hide, own, counts, row, stretch=name != "none").items():
            found[count].append(estimate)
    return {
        count: TrackView(
            describe([each.chip for each in estimates]) if count in described else None,
            np.array([each.pixels for each in estimates]),
        )
        for count, estimates in found.items()
    }


def counts_of(cover: str) -> tuple[int, ...]:
    """Of how many frames estimates are made for that cover.

    >>> counts_of("mosaic")
    (1, 4, 16, 64)
    """
    return tuple(sorted({*DESCRIBED.get(cover, ()), *PIXELS_ONLY.get(cover, ())}))


def hiding(name: str, folder: Path, seed: int) -> Hide:
    if name == "none":
        return clear
    return deface(name.split()[1]) if name.startswith("deface") else ours(name, folder, seed)


def joined(parts: Sequence[dict[int, TrackView]], count: int) -> TrackView:
    """What was seen of so many frames, of all people again."""
    numbers = [part[count].numbers for part in parts]
    described = [each for each in numbers if each is not None]
    pixels = np.concatenate([part[count].pixels for part in parts])
    return TrackView(np.concatenate(described) if len(described) == len(numbers) else None, pixels)


def rows_of(cover: str, seen: dict[int, TrackView], clear_numbers: Array, learn: int) -> list[dict[str, Any]]:
    """The rows of a cover; the first `learn` people are for learning, the rest for the gallery."""
    rows = []
    for count, tracks in seen.items():
        to_learn, probes = (
            TrackView(None if tracks.numbers is None else tracks.numbers[part], tracks.pixels[part])
            for part in (slice(learn), slice(learn, None))
        )
        case = Case(to_learn, clear_numbers[:learn], probes, clear_numbers[learn:])
        rows += [{"cover": cover, "frames": count, "attacker": a, **share(hits)} for a, hits in attack(case).items()]
    return rows


def around(people: Sequence[Sequence[PersonPicture]], learn: int) -> dict[str, Any]:
    """How many are found by what no cover hides, in single pictures."""
    scale = inspect.signature(CoverFaces).parameters["scale"].default
    pixels = []
    for pictures in people:
        for picture in pictures:
            image = picture.image.copy()
            (x1, y1, x2, y2), grow = picture.box, 2 * scale - 1
            axes = round((x2 - x1) / 2 * grow), round((y2 - y1) / 2 * grow)
            cv2.ellipse(image, (round((x1 + x2) / 2), round((y1 + y2) / 2)), axes, 0, 0, 360, (0, 0, 0), -1)
            left, top, right, _ = picture.square(AROUND)
            to_view = np.array([[1, 0, -left], [0, 1, -top]]) * AROUND_PX / (right - left)
            view = cv2.warpAffine(cv2.GaussianBlur(image, (0, 0), 2), to_view, (AROUND_PX, AROUND_PX))
            pixels.append(cv2.cvtColor(view, cv2.COLOR_BGR2YCrCb).reshape(-1))
    values = np.array(pixels, np.float32)
    _, found = principal(values[: 2 * learn], values[2 * learn :])
    hits = nearest(found[::2], found[1::2], "cosine")
    return {"cover": "around", "frames": 1, "attacker": "components", **share(hits)}


def worst(rows: Sequence[dict[str, Any]], **only: Any) -> dict[str, Any]:
    """The row with the highest rank-1 of those that have these values.

    >>> worst([{"cover": "blur", "rank1": 0.1}, {"cover": "solid", "rank1": 0.2}], cover="blur")["rank1"]
    0.1
    """
    return max((row for row in rows if all(row[k] == v for k, v in only.items())), key=lambda row: float(row["rank1"]))


def figures_of(rows: Sequence[dict[str, Any]], people: int) -> dict[str, float]:
    """Figures of the report."""
    figures: dict[str, float] = {}
    for style in STYLES:
        figures[f"rank1_{style}"] = worst(rows, cover=style)["rank1"]
    for style in ("blur", "mosaic"):
        for count in COUNTS:
            top = worst(rows, cover=style, frames=count)
            figures[f"rank1_{style}_{count}"], figures[f"rank1_{style}_{count}_high"] = top["rank1"], top["high"]
    for attacker in ("dlib", "ridge", "network", "pixels"):
        figures[f"rank1_none_{attacker}"] = worst(rows, cover="none", attacker=attacker)["rank1"]
    figures["rank1_none"] = worst(rows, cover="none")["rank1"]
    figures["rank1_deface_blur"] = worst(rows, cover="deface blur")["rank1"]
    figures["rank1_deface_mosaic"] = worst(rows, cover="deface mosaic")["rank1"]
    figures["rank1_around"] = worst(rows, cover="around")["rank1"]
    defaults = [row for row in rows if row["cover"] in STYLES]
    figures["rank1_worst_default"] = worst(defaults)["rank1"]
    figures["rank1_worst_default_high"] = max(row["high"] for row in defaults)
    figures["rank1_chance"], figures["identities"] = 1 / people, people
    return figures


def print_table(rows: Sequence[dict[str, Any]], people: int) -> None:
    table = Table(title=f"rank-1 in % among {people} people (95 %), chance {100 / people:.2f}")
    attackers = list(dict.fromkeys(row["attacker"] for row in rows))
    for column in ("cover", "frames", *attackers):
        table.add_column(column, justify="left" if column == "cover" else "right")
    for cover, count in dict.fromkeys((row["cover"], row["frames"]) for row in rows):
        mine = {row["attacker"]: row for row in rows if (row["cover"], row["frames"]) == (cover, count)}
        cells = (
            f"{100 * row['rank1']:.1f} ({100 * row['low']:.1f}-{100 * row['high']:.1f})" if row else ""
            for row in map(mine.get, attackers)
        )
        table.add_row(cover, str(count), *cells)
    Console(width=max(Console().width, 120)).print(table)


def measure(people: list[list[PersonPicture]], learn: int, folder: Path, seed: int) -> list[dict[str, Any]]:
    """All rows, on all cores. Children are forked, so that the pictures need not be sent to them."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    quick = YuNet(open_engine(find_model("yunet")))
    shown = [pictures[1].cropped() for pictures in people[:JITTER_PEOPLE]]
    jitter = jitter_of(shown, quick, max(COUNTS), np.random.default_rng(seed))
    _people[:] = people
    chunks = [range(first, min(first + CHUNK, len(people))) for first in range(0, len(people), CHUNK)]
    rows = [around(people, learn)]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork")) as pool:
        numbers = np.concatenate(list(track(pool.map(describe_clear, chunks), "describing", total=len(chunks))))
        for cover in dict.fromkeys((*DESCRIBED, *PIXELS_ONLY)):
            jobs = [(cover, chunk) for chunk in chunks]
            parts = list(track(pool.map(partial(look, folder, seed, jitter), jobs), cover, total=len(jobs)))
            seen = {count: joined(parts, count) for count in counts_of(cover)}
            rows += rows_of(cover, seen, numbers, learn)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the split into identities, and of the covers")
    parser.add_argument("--people", type=int, default=PEOPLE, help="only so many")
    given = parser.parse_args()
    pull(["centerface", "yunet", "face_descriptor", "face_points"])
    people = load()
    people = [people[i] for i in np.random.default_rng(given.seed).permutation(len(people))][: given.people]
    learn = LEARN
    with tempfile.TemporaryDirectory() as name:
        rows = measure(people, learn, Path(name), given.seed)
    print_table(rows, len(people) - learn)
    write_report(given.json, figures_of(rows, len(people) - learn), rows, given.seed)


if __name__ == "__main__":
    main()
