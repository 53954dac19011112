"""Numbers that survive coding, and somebody who wanders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.numbered import BITS, CODE_HEIGHT, CODE_WIDTH, GONE, VISIT, Wanderer, draw_number, encode, lumas, read_number
from operators.arrays import Array

WHO = Wanderer(320, 240, face_px=56, below=52, seed=1)


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("number", [0, 1, 0x5555, 0xABCD, 2**BITS - 1])
def test_a_number_is_read_back(number: int, scale: int) -> None:
    luma = np.full((scale * CODE_HEIGHT + 10, scale * CODE_WIDTH + 10), 77, np.uint8)

    draw_number(luma, number, scale)

    assert read_number(luma, scale) == number
    assert (luma[:, scale * CODE_WIDTH :] == 77).all() and (luma[scale * CODE_HEIGHT :] == 77).all()


def test_numbers_survive_coding(tmp_path: Path) -> None:
    def pictures() -> list[Array]:
        found: list[Array] = [np.full((144, 128), 128, np.uint8) for _ in range(20)]
        for number, stacked in enumerate(found):
            draw_number(stacked, 4000 + number)
        return found

    encode(tmp_path / "a.mp4", iter(pictures()), rate=25, options={"crf": "35", "bf": "2"})

    assert [read_number(luma) for luma in lumas(tmp_path / "a.mp4")] == list(range(4000, 4020))


def test_visits_come_and_go_each_somewhere_else() -> None:
    places = [WHO.at(number) for number in range(3 * VISIT)]

    assert [number for number, place in enumerate(places) if place is None] == [
        visit * VISIT + since for visit in range(3) for since in range(VISIT - GONE, VISIT)
    ]
    begins = [places[visit * VISIT] for visit in range(3)]
    assert len(set(begins)) == 3
    assert [Wanderer(320, 240, 56, 52, seed=1).at(number) for number in range(3 * VISIT)] == places
    assert [Wanderer(320, 240, 56, 52, seed=2).at(number) for number in range(3 * VISIT)] != places


def test_a_walk_keeps_to_the_picture_and_to_a_walkers_pace() -> None:
    high, wide = WHO.head.opacity.shape[:2]
    for visit in range(20):
        walk = np.array([WHO.at(visit * VISIT + since) for since in range(VISIT - GONE)])
        assert walk[:, 0].min() >= 0 and walk[:, 0].max() + wide <= 320
        assert walk[:, 1].min() >= 52 - 1 and walk[:, 1].max() + high <= 240
        assert np.abs(np.diff(walk, axis=0)).max() <= 0.1 * WHO.face_px


@pytest.mark.parametrize("level", [0, 128, 235])
def test_somebody_is_shown_where_they_are_and_nowhere_else(level: int) -> None:
    stacked = np.full((360, 320), 128, np.uint8)
    stacked[:240] = level

    assert not any(WHO.is_shown(stacked[:240], number) for number in range(0, VISIT, 7))
    WHO.draw(stacked, 5)
    assert WHO.is_shown(stacked[:240], 5)
    assert not WHO.is_shown(stacked[:240], 5 + VISIT)
    assert not WHO.is_shown(stacked[:240], VISIT - 1), "nobody is there in that frame"
    assert not WHO.is_shown(stacked[:100, :100], 5), "a picture of another size"


def test_drawing_is_soft_at_the_edges_and_touches_all_planes() -> None:
    stacked = np.full((360, 320), 128, np.uint8)

    WHO.draw(stacked, 5)

    changed = stacked != 128
    assert changed[:240].sum() > 3000 and changed[240:].sum() > 500
    place = WHO.at(5)
    assert place is not None
    x, y = place
    assert not changed[:y].any() and not changed[:240, :x].any()
    assert not changed[y, x], "a corner of the ellipse"
