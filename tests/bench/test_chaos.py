"""The short form of `make chaos`: a few kills at random, nothing lost, doubled or unmasked."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from bench.chaos import Chaos, Seen

CLIPS, FRAMES = 2, 4000


@pytest.mark.parametrize("delivery", ["transactional", "low_latency"])
def test_kills_at_random_lose_double_and_uncover_nothing(tmp_path: Path, delivery: str) -> None:
    chaos = Chaos(tmp_path, delivery, 5, FRAMES, CLIPS, random.Random(delivery), pause_s=0.3)

    assert chaos.go() == Seen(frames=CLIPS * FRAMES)
    assert sum(chaos.killed.values()) == 5, "the run was over too soon to say anything"


@pytest.mark.kafka
def test_kills_at_random_with_kafka(tmp_path: Path) -> None:
    home = os.environ.get("FACEWARDEN_KAFKA_HOME")
    if not home:
        pytest.skip("FACEWARDEN_KAFKA_HOME names no Kafka distribution whose node could be killed")
    chaos = Chaos(tmp_path, "transactional", 3, FRAMES, 1, random.Random(1), 2, Path(home).resolve())

    assert chaos.go() == Seen(frames=FRAMES)
