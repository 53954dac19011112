"""The bench of the judge: clips are made alike from their numbers, leak where they say, and are counted rightly."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.bench_verify import found, interval, masked_by, summarize, tool_totals
from bench.planted import (
    GOOD_COVERS,
    LEAKS,
    Heads,
    PlantedClip,
    PlantedFace,
    cover,
    planted_clip,
    read_clip,
    retimed,
    room,
    weaken,
    written,
)
from pipeline.judging.pixels import compare
from pipeline.judging.report import ExposedSpan, JudgedTrack
from tests.pipeline.judging.test_signature import report

BOX = np.array([60.0, 40, 108, 104])


@pytest.fixture
def heads(data_dir: Path) -> Heads:
    assert data_dir
    return Heads(0)


def picture(heads: Heads) -> np.ndarray:
    return heads.place(room(192, 144, np.random.default_rng(1)), 3, 84, 72, 64)[0]


def test_the_same_number_makes_the_same_clip(heads: Heads) -> None:
    one, other = (planted_clip(heads, 14, 0, frames=10) for _ in range(2))

    assert all(np.array_equal(a, b) for a, b in zip(one.original, other.original, strict=True))
    assert (one.leak, one.frames) == (other.leak, other.frames)
    assert planted_clip(heads, 15, 0, frames=10).leak != one.leak


def test_halves_are_of_different_people(data_dir: Path) -> None:
    assert data_dir
    one, other = (heads.place(np.zeros((200, 200, 3), np.uint8), 0, 100, 100, 90)[0] for heads in (Heads(0), Heads(1)))

    assert not np.array_equal(one, other)


@pytest.mark.parametrize("kind", GOOD_COVERS)
def test_a_good_cover_hides_and_touches_nothing_else(heads: Heads, kind: str) -> None:
    shown = picture(heads)

    made = cover(shown, BOX, kind, np.random.default_rng(0))

    assert compare(shown, made, BOX[None])[0].exposure == "covered"
    assert made.shape == shown.shape and np.abs(made[:, 160:].astype(int) - shown[:, 160:]).max() < 24


@pytest.mark.parametrize("leak", [kind for kind in LEAKS if kind != "lagging"])
def test_a_bad_cover_shows(heads: Heads, leak: str) -> None:
    shown = picture(heads)

    assert compare(shown, weaken(shown, BOX, leak, 0.5), BOX[None])[0].exposure != "covered"


@pytest.mark.parametrize("number", range(0, len(LEAKS), 3))
def test_only_the_first_face_leaks_and_only_when_it_says(heads: Heads, number: int) -> None:
    clip = planted_clip(heads, number, 0, frames=12)
    good, bad = (clip.masked(clip.original, leaking=leaking) for leaking in (False, True))

    assert clip.leak == LEAKS[number] and clip.frames
    assert set(clip.frames) <= set(clip.face.boxes)
    for index in range(12):
        assert np.array_equal(good[index], bad[index]) == (index not in clip.frames)


def test_clips_are_written_and_read(heads: Heads, tmp_path: Path) -> None:
    files = written(planted_clip(heads, 2, 0, frames=10), tmp_path, 0)

    assert set(files) == {"original", "leaking", "covered"}
    assert len(read_clip(files["original"])) == 10


@pytest.mark.parametrize(("how", "fewer"), [("plain", False), ("dropped", True), ("scaled", False)])
def test_frames_that_matter_are_kept(how: str, fewer: bool) -> None:
    pictures = [np.full((12, 16, 3), number, np.uint8) for number in range(30)]

    chosen, times = retimed(pictures, how, np.random.default_rng(0), keep=(7, 8))

    assert {14, 16} <= set(times) and len(chosen) == len(times)
    assert (len(chosen) < 30) == fewer
    assert chosen[0].shape == ((9, 12, 3) if how == "scaled" else (12, 16, 3))


def test_doubled_frames_have_times_of_their_own() -> None:
    pictures = [np.full((4, 4, 3), number, np.uint8) for number in range(60)]

    chosen, times = retimed(pictures, "doubled", np.random.default_rng(0), keep=())

    assert len(chosen) > 60 and len(set(times)) == len(times)
    assert [int(each[0, 0, 0]) for each in chosen] == [time // 2 for time in times]


def judged(first: int, last: int, *, sure: bool = True, outcome: str = "leaks") -> Any:
    span = ExposedSpan(
        exposure="clear", from_s=0, to_s=0, from_frame=first, to_frame=last, frames=1, box=(0, 0, 1, 1), shown=1.0,
        uncovered=1.0, correlation=1.0, shift=(0, 0),
    )  # fmt: skip
    track = JudgedTrack(
        track=1, found_in="original", sure=sure, score=0.9, from_s=0, to_s=1, face_px=40, frames=9, covered=8,
        reversible=0, clear=1, withheld=0, verdict="clear", spans=(span,), stacked=(),
    )  # fmt: skip
    return report(outcome=outcome, tracks=(track,))


def test_a_leak_is_found_where_it_is() -> None:
    clip = PlantedClip([], "dimmed", "solid", [PlantedFace({})], (5, 6), 40, 0.5, 0)

    assert found(judged(6, 9), clip) and found(judged(7, 9), clip)
    assert not found(judged(8, 9), clip)
    assert not found(judged(5, 6, sure=False), clip)
    assert not found(judged(5, 6, outcome="undecided"), clip)


def test_rows_are_summed_by_kind() -> None:
    rows = [{"leak": "moved", "found": True, "alarm": False}, {"leak": "dimmed", "found": False, "alarm": True}]

    table = {row["leak"]: row for row in summarize(rows)}

    assert list(table) == ["moved", "dimmed", "all"]
    assert (table["all"]["found"], table["all"]["false alarms"], table["all"]["clips"]) == (1, 1, 2)
    assert table["moved"]["share"] == 1 and table["dimmed"]["alarm share"] == 1


def test_intervals_are_exact() -> None:
    assert interval(300, 300)[0] == pytest.approx(0.9878, abs=1e-3) and interval(300, 300)[1] == 1
    assert interval(0, 300)[1] == pytest.approx(0.0122, abs=1e-3)


def test_a_tool_is_run_and_its_failure_told(tmp_path: Path) -> None:
    source, target = tmp_path / "a b.mp4", tmp_path / "out.mp4"
    source.write_text("x")
    copy = f"{sys.executable} -c 'import shutil, sys; shutil.copy(*sys.argv[1:])' {{source}} {{target}}"

    assert masked_by(copy, source, target) == "" and target.read_text() == "x"
    assert "boom" in masked_by(f"{sys.executable} -c 'raise SystemExit(\"boom\")'", source, tmp_path / "none")
    assert masked_by("/no/such/tool {source}", source, tmp_path / "none")


def test_tools_are_summed_over_the_clips_that_were_judged() -> None:
    counts = {"faces in clear": 1, "faces reversible": 0, "face-frames": 9, "clear": 2, "reversible": 0, "faces": 3}
    rows: list[dict[str, Any]] = [{"tool": "ours", "clip": name, "outcome": "x"} for name in "ab"]
    rows[0] |= counts

    assert tool_totals(rows) == [{"tool": "ours", "clips": 1, "not judged": 1, **counts}]
