"""Which part of face-frames is left in clear, by kind of scene, ours beside deface: `python -m bench.bench_open`.

Scenes are drawn (`bench.hard_scenes`), go through x264, and then through the default config's operators and look-ahead,
and through deface's detector frame by frame. A face counts as open where more than half of the ellipse in its box lies
under no cover. People are others than those of the tests; the seed is drawn unless it is given. Intervals are Wilson's
over scenes in which any face-frame is open, for frames of one scene hang together.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import binomtest

from bench.covers import hidden
from bench.data import data_folder
from bench.deployed import Pass, released
from bench.hard_scenes import KINDS, HardScene, scenes
from bench.peers import FindFaces, deface, scaled
from bench.people import heads
from bench.report import DEPLOYED
from bench.rooms import coded
from operators import Operator
from operators.arrays import Array
from operators.frame import Cover, Frame, to_bgr
from operators.stills import planar
from pipeline.config import load
from pipeline.live.steps import open_steps
from pipeline.models.catalog import models_of
from pipeline.models.fetch import pull
from pipeline.provenance import write_report

PEOPLE, FIRST = 40, 3
"""How many heads, and from which person of the list on: the tests take every n-th from the first."""
OPEN = 0.5
LOOK_AHEAD_MS = 250.0


@dataclass(slots=True)
class KindTally:
    """What one tool did on one kind."""

    face_frames: int = 0
    open: int = 0
    scenes: int = 0
    leaky: int = 0

    def add(self, shares: Sequence[float]) -> None:
        """Counts a scene: how much of each of its face-frames is in clear."""
        count = sum(share > OPEN for share in shares)
        self.face_frames += len(shares)
        self.open += count
        self.scenes += 1
        self.leaky += count > 0

    def row(self) -> dict[str, float]:
        interval = binomtest(self.leaky, self.scenes).proportion_ci(method="wilson")
        return {
            "face_frames": self.face_frames, "open": self.open, "share": self.open / max(1, self.face_frames),
            "scenes": self.scenes, "leaky_scenes": self.leaky,
            "leaky_low": float(interval.low), "leaky_high": float(interval.high),
        }  # fmt: skip


def frames_of(scene: HardScene) -> Iterator[Frame]:
    """A scene's frames as a decoder gives them."""
    stacked = ((n / scene.rate, _stacked(image)) for n, (image, _) in enumerate(scene.shots))
    for index, (time_s, shown) in enumerate(coded(stacked, crf=scene.crf)):
        yield Frame("scene", index, time_s, planar(shown), shown=scene.shown)


def _stacked(image: Array) -> Array:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420))


def open_shares(scene: HardScene, covers: Sequence[Sequence[Cover]]) -> list[float]:
    """How much of each face-frame lies under no cover."""
    found = []
    for (_, boxes), over in zip(scene.shots, covers, strict=True):
        found += [1 - float(share) for share in hidden(np.array(boxes).reshape(-1, 4), over)]
    return found


def ours(operators: dict[str, Operator], scene: HardScene, number: int) -> list[float]:
    frames = (Frame(f"scene {number}", f.index, f.time_s, f.picture, shown=f.shown) for f in frames_of(scene))
    return open_shares(scene, [frame.covers for frame in released(operators, frames, LOOK_AHEAD_MS, Pass())])


def theirs(find: FindFaces, scene: HardScene) -> list[float]:
    return open_shares(scene, [scaled(find(to_bgr(frame.picture))[0]) for frame in frames_of(scene)])


def figure_of(kind: str, tool: str) -> str:
    """The name of a figure.

    >>> figure_of("8 % of the light", "ours")
    'open_ours_8_of_the_light'
    """
    return f"open_{tool}_{re.sub(r'[^a-z0-9]+', '_', kind)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=12, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--only", choices=("ours", "deface"), help="one of both")
    parser.add_argument("--seed", type=int, help="drawn by default")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1 << 30)
    config = load()
    pull(models_of(config.steps))
    cv2.setNumThreads(1)
    people = heads(data_folder() / "faces_lfw", PEOPLE, FIRST)
    operators, peer = dict(open_steps(config)), deface()
    rows: list[dict[str, Any]] = []
    number = 0
    for kind in track(given.kinds, "scenes", console=Console(stderr=True)):
        tallies = {tool: KindTally() for tool in ("ours", "deface") if given.only in (None, tool)}
        for scene in scenes(people, kind, given.scenes, seed):
            number += 1
            if "ours" in tallies:
                tallies["ours"].add(ours(operators, scene, number))
            if "deface" in tallies:
                tallies["deface"].add(theirs(peer, scene))
        rows += [{"kind": kind, "tool": tool, **tally.row()} for tool, tally in tallies.items()]
    table = Table(*rows[0], title=f"face-frames in clear, seed {seed}")
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=140).print(table)
    figures = {figure_of(row["kind"], row["tool"]): float(row["share"]) for row in rows}
    write_report(given.json, figures, rows, seed=seed, code=("bench/hard_scenes.py", "bench/people.py", *DEPLOYED))


if __name__ == "__main__":
    main()
