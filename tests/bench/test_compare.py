"""Two reports, told apart from noise."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from bench.compare import differences, remarks, run
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


def test_the_spreads_of_both_are_the_noise() -> None:
    spread = {"server_fps_spread": 0.12}

    (one,) = differences({"server_fps": 10.0, **spread}, {"server_fps": 12.0, "server_fps_spread": 0.1}, noise=0.05)

    assert (one.name, one.before, one.after, one.measured) == ("server_fps", 10, 12, True)
    assert one.noise == pytest.approx(0.22)
    assert one.verdict == "same"


def test_a_small_spread_is_no_proof() -> None:
    (one,) = differences({"x_ms": 10.0, "x_ms_spread": 0.001}, {"x_ms": 10.3, "x_ms_spread": 0.002}, noise=0.05)

    assert (one.noise, one.verdict) == (0.05, "same")


def test_floors_are_not_judged_and_their_change_is_noise() -> None:
    """A machine that has become slower by a tenth makes nobody's code worse by that."""
    before = {"pass_floor_cpu_ms": 10.0, "cpu_ms": 20.0, "fps": 50.0, "recall_ours": 0.9}
    after = {"pass_floor_cpu_ms": 11.0, "cpu_ms": 22.0, "fps": 40.0, "recall_ours": 0.84}

    found = {one.name: one for one in differences(before, after, noise=0.05)}

    assert {name: one.verdict for name, one in found.items()} == {
        "pass_floor_cpu_ms": "floor",
        "cpu_ms": "same",
        "fps": "worse",
        "recall_ours": "worse",
    }
    assert found["cpu_ms"].noise == pytest.approx(0.1)
    assert found["recall_ours"].noise == 0.05, "no machine changes what is found"


def noisy_report(rng: np.random.Generator, speed: float) -> dict[str, float]:
    """Five rounds of thirty timed figures with their floors, on a machine of that speed."""
    rounds = [
        {
            name: 10.0 * speed * float(rng.normal(1, 0.02))
            for name in ("pass_floor_cpu_ms", *(f"stage{number}_cpu_ms" for number in range(30)))
        }
        for _ in range(5)
    ]
    return merged(rounds)


@pytest.mark.parametrize("speed", [0.97, 1.0, 1.04])
def test_two_runs_of_one_code_are_the_same(speed: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        before, after = noisy_report(rng, 1.0), noisy_report(rng, speed)

        found = differences(before, after, noise=0.05)

        assert {one.verdict for one in found} <= {"same", "floor"}


def test_what_is_a_third_slower_is_found() -> None:
    rng = np.random.default_rng(0)
    before, after = noisy_report(rng, 1.0), noisy_report(rng, 1.0)
    after["stage3_cpu_ms"] *= 1.33

    assert [one.name for one in differences(before, after, noise=0.05) if one.verdict == "worse"] == ["stage3_cpu_ms"]


def test_rounds_become_a_median_and_a_spread() -> None:
    assert merged([{"fps": 10.0}, {"fps": 12.0}, {"fps": 11.0}]) == {
        "rounds": 3,
        "fps": 11.0,
        "fps_spread": pytest.approx(2 / 11),
    }
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


def compared(tmp_path: Path, before: Mapping[str, float], after: Mapping[str, float]) -> None:
    """`bench compare --fail`."""
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    for path, figures in zip(paths, (before, after), strict=True):
        path.write_text(report_of(figures).model_dump_json())
    run(Namespace(before=paths[0], after=paths[1], noise=0.05, fail=True))


def test_files_in_and_a_table_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="worse: recall_ours, lost"):
        compared(tmp_path, BEFORE, AFTER)

    assert "server_fps" in capsys.readouterr().out


def test_one_round_fails_nobody_by_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slower = {"cpu_ms": 10.0, "cpu_ms_spread": 0.01}, {"cpu_ms": 14.0, "cpu_ms_spread": 0.01}

    compared(tmp_path, *slower)
    assert "cpu_ms: of too few rounds" in capsys.readouterr().out

    with pytest.raises(SystemExit, match="worse: cpu_ms"):
        compared(tmp_path, *({**each, "rounds": 5} for each in slower))


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_a_file_that_is_no_report(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)

    with pytest.raises(SystemExit, match=r"a\.json"):
        run(Namespace(before=path, after=path, noise=0.05, fail=False))
