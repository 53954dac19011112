from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.deepfake import quality
from tests.operators.deepfake.faces import smooth


def pictures(n: int = 40, size: int = 64) -> NDArray[np.uint8]:
    """Soft blots with fine grain: neither sharp nor dull."""
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 6, (n, size, size, 1))
    return np.clip(np.stack([smooth(rng, size) for _ in range(n)]) + grain, 0, 255).astype(np.uint8)


USUAL = quality.ranges(quality.measure(pictures()), outside=0)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda x: x, ""),
        (lambda x: cv2.GaussianBlur(x, (0, 0), 4), quality.BLURRED),
        (lambda x: x + np.random.default_rng(1).integers(0, 100, x.shape, np.uint8), quality.UNLIKE),
        (lambda x: np.full_like(x, 3), quality.BLURRED),
    ],
    ids=["as it is", "blurred", "noisy", "black"],
)  # fmt: skip
def test_what_is_out_of_the_ordinary_is_not_judged(change: object, fault: str) -> None:
    assert callable(change)

    measured = quality.measure(change(pictures()[0])[None])

    assert quality.faults(measured, USUAL) == [fault]


def test_blocks_of_one_value_are_compression() -> None:
    usual = {"flatness": USUAL["flatness"]}
    blocky = np.kron(pictures()[0, ::8, ::8], np.ones((8, 8, 1), np.uint8))

    assert quality.faults(quality.measure(blocky[None]), usual) == [quality.COMPRESSED]


def test_without_ranges_everything_is_judged() -> None:
    assert quality.faults(quality.measure(pictures(3)), {}) == [""] * 3


def test_ranges_leave_out_the_ends() -> None:
    measured = np.tile(np.arange(101.0)[:, None], (1, 5))

    assert quality.ranges(measured, outside=0.1)["noise"] == pytest.approx((10, 90))


@pytest.mark.parametrize(
    ("side", "mesh", "turned", "fault"),
    [
        (60, 0.0, 0, ""),
        (40, 0.0, 0, quality.TOO_SMALL),
        (60, np.nan, 0, quality.HIDDEN),
        (60, 0.0, 30, ""),
        (60, 0.0, -60, quality.HIDDEN),
    ],
)
def test_small_hidden_and_turned_faces_are_not_judged(side: float, mesh: float, turned: float, fault: str) -> None:
    c, s = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    pose = np.eye(4)
    pose[[0, 0, 2, 2], [0, 2, 0, 2]] = c, s, -s, c

    told = quality.placing_faults(
        np.array([[0, 0, side, 90]]), np.full((1, 478, 3), mesh), pose[None], min_px=48, max_yaw=45
    )

    assert told == [fault]


def grey(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(values[None, :, :, None], 3, axis=3)


def test_a_flat_crop_by_hand() -> None:
    measured = dict(zip(quality.MEASURES, quality.measure(grey(np.full((8, 8), 77, np.uint8)))[0], strict=True))

    assert measured == pytest.approx({"sharpness": 0, "flatness": 1, "noise": 0, "contrast": 0, "brightness": 77})


@pytest.mark.parametrize(("channel", "brightness"), [(0, 76), (1, 150), (2, 29)], ids=["red", "green", "blue"])
def test_brightness_of_colours(channel: int, brightness: float) -> None:
    """0.299, 0.587 and 0.114 of 255."""
    crop = np.zeros((1, 8, 8, 3), np.uint8)
    crop[..., channel] = 255

    assert quality.measure(crop)[0, quality.MEASURES.index("brightness")] == brightness


def test_two_halves_by_hand() -> None:
    """Half 40 and half 60: their mean and deviation, and one step in seven."""
    halves = np.full((8, 8), 40, np.uint8)
    halves[:, 4:] = 60

    _, flatness, _, contrast, brightness = quality.measure(grey(halves))[0]

    assert (flatness, contrast, brightness) == pytest.approx((6 / 7, 10, 50))


@pytest.mark.parametrize("deviation", [2.0, 5.0, 10.0])
def test_noise_is_measured_in_levels(deviation: float) -> None:
    noisy = np.rint(np.random.default_rng(0).normal(128, deviation, (128, 128))).astype(np.uint8)

    measured = dict(zip(quality.MEASURES, quality.measure(grey(noisy))[0], strict=True))

    assert measured["noise"] == pytest.approx(deviation, rel=0.05)
    assert measured["contrast"] == pytest.approx(deviation, rel=0.05)


@pytest.mark.parametrize(
    ("name", "below", "above"),
    [
        ("sharpness", quality.BLURRED, quality.UNLIKE),
        ("flatness", quality.UNLIKE, quality.COMPRESSED),
        ("noise", quality.COMPRESSED, quality.UNLIKE),
        ("contrast", quality.UNLIKE, quality.UNLIKE),
        ("brightness", quality.UNLIKE, quality.UNLIKE),
    ],
)
def test_a_fault_by_measure_and_side(name: str, below: str, above: str) -> None:
    measured = np.full((5, len(quality.MEASURES)), 5.0)
    measured[:, quality.MEASURES.index(name)] = (0.9, 1.0, 5.0, 9.0, 9.1)

    assert quality.faults(measured, dict.fromkeys(quality.MEASURES, (1.0, 9.0))) == [below, "", "", "", above]


def test_what_cannot_be_measured_is_not_judged() -> None:
    measured = np.full((1, 5), np.nan)

    assert quality.faults(measured, {}) == [quality.BLURRED]


@pytest.mark.parametrize(("x", "z", "degrees"), [(0, 1, 0), (1, 1, 45), (-1, 1, 45), (1, 0, 90), (0, -1, 180)])
def test_how_far_a_head_is_turned(x: float, z: float, degrees: float) -> None:
    pose = np.zeros((4, 4))
    pose[0, 2], pose[2, 2] = x, z

    assert quality.head_turn(pose) == pytest.approx(degrees)


def test_each_face_has_a_fault_of_its_own_and_poses_may_be_unknown() -> None:
    boxes = np.array([[0, 0, 48, 60], [0, 0, 60, 47.9], [5, 5, 70, 70]])
    meshes = np.zeros((3, 478, 3))
    meshes[2, 4, 1] = np.nan

    found = quality.placing_faults(boxes, meshes, None, min_px=48, max_yaw=45)

    assert found == ["", quality.TOO_SMALL, quality.HIDDEN]
