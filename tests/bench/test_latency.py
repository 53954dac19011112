"""Added latency from two lists of sightings, and somebody who must not be seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import chaos
from bench.bench_latency import THOROUGH, Sighting, config_of, figures_of, latencies
from bench.clips import camera_clip, somebody, unmasked
from pipeline.config import load


def test_latency_counts_from_the_time_stamp_of_the_least_delayed() -> None:
    shown = [index / 10 for index in range(100)]
    held = {at: 0.05 * (index % 2) for index, at in enumerate(shown)}  # every second packet waits for the next
    packets = {(1, at): 1000 + at + held[at] for at in shown}
    masked = {(1, at): 1000 + at + 0.3 for at in shown}

    found = latencies(Sighting(packets, masked), warm_up_s=5)

    assert [at for at, _ in found] == shown[50:]
    assert [wait for _, wait in found] == pytest.approx([300] * 50)


def test_frames_of_later_epochs_and_withheld_ones_do_not_count() -> None:
    packets = {(1, 0.0): 10.0, (1, 0.1): 10.1, (2, 0.0): 20.0}
    masked = {(1, 0.0): 10.2, (2, 0.0): 20.9}

    (only,) = latencies(Sighting(packets, masked), warm_up_s=0)

    assert only == pytest.approx((0, 200))


def test_somebody_is_drawn_and_seen(tmp_path: Path) -> None:
    chaos.make_inhabited_clip(tmp_path / "clip.mp4", 5, 5, chaos.somebody(0))
    for marked in (True, False):
        camera_clip(tmp_path / "clip.mp4", tmp_path / f"{marked}.mp4", frames=90, marked=marked)

    who = somebody(320, 240)
    assert unmasked(tmp_path / "True.mp4") == (90, sum(who.at(number) is not None for number in range(90)))
    assert unmasked(tmp_path / "False.mp4") == (90, 0)


@pytest.mark.parametrize("thorough", [False, True])
def test_the_default_config_is_measured(thorough: bool) -> None:
    config = config_of(None, ["tune=zerolatency", "crf=30"], thorough=thorough)

    steps = [step for step in load().steps if not (thorough and step.use.startswith("detect."))]
    assert config.steps == ([THOROUGH, *steps] if thorough else steps)
    assert (config.delivery, config.encode.options["tune"], config.encode.crf) == ("low_latency", "zerolatency", 30)


def test_figures_have_stable_names() -> None:
    rows = [{"what": "encoder alone", "p99_ms": 10.0}, {"what": "added", "p99_ms": 300.0, "unmasked": 0}]

    figures = figures_of(rows, 250)

    assert figures == {
        "encoder_alone_p99_ms": 10,
        "added_p99_ms": 300,
        "added_unmasked": 0,
        "lookahead_ms": 250,
        "added_over_encoder_floor": 5,
    }
