"""Drawn rooms, a sensor's noise, and pictures that come out of a codec one for one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bench.rooms import NOISE, SensorNoise, coded, room

WIDTH, HEIGHT = 192, 128


def test_a_room_is_the_same_for_the_same_seed() -> None:
    one, same, other = (room(WIDTH, HEIGHT, seed) for seed in (1, 1, 2))

    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_noise_is_on_luma_alone_and_never_twice_the_same() -> None:
    grey = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    noise = SensorNoise(WIDTH, HEIGHT, seed=1)

    first, second = noise.on(grey), noise.on(grey)

    assert np.array_equal(first[HEIGHT:], grey[HEIGHT:])
    assert first[:HEIGHT].std() == pytest.approx(NOISE, rel=0.1)
    assert np.corrcoef(first[:HEIGHT].ravel(), second[:HEIGHT].ravel())[0, 1] < 0.2
    assert (grey == 128).all()


def test_light_does_not_wrap() -> None:
    white = np.full((HEIGHT * 3 // 2, WIDTH), 255, np.uint8)

    assert SensorNoise(WIDTH, HEIGHT, seed=1).on(white)[:HEIGHT].min() > 200


def test_each_picture_comes_out_of_the_codec_at_its_time() -> None:
    stacks = [cv2.cvtColor(room(WIDTH, HEIGHT, seed), cv2.COLOR_BGR2YUV_I420) for seed in range(5)]
    times = [0.0, 0.04, 0.24, 0.25, 3.0]

    shown = list(coded(zip(times, stacks, strict=True)))

    assert [time_s for time_s, _ in shown] == times
    for (_, picture), stacked in zip(shown, stacks, strict=True):
        away = np.abs(picture.astype(int) - stacked).mean()
        assert 0 < away < 4
