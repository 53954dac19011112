from __future__ import annotations

import numpy as np

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
