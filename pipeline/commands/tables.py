"""How trainings and evaluations are shown on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from pipeline.commands.console import console, plain

if TYPE_CHECKING:  # it brings SciPy along, which no other command shall wait for
    from pipeline.training.summaries import Row

TITLES = {
    "auc": "AUC",
    "ap": "AP",
    "eer": "EER",
    "tpr_at_fpr01": "TPR at 1 % FPR",
    "ece": "ECE",
    "ece_even": "ECE, even classes",
    "selective_error_70": "error of the surest 70 %",
}


def show_scores(rows: Sequence[Row], kinds: Sequence[Row], spoken: Mapping[str, float], title: str) -> None:
    """The table of all metrics, then that of kinds where there are several."""
    table = Table(title=plain(title))
    for name in ("detector", "unit", "cases", "scored", *TITLES.values()):
        table.add_column(name, justify="left" if name in ("detector", "unit") else "right")
    for row in rows:
        figures = (str(row[name]) for name in TITLES)
        table.add_row(plain(row["what"]), row["unit"], str(row["cases"]), f"{row['coverage']:.0%}", *figures)
    console.print(table)
    for name, share in spoken.items():
        console.print(f"{plain(name)} would speak of {share:.0%} of these crops at run time")
    if len(kinds) > 1:
        names = [name for name in kinds[0] if name not in ("kind", "cases")]
        table = Table("kind of forgery", "cases", *map(plain, names), title="AUC against all genuine crops")
        for row in kinds:
            table.add_row(plain(row["kind"]), str(row["cases"]), *(str(row[name]) for name in names))
        console.print(table)


def show_rows(rows: Sequence[Row], title: str) -> None:
    """One line for each training and set."""
    table = Table(
        "training", "set", "cases", "scored", "AUC", "above the first", "AUC by video", "EER", "ECE", title=plain(title)
    )  # fmt: skip
    for row in rows:
        figures = (str(row.get(name, "")) for name in ("auc", "auc_over_first", "auc_video", "eer", "ece"))
        table.add_row(plain(row["what"]), plain(row["set"]), str(row["cases"]), f"{row['coverage']:.0%}", *figures)
    console.print(table)


def show_minutes(spent: Mapping[str, float]) -> None:
    """What each phase of a training took."""
    table = Table("phase", "minutes")
    for phase, took in spent.items():
        table.add_row(plain(phase), f"{took:.1f}")
    table.add_row("all", f"{sum(spent.values()):.1f}", style="bold")
    console.print(table)
