"""What was asked for, how a setting did, and the labelled faces that say so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import ConfigError
from pipeline.live.dry_run import PacketClip
from pipeline.tuning.goals import SURE, Score, Slo, lower_bound, read_truth, recall, sightings_wanted
from pipeline.wire import Head
from tests.pipeline.tuning.landscape import BOX

CLIP = PacketClip("clip.mp4", Head(width=64, height=64), (b"",) * 3)


def test_recall() -> None:
    half = BOX - [0, 6, 0, 6]
    truth = {"a": {0: BOX, 1: np.concatenate([BOX, BOX + 50])}, "b": {0: BOX}}

    assert recall(truth, {"a": {0: BOX + 1, 1: BOX + 50}, "b": {0: half}})[::2] == (0.5, 4)
    assert recall(truth, {"a": {}, "b": {}})[::2] == (0, 4)
    assert math.isnan(recall({"a": {}}, {"a": {}}).share) and math.isnan(recall({"a": {}}, {"a": {}}).low)


@pytest.mark.parametrize(
    ("indices", "faces", "sightings"),
    [
        (range(25), 1, 1),
        (range(26), 1, 2),
        (range(0, 100, 10), 1, 4),
        (range(25), 3, 3),
        ([7, 1000], 1, 2),
    ],
    ids=["a second", "and a frame", "now and then", "three at once", "twice"],
)
def test_a_face_for_a_second_is_one_sighting(indices: Sequence[int], faces: int, sightings: int) -> None:
    truth = {"a": {index: np.concatenate([BOX + 50 * number for number in range(faces)]) for index in indices}}

    found = recall(truth, truth)

    assert (found.share, found.faces, found.sightings) == (1, faces * len(indices), sightings)
    assert found.low == pytest.approx(sightings / (sightings + SURE**2))


def test_clips_do_not_share_sightings() -> None:
    truth = {"a": {0: BOX}, "b": {0: BOX}}

    assert recall(truth, truth).sightings == 2


@given(st.integers(0, 200), st.integers(1, 200))
def test_a_lower_bound_lies_below_and_rises_with_what_is_known(found: int, sightings: int) -> None:
    share = min(1.0, found / sightings)

    assert 0 <= lower_bound(share, sightings) <= lower_bound(share, 4 * sightings) <= share + 1e-12


@pytest.mark.parametrize("asked", [0.5, 0.9, 0.97, 0.999])
def test_so_many_sightings_are_wanted_and_no_more(asked: float) -> None:
    wanted = sightings_wanted(asked)

    assert lower_bound(1.0, wanted) >= asked > lower_bound(1.0, wanted - 1)


@pytest.mark.parametrize("text", ["recall", "recall=much", "speed=3", "recall=1.5", "fps=-1"])
def test_a_wish_that_cannot_be_meant(text: str) -> None:
    with pytest.raises(ConfigError, match="--slo"):
        Slo.parse([text])


def test_labels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    lines = ["file,frame,xmin,ymin,xmax,ymax", "a/clip.mp4,2,1,2,3,4", "clip.mp4,2,5,6,7,8", "clip.mp4,3,0,0,1,1"]
    path.write_text("\n".join([*lines, "other.mp4,0,0,0,1,1"]))

    truth = read_truth(path, [CLIP])

    assert np.array_equal(truth["clip.mp4"][2], [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert list(truth["clip.mp4"]) == [2]  # the clip has three frames


@pytest.mark.parametrize("text", ["", "file,frame\nclip.mp4,0", "file,frame,xmin,ymin,xmax,ymax\nother.mp4,0,0,0,1,1"])
def test_labels_that_say_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)

    with pytest.raises(ConfigError, match=r"labels\.csv"):
        read_truth(path, [CLIP])


@pytest.mark.parametrize(
    "text",
    ["file,frame,xmin,ymin,xmax,ymax\nclip.mp4,one,0,0,1,1", "file,frame,xmin,ymin,xmax,ymax\nclip.mp4,0,0,0,1,left",
     "file,frame,xmin,ymin,xmax,ymax\nclip.mp4,0,0,0,1", "file;frame;xmin;ymin;xmax;ymax\nclip.mp4;0;0;0;1;1"],
    ids=["no index", "no number", "a column is missing", "semicolons"],
)  # fmt: skip
def test_labels_that_cannot_be_read_name_the_columns(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)

    with pytest.raises(ConfigError, match=r"labels\.csv: expected a CSV with file, frame, xmin, ymin, xmax, ymax; "):
        read_truth(path, [CLIP])


def test_labels_in_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff")

    for name in ("nowhere.csv", "picture.csv"):
        with pytest.raises(ConfigError, match=f"{name}: expected a CSV"):
            read_truth(tmp_path / name, [CLIP])


# -- what is asked for -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "asked"),
    [
        ([], {}),
        (["recall=0.98,latency_ms=300"], {"recall": 0.98, "latency_ms": 300}),
        (["fps=25", "cpu_ms=12.5"], {"fps": 25, "cpu_ms": 12.5}),
        ([" recall = 1 , fps= 1e2"], {"recall": 1, "fps": 100}),
        (["fps=25", "fps=30"], {"fps": 30}),
        (["cpu_ms=inf"], {}),
    ],
    ids=["nothing", "by comma", "repeated", "spaces", "twice", "no limit"],
)
def test_wishes_are_read(texts: list[str], asked: dict[str, float]) -> None:
    assert Slo.parse(texts).asked == asked


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--slo : expected NAME=NUMBER with one of recall, latency_ms, fps, cpu_ms"),
        ("recall=", "expected NAME=NUMBER"),
        ("recall=0.9=1", "expected NAME=NUMBER"),
        ("fps=25,", "--slo : expected NAME=NUMBER"),
        ("Recall=0.9", "--slo Recall=0.9: expected one of recall, latency_ms, fps, cpu_ms"),
        ("recall=0", "expected a number above 0, for recall at most 1"),
        ("recall=1.0001", "expected a number above 0, for recall at most 1"),
        ("latency_ms=-3", "--slo latency_ms=-3: expected a number above 0"),
        ("cpu_ms=nan", "--slo cpu_ms=nan: expected a number above 0"),
        ("fps=30,cpu_ms=0", "--slo cpu_ms=0: expected a number above 0"),
    ],
)
def test_a_wish_that_is_refused_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Slo.parse([text])

    assert message in str(error.value)


# -- how a setting did -----------------------------------------------------------------------------


def score(**about: float) -> Score:
    """A setting that finds 9 of 10 faces or more beyond doubt, in 20 ms of CPU time a frame."""
    known = {
        "frames": 10,
        "faces": 10,
        "recall": 0.95,
        "low": 0.9,
        "cpu_ms": 20.0,
        "latency_ms": 330.0,
        "fps": 20.0,
        "failed": 0,
    }
    return Score(setting=(), words="", **{**known, **about})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("slo", "misses"),
    [
        (Slo(), {}),
        (Slo(recall=0.9, latency_ms=330, fps=20, cpu_ms=20), {}),
        (Slo(recall=1.0), {"recall": 0.1}),
        (Slo(latency_ms=300), {"latency_ms": 0.1}),
        (Slo(fps=25), {"fps": 0.2}),
        (Slo(cpu_ms=16), {"cpu_ms": 0.25}),
        (Slo(recall=0.95, fps=40, cpu_ms=40), {"recall": 1 - 0.9 / 0.95, "fps": 0.5}),
    ],
    ids=["nothing asked", "all just held", "recall", "latency", "fps", "cpu", "two of three"],
)
def test_by_how_much_a_setting_misses(slo: Slo, misses: dict[str, float]) -> None:
    assert score().misses(slo) == pytest.approx(misses)


def test_a_frame_that_failed_is_a_miss_whatever_was_asked() -> None:
    assert score(failed=3).misses(Slo()) == {"failed frames": 3}


# -- recall ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("covers", "found"),
    [
        ([[10, 10, 20, 20]], True),
        ([[0, 0, 99, 99]], True),
        ([[12, 10, 20, 20]], True),
        ([[12.1, 10, 20, 20]], False),
        ([[10, 10, 15, 20], [15, 10, 20, 20]], False),
        ([[0, 0, 5, 5], [10, 10, 20, 19]], True),
        ([], False),
        ([[20, 20, 30, 30]], False),
    ],
    ids=["the box", "all", "four fifths", "less", "two halves", "one of two", "none", "next to it"],
)
def test_a_face_is_found_if_four_fifths_of_it_lie_in_one_cover(covers: list[list[float]], found: bool) -> None:
    boxes = np.array(covers, float).reshape(-1, 4)

    assert recall({"a": {7: BOX}}, {"a": {7: boxes}})[::2] == (float(found), 1)


def test_covers_of_another_frame_or_clip_hide_nobody() -> None:
    covers = {"a": {8: BOX}, "b": {7: BOX}}

    assert recall({"a": {7: BOX}, "b": {}}, covers)[::2] == (0, 1)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8), st.integers(0, 8))
def test_recall_is_the_share_of_covered_faces(corners: list[tuple[int, int]], covered: int) -> None:
    """Each face has a frame of its own; the first ones are covered."""
    faces = {index: BOX + np.array([x, y, x, y]) for index, (x, y) in enumerate(corners)}
    covers = {index: box for index, box in faces.items() if index < covered}

    assert recall({"a": faces}, {"a": covers})[::2] == (min(covered, len(faces)) / len(faces), len(faces))
