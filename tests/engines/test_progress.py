"""What phases took is added up in a file, over interruptions."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from engines.progress import MINUTES, minutes, silent, timed


def test_nothing_was_done_yet(tmp_path: Path) -> None:
    assert minutes(tmp_path) == {} and minutes(tmp_path / "nowhere") == {}


def test_minutes_are_added_to_those_before_and_other_phases_stay(tmp_path: Path) -> None:
    (tmp_path / MINUTES).write_text(json.dumps({"training": 10.0, "export": 2.0}))

    with timed(tmp_path, "training"):
        pass

    found = minutes(tmp_path)
    assert 10 < found["training"] < 10.1 and found["export"] == 2


def test_what_failed_took_its_time_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), timed(tmp_path / "run", "training"):
        raise ValueError("broken")

    assert 0 < minutes(tmp_path / "run")["training"] < 0.1


def test_what_is_noted_on_the_way_is_not_counted_twice(tmp_path: Path) -> None:
    began, noted = time.monotonic(), []

    with timed(tmp_path, "training") as note:
        for _ in range(20):
            note()
            noted.append(minutes(tmp_path)["training"])

    assert noted[0] > 0 and noted == sorted(noted)
    assert noted[-1] < minutes(tmp_path)["training"] <= (time.monotonic() - began) / 60


def test_phases_within_each_other_are_kept_apart(tmp_path: Path) -> None:
    with timed(tmp_path, "whole"), timed(tmp_path, "part"):
        pass

    found = minutes(tmp_path)
    assert 0 < found["part"] < found["whole"]


def test_silence_takes_what_progress_gives() -> None:
    silent("training", 1, 2, {"loss": 0.5})
