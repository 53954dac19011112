"""The README tells what the benches wrote."""

from __future__ import annotations

from bench.results import ROOT, SHOWN, table, written


def test_the_readme_holds_the_results() -> None:
    readme = (ROOT / "README.md").read_text()

    assert written(readme, table(ROOT / "bench" / "results")) == readme
    assert {"recall_ours", "rank1_worst_default", "deface_over_ours_720p"} <= {n for n in SHOWN if f"`{n}`" in readme}
