"""One bar for each thing that is done, with its latest figures."""

from __future__ import annotations

import pytest

from pipeline.commands.progress import Bars


def shown(bars: Bars) -> list[tuple[str, float, float | None, str]]:
    """What each bar says: what is done, how far it is, of how much, and with which figures."""
    return [(task.description, task.completed, task.total, task.fields["note"]) for task in bars._progress.tasks]


def test_there_is_one_bar_for_each_thing_with_its_latest_figures() -> None:
    with Bars() as bars:
        bars.show("landmarks", 1, 4, {"faces": 12})
        bars.show("training", 0, 9)
        bars.show("landmarks", 2, 5, {"faces": 25})

        assert shown(bars) == [("landmarks", 2, 5, "faces 25"), ("training", 0, 9, "")]


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({}, ""),
        ({"loss": 0.123456}, "loss 0.1235"),
        ({"loss": 2.0, "val_auc": 0.98765}, "loss 2 val_auc 0.9877"),
        ({"lr": 0.00002}, "lr 2e-05"),
        ({"faces": 123456}, "faces 1.235e+05"),
        ({"loss": float("nan")}, "loss nan"),
    ],
)
def test_figures_have_four_digits(figures: dict[str, float], said: str) -> None:
    with Bars() as bars:
        bars.show("training", 1, 2, figures)

        assert shown(bars)[0][3] == said


def test_bars_are_for_people_and_not_for_what_reads_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars.show("training", 1, 2, {"loss": 1})

    assert capsys.readouterr().out == ""
