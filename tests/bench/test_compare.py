"""Two reports, told apart from noise."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.compare import FigureChange, differences, remarks, run
from bench.report import direction, merged
from pipeline.provenance import FiguresReport

BEFORE = {"server_fps": 10.0, "server_p99_ms": 100.0, "recall_ours": 0.9, "kills": 20.0, "lost": 0.0, "only_here": 1.0}
AFTER = {"server_fps": 12.0, "server_p99_ms": 103.0, "recall_ours": 0.8, "kills": 30.0, "lost": 2.0}


def report_of(figures: Mapping[str, float | None], *, machine: str = "a", commit: str = "abc") -> FiguresReport:
    return FiguresReport(command="x", commit=commit, machine=machine, seed=0, figures=dict(figures), rows=())


def test_each_figure_is_judged() -> None:
    found = differences(BEFORE, AFTER, noise=0.05)

    assert {one.name: one.verdict for one in found} == {
        "server_fps": "better",
        "server_p99_ms": "same",
        "recall_ours": "worse",
        "kills": "changed",
        "lost": "worse",
    }
    assert found[0].change == pytest.approx(0.2)


def test_a_measured_spread_is_the_noise() -> None:
    spread = {"server_fps_spread": 0.3}

    (one,) = differences({"server_fps": 10.0, **spread}, {"server_fps": 12.0, "server_fps_spread": 0.1}, noise=0.05)

    assert one == FigureChange("server_fps", 10.0, 12.0, 0.3, measured=True)
    assert one.verdict == "same"


def test_rounds_become_a_median_and_a_spread() -> None:
    assert merged([{"fps": 10.0}, {"fps": 12.0}, {"fps": 11.0}]) == {"fps": 11.0, "fps_spread": pytest.approx(2 / 11)}
    assert merged([{"fps": 10.0}]) == {"fps": 10.0}


@pytest.mark.parametrize(
    ("figure", "way"),
    [
        ("recall_ours", 1),
        ("offline_fps_720p", 1),
        ("deface_over_ours_1080p", 1),
        ("ours_over_codec_720p", -1),
        ("ours_cpu_ms_720p", -1),
        ("ours_peak_mb_1080p", -1),
        ("unmasked", -1),
        ("added_p99_ms", -1),
        ("kills", 0),
    ],
)
def test_which_way_is_better(figure: str, way: int) -> None:
    assert direction(figure) == way


def test_what_makes_them_hard_to_compare() -> None:
    before = report_of(BEFORE, machine="a", commit="0123456789ab+")
    after = report_of({**AFTER, "undefined": None}, machine="b", commit="ba9876543210")

    said = remarks(before, after)

    assert said == [
        "different machine: a and b",
        "0123456789+ had changes that no commit holds",
        "only in one of them: only_here",
    ]


def test_files_in_and_a_table_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    for path, figures in zip(paths, (BEFORE, AFTER), strict=True):
        path.write_text(report_of(figures).model_dump_json())

    with pytest.raises(SystemExit, match="worse: recall_ours, lost"):
        run(Namespace(before=paths[0], after=paths[1], noise=0.05, fail=True))

    assert "server_fps" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_a_file_that_is_no_report(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)

    with pytest.raises(SystemExit, match=r"a\.json"):
        run(Namespace(before=path, after=path, noise=0.05, fail=False))
