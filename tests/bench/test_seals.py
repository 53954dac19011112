"""What the bench of seals counts, on a clip with one fixed place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import bench_seals as bench
from pipeline.config import Config, Step
from pipeline.live.dry_run import read_clip
from pipeline.live.steps import open_steps
from tests.clips import Clips

STEPS = [
    Step(use="detect.zones", options={"boxes": [(0.25, 0.5, 0.5, 0.9)]}),
    Step(use="track"),
    Step(use="deidentify.cover"),
]


def test_a_round_counts_what_each_kind_costs(clips: Clips, tmp_path: Path) -> None:
    source, frames = clips("h264_plain", with_face=True).path, 12
    by_kind = bench.configs(Config(steps=STEPS), tmp_path)
    trials = bench.one_round(read_clip(source, frames=frames), by_kind, open_steps(by_kind["cover"]))

    figures = bench.figures_of(trials)
    back = bench.decibels(by_kind["proface_s"], bench.covered(source, trials["cover"].covers, most=2))

    assert [len(trials[kind].seal_bytes) for kind in bench.KINDS] == [0, frames, frames]
    size = sum(trials["escrow"].seal_bytes) / frames
    assert figures["escrow_mb_per_face_minute"] == pytest.approx(size * 25 * 60 / 1e6)
    assert figures["cover_cpu_ms"] == pytest.approx(sum(trials["cover"].stages.values()))
    assert figures["proface_s_over_cover"] > figures["escrow_over_cover"] > 0
    assert figures["proface_s_cpu_ms"] >= trials["proface_s"].stages["seal"] > 0
    assert 0 < figures["escrow_cpu_ms_per_face"] < figures["proface_s_cpu_ms_per_face"]
    assert len(back) >= 2 and min(back) > 30
