"""The README tells what the benches wrote."""

from __future__ import annotations

from bench.results import ROOT, SHOWN, table, written


def test_the_readme_holds_the_results() -> None:
    readme = (ROOT / "README.md").read_text()

    assert written(readme, table(ROOT / "bench" / "results")) == readme
    assert all(f"`{name}`" in readme for name in SHOWN)
