"""Writes the README's table of results from `bench/results/*.json`: `python -m bench.results [--check]`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results: python -m bench.results -->", "<!-- end of results -->"


def table(folder: Path) -> str:
    """A Markdown table of all figures, with the command, commit and machine that gave them."""
    lines = ["| figure | value | from |", "| --- | ---: | --- |"]
    sources = []
    for number, file in enumerate(sorted(folder.glob("*.json")), 1):
        report = json.loads(file.read_text())
        lines += [f"| `{name}` | {_short(value)} | {number} |" for name, value in report["figures"].items()]
        seed = f", seed {report['seed']}" if report["seed"] else ""
        sources.append(f"{number}. `{report['command']}` at {report['commit'][:10]} on {report['machine']}{seed}")
    return "\n".join([*lines, "", *sources])


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def written(readme: str, results: str) -> str:
    """The README with its table replaced."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{results}\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    given = parser.parse_args()
    readme = ROOT / "README.md"
    new = written(readme.read_text(), table(ROOT / "bench" / "results"))
    if given.check and new != readme.read_text():
        raise SystemExit("README.md: the table of results is not what bench/results says; run python -m bench.results")
    readme.write_text(new)


if __name__ == "__main__":
    main()
