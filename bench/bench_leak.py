"""Who is still recognised under a cover, and what it leaves of use: `python -m bench.bench_leak --style all`.

A probe is a track of somebody of whom the gallery holds one other picture, clear. People move before a camera with
grain, boxes jitter as those of our detector and tracker do on such clips, and the covered pictures have gone through
x264 as in a run. The attacker knows exactly where the face is in each frame, lays the first 1, 4, 16 or 64 of them over
one another, and also takes off what stands still with the cover. Rank-1 is the share of probes whose nearest in the
gallery is the same person, TAR the share that is accepted when one in a thousand of all wrong pairs is.

    dlib, faceres   two recognisers of different makers on the estimate, as if there were no cover
    ridge, network  learned from the second one's numbers on covered tracks of other people
    pixels          kernel ridge regression from the pixels of the estimate
    cnn             the second recogniser, its last blocks trained on covered faces
    restored ...    a restorer trained on pairs of covered and clear faces, its output fed to a recogniser
    parrot ...      the gallery is covered by the same program, and covers are compared with covers; what lies around
                    them is made grey
    blind           with `proface_s`: who has its weights and no key, `bench/leak_blind.py`
    around          for comparison: hair, clothes and background, which no cover of a face hides

What an attacker finds with no cover says how good it is: one that finds less than half there is marked weak. `faint
blur` is a second control. Each track is a stream of its own with its own secret, as those of different cameras are. LFW
is published for research only: it is used for evaluation alone. Stages are kept in `out/leak`: an interrupted run goes
on there.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import binom

from bench.leak_around import around
from bench.leak_attacks import Attacked, attacks, restorer_psnr
from bench.leak_blind import FACES, blind_figures
from bench.leak_fairness import EACH, fairness
from bench.leak_figures import FARS, LeakRow, by_gallery, curve, figures_of_scores, wilson
from bench.leak_people import GALLERY, Cast, cast
from bench.leak_stages import Stages
from bench.leak_styles import STYLES, CoverStyle, chosen
from bench.leak_utility import MEASURES, PEOPLE, utility
from bench.leak_views import Views
from pipeline.models.fetch import pull
from pipeline.provenance import write_report

WEAK = 0.5
MODELS = ("centerface", "yunet", "blazeface", "face_landmarker", "face_descriptor", "face_points")
CODE = (
    "bench/bench_leak.py",
    "bench/hiding.py",
    "bench/leak_attackers.py",
    "bench/leak_learners.py",
    "bench/leak_tracks.py",
    "operators/deidentify",
    "operators/paint",
    "operators/reversible/proface_s",
    "operators/track.py",
)


def attack_rows(found: Sequence[Attacked]) -> list[LeakRow]:
    """A row for each attack; `weak` are attackers that find less than half of the people without a cover."""
    rows: list[LeakRow] = [
        {"table": "attacks", "style": each.style, "frames": each.frames, "attacker": each.attacker}
        | figures_of_scores(each.scores)
        for each in found
    ]
    good = {row["attacker"]: row["rank1"] for row in rows if row["style"] == "none"}
    return [{**row, "weak": bool(good.get(row["attacker"], 1.0) < WEAK)} for row in rows]


def curve_rows(found: Sequence[Attacked]) -> list[LeakRow]:
    """Of each style the attack that finds most, for the picture; and the parrots in galleries of all sizes."""
    rows: list[LeakRow] = []
    for style in dict.fromkeys(each.style for each in found):
        mine = [each for each in found if each.style == style]
        best = max(mine, key=lambda each: tuple(figures_of_scores(each.scores)[name] for name in ("rank1", "tar")))
        parrots = [("parrot", each) for each in mine if each.attacker.startswith("parrot")]
        for table, each in [("curves", best), *parrots]:
            sizes = by_gallery(each.scores)
            intervals = [wilson(part, len(each.scores)) for part in sizes.values()]
            rows.append(
                {
                    "table": table,
                    "style": style,
                    "frames": each.frames,
                    "attacker": each.attacker,
                    "far": np.round(FARS, 6).tolist(),
                    "tar": np.round(curve(each.scores), 5).tolist(),
                    "sizes": list(sizes),
                    "rank1": list(sizes.values()),
                    "low": [low for low, _ in intervals],
                    "high": [high for _, high in intervals],
                }
            )
    return rows


def utility_rows(views: Views, styles: Sequence[CoverStyle], people: int) -> list[LeakRow]:
    """What a cover leaves of use: means over people, with intervals by drawing them anew."""
    rows: list[LeakRow] = []
    for style in styles:
        measured = {**utility(views, style, people), **restorer_psnr(views, style)}
        row: LeakRow = {"table": "utility", "style": style.name}
        for name, values in measured.items():
            some = values[np.isfinite(values)]
            draws = np.random.default_rng(0).choice(some, (1000, len(some))).mean(axis=1) if len(some) else [np.nan]
            low, high = np.quantile(draws, (0.025, 0.975))
            row |= {name: float(some.mean()) if len(some) else float("nan"), f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return rows


def worst(rows: Sequence[LeakRow], **only: Any) -> LeakRow:
    """The row with the highest rank-1 of those that have these values.

    >>> worst([{"style": "blur", "rank1": 0.1}, {"style": "solid", "rank1": 0.2}], style="blur")["rank1"]
    0.1
    """
    return max((row for row in rows if all(row[k] == v for k, v in only.items())), key=lambda row: float(row["rank1"]))


def chance_of_worst(attacks: int, people: int) -> float:
    """What the best of so many attackers who know nothing finds at most, in 95 of 100 benches.

    >>> chance_of_worst(1, 500), chance_of_worst(50, 500)
    (0.006, 0.01)
    """
    hits = np.arange(people + 1)
    return float(np.argmax(binom.cdf(hits, people, 1 / people) ** attacks >= 0.95) / people)


def figures_of(rows: Sequence[LeakRow], people: int) -> dict[str, float]:
    """Figures of the report, of the rows of attacks."""
    figures: dict[str, float] = {}
    for style in dict.fromkeys(row["style"] for row in rows):
        mine = [row for row in rows if row["style"] == style]
        name, top = f"rank1_{style.replace(' ', '_')}", worst(mine)
        figures |= {name: top["rank1"], f"{name}_high": max(row["rank1_high"] for row in mine)}
        figures[f"tar_{style.replace(' ', '_')}"] = max(row["tar"] for row in mine)
        for count in dict.fromkeys(row["frames"] for row in mine if style in ("blur", "mosaic")):
            figures[f"{name}_{count}"] = worst(mine, frames=count)["rank1"]
    for row in (row for row in rows if row["style"] == "none"):
        figures[f"rank1_none_{row['attacker'].replace(' ', '_')}"] = row["rank1"]
    ours = {style.name for style in STYLES if style.default}
    defaults = [row for row in rows if row["style"] in ours]
    if defaults:
        figures["rank1_worst_default"] = worst(defaults)["rank1"]
        figures["rank1_worst_default_high"] = max(row["rank1_high"] for row in defaults)
        figures["tar_worst_default"] = max(row["tar"] for row in defaults)
        figures["tar_worst_default_high"] = max(row["tar_high"] for row in defaults)
        figures["attacks_on_defaults"] = len(defaults)
        figures["rank1_chance_worst_default"] = chance_of_worst(len(defaults), people)
    return figures | {"rank1_chance": 1 / people, "identities": people}


def print_attacks(rows: Sequence[LeakRow], people: int) -> None:
    table = Table(title=f"among {people} people, in % (95 %); chance {100 / people:.2f}, TAR at FAR 0.1 %")
    for column in ("style", "frames", "attacker", "rank-1", "TAR"):
        table.add_column(column, justify="left" if column in ("style", "attacker") else "right")
    for row in rows:
        parts = [
            f"{100 * row[name]:.1f} ({100 * row[f'{name}_low']:.1f}-{100 * row[f'{name}_high']:.1f})"
            for name in ("rank1", "tar")
        ]
        table.add_row(row["style"], str(row["frames"]), row["attacker"] + (" (weak)" if row["weak"] else ""), *parts)
    Console(width=max(Console().width, 120)).print(table)


def print_rest(rows: Sequence[LeakRow], columns: Sequence[str], title: str) -> None:
    """Any other table: some columns of its rows."""
    table = Table(title=title)
    for column in columns:
        table.add_column(
            column, justify="right" if column in rows[0] and isinstance(rows[0][column], float) else "left"
        )
    for row in rows:
        table.add_row(*(f"{row[each]:.3f}" if isinstance(row[each], float) else str(row[each]) for each in columns))
    Console(width=max(Console().width, 140)).print(table)


def measure(
    people: Cast, stages: Stages, styles: Sequence[CoverStyle], seed: int, least: bool
) -> tuple[LeakRow, list[LeakRow]]:
    """Figures and rows.

    Args:
        least: a small run: fewer faces in all that is measured besides.
    """
    count = len(people.gallery)
    with tempfile.TemporaryDirectory() as name:
        views = Views(stages, people, Path(name), seed)
        found = attacks(views, styles)
        groups = [[people.people[row] for row in rows] for rows in (people.gallery, people.learners)]
        found.append(Attacked("around", 1, "components", around(*groups)))
        rows = attack_rows(found)
        print_attacks(rows, count)
        figures = figures_of(rows, count)
        rows += curve_rows(found)
        used = utility_rows(views, styles, 10 if least else PEOPLE)
        print_rest(used, ("style", "landmarker", *MEASURES, "psnr_seen", "psnr_restored"), "what is left of use")
        compared = [style for style in styles if style.thorough]
        fair = [{"table": "fairness", **row} for row in fairness(views, compared, 5 if least else EACH)]
        print_rest(fair, ("style", "group", "faces", "rank1", "rank1_low", "rank1_high"), "the same picture, by group")
    rows += used + fair
    figures |= fairness_figures(fair)
    if any(style.name == "proface_s" for style in styles):
        blind, blind_rows = blind_figures(stages, seed, 1 if least else FACES)
        print_rest(blind_rows, ("carrier", "measure", "of", "value", "low", "high"), "PRO-Face S, weights and no key")
        figures, rows = {**figures, **blind}, rows + [{"table": "blind", **row} for row in blind_rows]
    return figures, rows


def fairness_figures(rows: Sequence[LeakRow]) -> dict[str, float]:
    """Of each style the group that is found most, with the upper end of its interval, beside all of them."""
    figures: dict[str, float] = {}
    for style in dict.fromkeys(row["style"] for row in rows):
        mine = [row for row in rows if row["style"] == style]
        of_groups = [row for row in mine if row["group"] != "all"]
        key = f"fairness_{style}"
        figures[key] = next(row["rank1"] for row in mine if row["group"] == "all")
        figures[f"{key}_worst_group"] = worst(of_groups)["rank1"]
        figures[f"{key}_worst_group_high"] = max(row["rank1_high"] for row in of_groups)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--style", action="append", help="one of the styles, again for more; all is the default")
    parser.add_argument("--seed", type=int, default=0, help="of the split into identities, and of the covers")
    parser.add_argument("--people", type=int, default=GALLERY, help="how many are looked for, for a small run")
    given = parser.parse_args()
    pull(MODELS)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    stages = Stages(seed=given.seed)
    everybody = cast(stages, given.seed, given.people)
    figures, rows = measure(everybody, stages, chosen(given.style or ["all"]), given.seed, least=given.people < GALLERY)
    write_report(given.json, figures, rows, given.seed, code=CODE)


if __name__ == "__main__":
    main()
