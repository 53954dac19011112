"""Two reports of one bench, figure by figure: `python -m bench compare A.json B.json`.

A change counts as better or worse where it is larger than the noise: the spreads over rounds of both reports together
(`--repeat`, `--rounds`), at least what `--noise` assumes. Floors are no work of ours and are not judged; but as far as
they have changed, the machine has, and that is noise of all that is timed. `--fail` takes timed figures from reports of
at least `ROUNDS_WANTED` rounds only. Figures of different machines differ by the machines.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from bench.report import ROUNDS, SPREAD, direction, is_floor, is_timed, read_report
from pipeline.provenance import FiguresReport

Judgement = Literal["better", "worse", "same", "changed", "floor"]
COLOURS = {"better": "green", "worse": "red", "same": "dim", "changed": "yellow", "floor": "dim"}
ROUNDS_WANTED = 5
"""Of fewer rounds the spread says too little to fail by."""


@dataclass(frozen=True, slots=True)
class FigureChange:
    """One figure in both reports.

    Attributes:
        noise: fraction of the former value up to which a change says nothing.
        measured: the noise is the spread of rounds, not an assumption.
    """

    name: str
    before: float
    after: float
    noise: float
    measured: bool

    @property
    def change(self) -> float:
        """As a fraction of the former value; infinite where that was 0."""
        if self.before == self.after:
            return 0.0
        return (self.after - self.before) / abs(self.before) if self.before else float("inf")

    @property
    def verdict(self) -> Judgement:
        """Whether it is better, and `changed` where the figure's name does not say which way that is.

        >>> FigureChange("fps", 10.0, 12.0, noise=0.1, measured=True).verdict
        'better'
        """
        if is_floor(self.name):
            return "floor"
        if abs(self.change) <= self.noise:
            return "same"
        way = direction(self.name) * (1 if self.after > self.before else -1)
        return "changed" if way == 0 else "better" if way > 0 else "worse"


def differences(before: Mapping[str, float], after: Mapping[str, float], *, noise: float) -> list[FigureChange]:
    """Of all figures that both have, in the order of the first.

    Args:
        noise: the least that counts, as a fraction.
    """
    both = [name for name in before if name in after and name != ROUNDS and not name.endswith(SPREAD)]
    floors = [FigureChange(name, before[name], after[name], 0, measured=False) for name in both if is_floor(name)]
    unsure = (report.get(one.name + SPREAD, 0.0) for one in floors for report in (before, after))
    drift = max((abs(one.change) for one in floors), default=0.0) + max(unsure, default=0.0)
    found = []
    for name in both:
        spreads = [report[name + SPREAD] for report in (before, after) if name + SPREAD in report]
        own = sum(spreads) + (drift if is_timed(name) else 0.0)
        found.append(FigureChange(name, before[name], after[name], max(noise, own), bool(spreads)))
    return found


def doubtful(found: Sequence[FigureChange], before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """Names of figures that are worse, and are of time in reports of too few rounds to say so.

    >>> once = [FigureChange("offline_fps", 12.0, 10.0, 0.05, False), FigureChange("lost", 0, 2, 0.05, False)]
    >>> doubtful(once, {}, {}), doubtful(once, {"rounds": 5}, {"rounds": 5})
    (['offline_fps'], [])
    """
    if min(before.get(ROUNDS, 1), after.get(ROUNDS, 1)) >= ROUNDS_WANTED:
        return []
    return [one.name for one in found if one.verdict == "worse" and is_timed(one.name)]


def remarks(before: FiguresReport, after: FiguresReport) -> list[str]:
    """Why the two may not be compared as they are."""
    conditions = {
        "machine": (before.machine, after.machine),
        "command": (before.command, after.command),
        "seed": (before.seed, after.seed),
    }
    said = [f"different {what}: {one} and {other}" for what, (one, other) in conditions.items() if one != other]
    said += [
        f"{report.commit[:10]}+ had changes that no commit holds"
        for report in (before, after)
        if report.commit.endswith("+")
    ]
    only = sorted(name for name in before.numbers.keys() ^ after.numbers.keys() if not name.endswith(SPREAD))
    return said + ([f"only in one of them: {', '.join(only)}"] if only else [])


def table_of(found: list[FigureChange], title: str) -> Table:
    table = Table(title=title, caption="noise in brackets is assumed, else from the spread of rounds")
    table.add_column("figure", no_wrap=True)
    for column in ("before", "after", "change", "noise", ""):
        table.add_column(column, justify="right", no_wrap=True)
    for one in found:
        colour, noise = COLOURS[one.verdict], f"{one.noise:.1%}" if one.measured else f"({one.noise:.0%})"
        numbers = f"{one.before:.4g}", f"{one.after:.4g}", f"{one.change:+.1%}", noise
        table.add_row(one.name, *numbers, f"[{colour}]{one.verdict}[/{colour}]")
    return table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--noise", type=float, default=0.05, help="what a change has to exceed at least, as a fraction")
    parser.add_argument("--fail", action="store_true", help="end with 1 if anything is worse beyond doubt")


def run(given: argparse.Namespace) -> None:
    before, after = read_report(given.before), read_report(given.after)
    found = differences(before.numbers, after.numbers, noise=given.noise)
    if not found:
        raise SystemExit(f"{given.before} and {given.after} have no figure in common; compare two reports of one bench")
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table_of(found, f"{before.commit[:10]} to {after.commit[:10]}"))
    for remark in remarks(before, after):
        console.print(f"note: {remark}", highlight=False)
    doubts = doubtful(found, before.numbers, after.numbers)
    if doubts:
        rounds = f"at least {ROUNDS_WANTED} rounds (--repeat, --rounds) tell noise from a change"
        console.print(
            f"note: {', '.join(doubts)}: of too few rounds to say that they are worse; {rounds}", highlight=False
        )
    worse = [one.name for one in found if one.verdict == "worse" and one.name not in doubts]
    if worse and given.fail:
        raise SystemExit(f"worse: {', '.join(worse)}")
