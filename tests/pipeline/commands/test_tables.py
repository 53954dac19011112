"""Tables of trainings and evaluations, with figures that are known."""

from __future__ import annotations

from typing import Any

import pytest

from operators.metrics import Figure
from pipeline.commands.console import console
from pipeline.commands.tables import TITLES, show_minutes, show_rows, show_scores


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 300)


def cells(printed: str) -> list[list[str]]:
    """The cells of all rows with borders."""
    return [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in printed.splitlines()
            if line.startswith(("│", "┃"))]  # fmt: skip


def scores(what: str, unit: str, value: float, coverage: float = 1.0) -> dict[str, Any]:
    figures = dict.fromkeys(TITLES, Figure(value, value - 0.1, value + 0.1))
    return {"what": what, "unit": unit, "cases": 12, "coverage": coverage, **figures}


def kind(name: str, cases: int, **figures: Figure) -> dict[str, Any]:
    return {"kind": name, "cases": cases, **figures}


def test_the_table_of_scores(capsys: pytest.CaptureFixture[str]) -> None:
    show_scores([scores("acmf", "frame", 0.5), scores("acmf", "video", 0.75, 0.984)], [], {"acmf": 0.666}, "ff, test")

    printed = capsys.readouterr().out
    assert printed.splitlines()[0].strip() == "ff, test"
    assert cells(printed) == [
        ["detector", "unit", "cases", "scored", "AUC", "AP", "EER", "TPR at 1 % FPR", "ECE", "ECE, even classes",
         "error of the surest 70 %"],
        ["acmf", "frame", "12", "100%", *["0.500 [0.400, 0.600]"] * 7],
        ["acmf", "video", "12", "98%", *["0.750 [0.650, 0.850]"] * 7],
    ]  # fmt: skip
    assert printed.splitlines()[-1] == "acmf would speak of 67% of these crops at run time"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_kinds_have_a_table_where_there_are_several(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [
        kind("swap", 3, acmf=Figure(1, 0.9, 1), Meso4_DF=Figure(0.5, 0.4, 0.6)),
        kind("iris", 4, acmf=Figure(0.25, 0.2, 0.3), Meso4_DF=Figure(0, 0, 0)),
    ]

    show_scores([], kinds[:count], {}, "")

    rows = cells(capsys.readouterr().out)[1:]
    assert rows == [] if count < 2 else rows == [
        ["kind of forgery", "cases", "acmf", "Meso4_DF"],
        ["swap", "3", "1.000 [0.900, 1.000]", "0.500 [0.400, 0.600]"],
        ["iris", "4", "0.250 [0.200, 0.300]", "0.000 [0.000, 0.000]"],
    ]  # fmt: skip


def test_the_table_of_trainings(capsys: pytest.CaptureFixture[str]) -> None:
    figure = Figure(0.8, 0.7, 0.9)
    figures = {"auc": figure, "auc_video": Figure(1, 1, 1), "eer": Figure(0.2, 0.1, 0.3), "ece": Figure(0, 0, 0)}
    row = {"what": "as configured", "set": "ff", "cases": 12, "coverage": 0.5, **figures}

    show_rows([row, {**row, "what": "no masking", "auc_over_first": Figure(-0.1, -0.2, 0.0)}], "acmf: ablations")

    head, first, second = cells(capsys.readouterr().out)
    assert head == ["training", "set", "cases", "scored", "AUC", "above the first", "AUC by video", "EER", "ECE"]
    assert first == [
        "as configured", "ff", "12", "50%", "0.800 [0.700, 0.900]", "", "1.000 [1.000, 1.000]", "0.200 [0.100, 0.300]",
        "0.000 [0.000, 0.000]",
    ]  # fmt: skip
    assert (second[0], second[5]) == ("no masking", "-0.100 [-0.200, 0.000]")


@pytest.mark.parametrize(
    ("spent", "rows"),
    [
        ({}, [["all", "0.0"]]),
        ({"landmarks": 1.26, "training": 90}, [["landmarks", "1.3"], ["training", "90.0"], ["all", "91.3"]]),
    ],
    ids=["nothing", "two phases"],
)
def test_the_table_of_minutes(
    spent: dict[str, float], rows: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    show_minutes(spent)

    assert cells(capsys.readouterr().out) == [["phase", "minutes"], *rows]


def test_no_name_is_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    odd = "[bold]x[/].mp4"
    figures = {name: Figure(0.5, 0.4, 0.6) for name in ("auc", "auc_over_first", "auc_video", "eer", "ece")}

    show_scores([scores(odd, "frame", 0.5)], [kind(odd, 2, auc=figures["auc"])] * 2, {odd: 0.5}, f"{odd} of data")
    show_rows([{"what": odd, "set": odd, "cases": 1, "coverage": 1.0, **figures}], f"{odd} trained")
    show_minutes({odd: 1.0})

    assert capsys.readouterr().out.count(odd) == 9
