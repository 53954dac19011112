"""Clips that are rendered from stills, on which the system is tested where a set has no videos."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="rendering needs facewarden[train]")

from operators.deepfake.gazeforensics.train import rendered
from tests.operators.deepfake.faces import crop_set


def test_stills_become_videos_for_a_system_that_looks_at_these() -> None:
    stills = crop_set(8, 48)
    genuine = stills.where(np.flatnonzero(stills.labels == 0))

    made, again = (rendered(genuine, head="small", size=32, kinds=("opposed", "swap"), max_clips=12) for _ in range(2))

    names, frames = np.unique(made.clips, return_counts=True)
    assert len(names) == 12 and (frames == 8).all()
    assert made.frames.tolist() == [*range(8)] * 12
    assert made.labels.mean() == 0.5 and set(made.kinds) == {"real", "opposed", "swap"}
    assert set(made.groups) <= set(genuine.groups) and len(set(made.groups)) == 6
    np.testing.assert_array_equal(made.pixels, again.pixels)
