"""What `--json FILE` writes: the same keys from run to run, read back as a type, and nothing private in the command."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from engines import ConfigError
from pipeline.provenance import FiguresReport, command, content_hash, read_report, write_report
from pipeline.training.export import export_with_reports

WHOLE = {"command": "x", "commit": "abc", "machine": "m", "seed": 1, "figures": {"auc": 0.5}, "rows": [{"what": "a"}]}
RESULTS = Path(__file__).parents[2] / "bench" / "results"


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.json"
    figures = {"lost": 0, "auc": np.float64(0.25), "undefined": math.nan, "unbounded": math.inf}

    write_report(path, figures, [{"what": "a", "auc": np.float32(0.5), "file": Path("b"), "of": (1, math.nan)}], seed=3)

    report = read_report(path)
    assert list(json.loads(path.read_text())) == ["command", "commit", "machine", "seed", "code", "figures", "rows"]
    assert report.figures == {"lost": 0, "auc": 0.25, "undefined": None, "unbounded": None}
    assert report.numbers == {"lost": 0, "auc": 0.25}
    assert report.rows == ({"what": "a", "auc": 0.5, "file": "b", "of": [1, None]},)
    assert report.seed == 3 and report.command and report.machine


def test_code_is_told_from_what_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "operators"
    for name, content in (("a.py", "a"), ("more/b.py", "b"), ("read.me", "c"), ("__pycache__/a.pyc", "d")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    before = content_hash(folder)

    (folder / "read.me").write_text("words")
    (folder / "__pycache__/a.pyc").unlink()
    assert content_hash(folder) == before, "these are no code"

    (folder / "more/b.py").write_text("B")
    changed = content_hash(folder)
    (folder / "more/b.py").rename(folder / "more/c.py")
    assert (
        len({before, changed, content_hash(folder), content_hash(folder / "a.py"), content_hash(tmp_path / "x")}) == 5
    )


def test_a_report_holds_hashes_of_the_code_it_is_about(tmp_path: Path) -> None:
    write_report(tmp_path / "a.json", {"fps": 1}, code=["operators/track.py", "engines"])
    write_report(tmp_path / "b.json", {"fps": 1})

    expected = {name: content_hash(RESULTS.parents[1] / name) for name in ("operators/track.py", "engines")}
    assert read_report(tmp_path / "a.json").code == expected
    assert read_report(tmp_path / "b.json").code is None


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.json"

    write_report(path, {"lost": 0, "fps": 30.0})

    assert '"lost": 0,' in path.read_text() and '"fps": 30.0' in path.read_text()
    assert {name: type(value) for name, value in read_report(path).figures.items()} == {"lost": int, "fps": float}


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    write_report(None, {"auc": 0.5})

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"figures": ["auc"]}, id="figures without names"),
        pytest.param({"figures": {"auc": "high"}}, id="a figure that is no number"),
        pytest.param({"seed": "today"}, id="a seed that is no number"),
        pytest.param({"weather": "fine"}, id="an unknown field"),
        pytest.param({"rows": {}}, id="rows that are none"),
    ],
)
def test_what_is_no_report_is_refused_by_all_who_read_one(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(WHOLE))
    read_report(path)

    path.write_text(json.dumps({**WHOLE, **changes}))

    with pytest.raises(ValidationError):
        read_report(path)
    with pytest.raises(ConfigError, match=r"report\.json: expected a report of evaluate --json"):
        export_with_reports(tmp_path, None, [path])


def test_all_results_of_this_project_are_reports() -> None:
    files = sorted(RESULTS.glob("*.json"))

    reports = [read_report(file) for file in files]

    assert len(reports) > 10
    assert all(report.numbers and len(report.commit) >= 40 for report in reports)
    assert [json.loads(file.read_text()) for file in files] == [
        {**report.model_dump(), "rows": list(report.rows)} for report in reports
    ]


def test_the_command_names_neither_a_home_nor_where_the_report_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["bench", f"{Path.home()}/data", "--json", "/somewhere/private.json", "--seed", "1"]
    )

    started = command()

    assert started.endswith("~/data' --seed 1")
    assert str(Path.home()) not in started and "private" not in started


def test_a_report_cannot_be_changed() -> None:
    report = FiguresReport.model_validate(WHOLE)

    with pytest.raises(ValidationError, match="frozen"):
        report.seed = 2  # type: ignore[misc]
