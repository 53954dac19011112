"""How evaluations are shown on the terminal, and put into reports and cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from engines.card import Metric
from operators.metrics import Figure
from pipeline.console import console
from pipeline.evaluation import Row

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
    table = Table(title=title)
    for name in ("detector", "unit", "cases", "scored", *TITLES.values()):
        table.add_column(name, justify="left" if name in ("detector", "unit") else "right")
    for row in rows:
        figures = (str(row[name]) for name in TITLES)
        table.add_row(row["what"], row["unit"], str(row["cases"]), f"{row['coverage']:.0%}", *figures)
    console.print(table)
    for name, share in spoken.items():
        console.print(f"{name} would speak of {share:.0%} of these crops at run time")
    if len(kinds) > 1:
        names = [name for name in kinds[0] if name not in ("kind", "cases")]
        table = Table("kind of forgery", "cases", *names, title="AUC against all genuine crops")
        for row in kinds:
            table.add_row(row["kind"], str(row["cases"]), *(str(row[name]) for name in names))
        console.print(table)


def show_rows(rows: Sequence[Row], title: str) -> None:
    """One line for each training and set."""
    table = Table(
        "training", "set", "cases", "scored", "AUC", "above the first", "AUC by video", "EER", "ECE", title=title
    )  # fmt: skip
    for row in rows:
        figures = (str(row.get(name, "")) for name in ("auc", "auc_over_first", "auc_video", "eer", "ece"))
        table.add_row(row["what"], row["set"], str(row["cases"]), f"{row['coverage']:.0%}", *figures)
    console.print(table)


def show_minutes(spent: Mapping[str, float]) -> None:
    """What each phase of a training took."""
    table = Table("phase", "minutes")
    for phase, took in spent.items():
        table.add_row(phase, f"{took:.1f}")
    table.add_row("all", f"{sum(spent.values()):.1f}", style="bold")
    console.print(table)


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows for a report: intervals as lists of value, low and high."""
    return [
        {key: [cell.value, cell.low, cell.high] if isinstance(cell, Figure) else cell for key, cell in each.items()}
        for each in rows
    ]


def card_metrics(figures: Mapping[str, float | None]) -> dict[str, Metric | float]:
    """A report's figures for a card: those with an interval as one, and those that are not defined not at all."""
    told: dict[str, Metric | float] = {}
    for name, value in figures.items():
        if value is None or name.endswith(("_low", "_high")):
            continue
        low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
        told[name] = value if low is None or high is None else Metric(value=value, low=low, high=high)
    return told
