from __future__ import annotations

import numpy as np
import pytest

from operators.deepfake.heatmap import overlay


def test_evidence_colours_its_place_and_nothing_else() -> None:
    crop = np.full((64, 64, 3), 100, np.uint8)
    evidence = np.zeros((8, 8))
    evidence[1, 1] = 2.0

    shown = overlay(crop, evidence, strongest=2.0)

    changed = np.argwhere((shown != crop).any(axis=2))
    assert len(changed)
    assert changed.max() < 32
    assert np.array_equal(crop, np.full((64, 64, 3), 100))


def test_no_evidence_leaves_the_crop() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)

    assert np.array_equal(overlay(crop, np.zeros((4, 4)), strongest=1.0), crop)


def test_colours_by_hand() -> None:
    """Inferno ends in a pale yellow, of which half is mixed with half of the crop."""
    crop = np.full((16, 16, 3), 100, np.uint8)

    strong, half = (
        overlay(crop, np.full((4, 4), 3.0), strongest=3.0, strength=strength)[8, 8] for strength in (1.0, 0.5)
    )

    assert strong.tolist() == [252, 255, 164] and half.tolist() == [176, 178, 132]


@pytest.mark.parametrize(("evidence", "most"), [(8.0, 4.0), (4.0, 4.0), (1e-3, 1e-3)])
def test_evidence_above_the_maximum_is_shown_as_the_maximum(evidence: float, most: float) -> None:
    crop = np.zeros((8, 8, 3), np.uint8)

    assert overlay(crop, np.full((2, 2), evidence), strongest=most, strength=1.0)[4, 4].tolist() == [252, 255, 164]


def test_one_number_for_all_crops_keeps_them_comparable() -> None:
    crop = np.full((8, 8, 3), 100, np.uint8)

    weak, strong = (overlay(crop, np.full((2, 2), level), strongest=2.0).astype(int) for level in (0.2, 2.0))

    assert np.abs(weak - 100).max() < np.abs(strong - 100).max()
