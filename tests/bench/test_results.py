"""README and docs show what bench/results holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.results import HEADLINE, ROOT, SHOWN, pages, read_results, table

RESULTS = ROOT / "bench" / "results"


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_a_page_holds_the_results(page: str) -> None:
    written = pages((ROOT / "README.md").read_text(), read_results(RESULTS))

    assert written[page] == (ROOT / page).read_text(), "run python -m bench.results"


def test_what_is_shown_was_measured() -> None:
    results = read_results(RESULTS)
    measured = {name for each in results for own in each.report.numbers for name in (own, f"{each.stem}.{own}")}

    assert set(SHOWN) <= measured
    assert set(HEADLINE) <= set(SHOWN)


def test_a_figure_names_the_command_that_gave_it(tmp_path: Path) -> None:
    about = {"commit": "0123456789abcdef", "machine": "a machine", "rows": []}
    first = {"command": "bench a", "seed": None, "figures": {"lost": 3}, **about}
    second = {"command": "bench b", "seed": 7, "figures": {"kills": 20, "lost": 0.25}, **about}
    (tmp_path / "a.json").write_text(json.dumps(first))
    (tmp_path / "b.json").write_text(json.dumps(second))

    lines = table(read_results(tmp_path), ["kills", "lost"]).split("\n")

    assert lines[2:] == [
        "| processes killed at random | `kills` | 20 | 2 |",
        "| frames lost of these | `lost` | 0.25 | 2 |",  # the last file that has it
        "",
        "- 2: `bench b` at 0123456789 on a machine, seed 7",
    ]
