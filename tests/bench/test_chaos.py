"""The short form of `make chaos`: a few kills at random, nothing lost, doubled or unmasked."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from bench.chaos import (
    MODELS,
    Chaos,
    Seen,
    look,
    make_clip,
    make_inhabited_clip,
    number_in,
    somebody,
    verify,
)
from bench.numbered import lumas
from pipeline.judging.panel import MODELS as JUDGES
from tests.model_files import model_file

CLIPS, FRAMES, KILLS = 2, 1000, 5


def test_whoever_is_in_a_clip_is_seen_where_nothing_hides_them(tmp_path: Path) -> None:
    who = somebody(3)
    make_inhabited_clip(tmp_path / "clip.mp4", 200, gop=12, who=who)

    look(tmp_path / "clip.mp4", 200, seen := Seen(), who.is_shown)

    there = sum(who.at(number) is not None for number in range(200))
    assert 150 < there < 200
    assert seen == Seen(frames=200, unmasked=there)


def test_whoever_is_in_a_clip_is_found_by_the_judge(tmp_path: Path) -> None:
    for name in JUDGES:
        model_file(name)
    make_inhabited_clip(tmp_path / "clip.mp4", 60, gop=12, who=(who := somebody(3)))

    verify(tmp_path / "clip.mp4", tmp_path / "clip.mp4", seen := Seen())

    there = sum(who.at(number) is not None for number in range(60))
    assert seen.judged == seen.leaking
    assert 0.8 * there < seen.judged <= there


def test_the_square_is_seen_in_every_frame(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", 30, gop=12)

    look(tmp_path / "clip.mp4", 31, seen := Seen())

    assert seen == Seen(frames=30, lost=1, unmasked=30)


@pytest.mark.parametrize("delivery", ["transactional", "low_latency"])
def test_kills_at_random_lose_double_and_uncover_nothing(tmp_path: Path, delivery: str) -> None:
    for name in MODELS:
        model_file(name)
    chaos = Chaos(tmp_path, delivery, KILLS, FRAMES, CLIPS, random.Random(delivery), pause_s=0.3, seals=True)

    assert chaos.go() == Seen(frames=CLIPS * FRAMES)
    assert sum(chaos.killed.values()) == KILLS, "the run was over too soon to say anything"


@pytest.mark.kafka
def test_kills_at_random_with_kafka(tmp_path: Path) -> None:
    home = os.environ.get("FACEWARDEN_KAFKA_HOME")
    if not home:
        pytest.skip("FACEWARDEN_KAFKA_HOME names no Kafka distribution whose node could be killed")
    chaos = Chaos(tmp_path, "transactional", 3, FRAMES, 1, random.Random(1), 2, Path(home).resolve())

    assert chaos.go() == Seen(frames=FRAMES)


def test_a_number_that_a_cover_lies_over_is_read_below(tmp_path: Path) -> None:
    make_inhabited_clip(tmp_path / "clip.mp4", 5, 12, somebody(0))

    for number, luma in enumerate(lumas(tmp_path / "clip.mp4")):
        luma = luma.copy()
        luma[:40, 20:60] = 140
        assert number_in(luma) == number
