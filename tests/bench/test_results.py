"""README and docs show what bench/results holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.results import HEADLINE, ROOT, SHOWN, pages, read_results, table
from pipeline.provenance import content_hash

RESULTS = ROOT / "bench" / "results"


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_a_page_holds_the_results(page: str) -> None:
    written = pages((ROOT / "README.md").read_text(), read_results(RESULTS))

    assert written[page] == (ROOT / page).read_text(), "run python -m bench.results"


def test_what_is_shown_was_measured_or_a_file_is_older_than_its_code() -> None:
    results = read_results(RESULTS)
    measured = {name for each in results for own in each.report.numbers for name in (own, f"{each.stem}.{own}")}

    assert set(SHOWN) <= measured or any(each.old for each in results)
    assert set(HEADLINE) <= set(SHOWN)


def test_a_figure_names_the_command_that_gave_it(tmp_path: Path) -> None:
    about = {"commit": "0123456789abcdef", "machine": "a machine", "rows": []}
    first = {"command": "bench a", "seed": None, "figures": {"lost": 3}, **about}
    second = {"command": "bench b", "seed": 7, "figures": {"kills": 20, "lost": 0.25}, **about}
    (tmp_path / "a.json").write_text(json.dumps(first))
    (tmp_path / "b.json").write_text(json.dumps(second))

    lines = table(read_results(tmp_path), ["kills", "lost"]).split("\n")

    assert lines[2:] == [
        "| faults at random: processes killed, disks filled, clocks set, wires cut | `kills` | 20 | 2, old |",
        "| frames lost of these | `lost` | 0.25 | 2, old |",  # the last file that has it
        "",
        "- 2: `bench b` at 0123456789 on a machine, seed 7. **Old**: of which code is not noted",
    ]


def test_a_figure_older_than_its_code_is_marked(tmp_path: Path) -> None:
    code = tmp_path / "operators"
    code.mkdir()
    (code / "track.py").write_text("as measured")
    known = {name: content_hash(tmp_path / name) for name in ("operators", "engines")}
    report: dict[str, object] = {
        "command": "bench",
        "commit": "c" * 40,
        "machine": "m",
        "seed": None,
        "code": known,
        "rows": [],
    }
    (tmp_path / "a.json").write_text(json.dumps({**report, "figures": {"lost": 0}}))

    def lines() -> list[str]:
        return table(read_results(tmp_path, tmp_path), ["lost"]).split("\n")

    assert lines()[2:] == ["| frames lost of these | `lost` | 0 | 1 |", "", "- 1: `bench` at cccccccccc on m"]

    (code / "track.py").write_text("as it is now")
    assert lines()[2].endswith("| 1, old |")
    assert lines()[-1].endswith("on m. **Old**: `operators` has changed since")

    (tmp_path / "engines").mkdir()
    (tmp_path / "engines/new.py").touch()
    assert lines()[-1].endswith("**Old**: `operators` and `engines` have changed since")
