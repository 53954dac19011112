"""A cost stands beside its floor, its peer and its former self, over rounds; what is lost in the noise is left out."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from bench import bench_pass, chaos
from bench.bench_pass import commands, cut, figures_of, lengths_of, measure, one_round, part, ratios, rows_of, runs_of
from pipeline.provenance import ROOT

COSTS = {"codec": 10.0, "carried": 12.0, "ours": 15.0, "former": 20.0, "deface": 300.0}


def costs(of: Mapping[str, float] = COSTS, times: float = 1.0) -> dict[str, dict[str, float]]:
    about = {"startup_cpu_s": 3.0, "peak_mb": 100.0}
    return {what: {"cpu_ms": times * cost, "wall_ms": cost, **about} for what, cost in of.items()}


def test_costs_stand_beside_floor_peer_and_former() -> None:
    assert ratios(costs(), "720p") == pytest.approx(
        {"ours_over_codec_720p": 1.5, "deface_over_ours_720p": 20, "ours_over_former_720p": 0.75}
    )
    assert ratios(costs({"ours": 15.0}), "720p") == {}
    workers = costs({"1 worker": 30.0, "2 workers": 20.0})
    assert ratios(workers, "720p") == {"speedup_of_2_workers_720p": 1.5}


def test_rounds_become_medians_with_spreads() -> None:
    rounds = [costs(), costs({**COSTS, "ours": 16.0}), costs({**COSTS, "ours": 14.0})]

    figures = figures_of(rounds, "720p")

    assert figures["ours_cpu_ms_720p"] == 15
    assert figures["ours_over_codec_720p"] == 1.5
    assert figures["ours_over_codec_720p_spread"] == pytest.approx(0.2 / 1.5)
    assert figures["carrying_cpu_ms_720p"] == 2
    row = next(row for row in rows_of(rounds, "720p") if row["what"] == "ours")
    assert (row["cpu_ms"], row["least_cpu_ms"], row["most_cpu_ms"], row["rounds"]) == (15, 14, 16, 3)


def test_no_cost_below_zero_is_shown() -> None:
    rounds = [{"ours": {"cpu_ms": 5.0, "startup_cpu_s": start}} for start in (-1.0, -0.5, 3.0)]

    (row,) = rows_of(rounds, "720p")

    assert np.isnan(row["startup_cpu_s"]) and row["cpu_ms"] == 5


@pytest.mark.parametrize(
    "carried",
    [
        pytest.param((9.5, 9.4, 9.9), id="below the floor"),
        pytest.param((12.0, 9.9, 12.0), id="once below"),
        pytest.param((11.0, 14.0, 12.0), id="spread wider than the part"),
    ],
)
def test_a_part_lost_in_the_noise_is_left_out(carried: Sequence[float]) -> None:
    rounds = [costs({**COSTS, "carried": each}) for each in carried]

    assert "carrying_cpu_ms_720p" not in figures_of(rounds, "720p")
    assert part([each - 10 for each in carried]) is None


def test_a_slow_machine_changes_no_ratio() -> None:
    figures = figures_of([costs(), costs(times=2), costs(times=3)], "1080p")

    assert figures["ours_over_codec_1080p"] == 1.5
    assert figures.get("ours_over_codec_1080p_spread", 0) == 0


def test_what_is_run() -> None:
    assert runs_of("720p", bench_pass.KINDS, Path("old")) == [*COSTS, "1 worker", "2 workers"]
    assert runs_of("1080p", ["ours", "former"], None) == ["ours"]
    short, long = lengths_of("corridor", "ours", (100, 500))
    assert long - short == 1000, "as many frames as the clip has, so that its one walk counts once"


def test_ours_and_the_former_take_turns_each_from_its_own_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[tuple[str, Path]] = []

    def cost_of(what: str, *_: object, checkout: Path = ROOT, **__: object) -> dict[str, float]:
        seen.append((what, checkout))
        return {"cpu_ms": 1.0}

    monkeypatch.setattr(bench_pass, "cost_of", cost_of)
    one_round("720p", tmp_path, ["ours", "former"], (1, 2), tmp_path)

    assert seen == [("ours", ROOT), ("former", tmp_path)]


def test_a_command_runs_the_code_of_its_checkout(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("open('ran', 'w').write(__file__)")

    spent = measure([sys.executable, "-m", "pipeline"], tmp_path)

    assert (tmp_path / "ran").read_text() == str(tmp_path / "pipeline.py")
    assert spent.wall_s > 0
    with pytest.raises(SystemExit, match="failed"):
        measure([sys.executable, "-c", "raise SystemExit(1)"])


def test_a_clip_is_cut_and_looped(tmp_path: Path) -> None:
    chaos.make_clip(tmp_path / "clip.mp4", 10, gop=5)

    assert cut(tmp_path / "clip.mp4", tmp_path / "cut.mp4", 24) == 24

    with av.open(str(tmp_path / "cut.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == sorted(set(times)) and len(times) == 24


def test_all_encode_alike(tmp_path: Path) -> None:
    found = commands([tmp_path / "a.mp4"], tmp_path)

    assert found["ours"] == found["former"]
    assert all(any(bench_pass.PRESET in word for word in command) for command in found.values())
