"""What systems score crops with: degraded ones, clips they are adapted to, and several systems together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="evaluating needs facewarden[train]")

from engines import ConfigError
from engines.training import TrainingRun
from operators.cropset import CropSet
from operators.deepfake.acmf.model import Exported, build
from pipeline.training.scoring import adapted_scores, fused, shifted
from tests.operators.deepfake.faces import crop_set
from tests.operators.test_cropset import made_set

MINI = {"trunk": "xception-mini", "size": 40}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Those of a network that has learned nothing."""
    return TrainingRun(tmp_path, device="cpu", threads=1).finish(Exported(build("xception-mini")).state_dict())


def videos(n: int) -> CropSet:
    """Clips of two frames."""
    stills = crop_set(n)
    rows = np.arange(len(stills))
    return replace(stills, clips=np.char.add("clip ", (rows // 2).astype(str)), frames=rows % 2)


def test_adapting_sees_no_label_no_other_video_and_no_order(weights: Path) -> None:
    clips, source = videos(2), crop_set(4, seed=1)
    shuffled = np.random.default_rng(0).permutation(len(clips))

    scores = adapted_scores("deepfake.acmf", weights, MINI, clips, source)
    turned = adapted_scores("deepfake.acmf", weights, MINI, replace(clips, labels=1 - clips.labels), source)
    other = adapted_scores("deepfake.acmf", weights, MINI, clips.where(shuffled), source)
    alone = adapted_scores("deepfake.acmf", weights, MINI, clips.where(np.array([4, 5])), source)

    assert ((scores > 0) & (scores < 1)).all() and len(np.unique(scores)) == len(clips) // 2
    np.testing.assert_array_equal(turned, scores)
    np.testing.assert_array_equal(other, scores[shuffled])
    np.testing.assert_array_equal(alone, scores[4:6])


def test_adapting_learns_from_the_labels_of_the_source(weights: Path) -> None:
    clips, source = videos(2), crop_set(4, seed=1)

    one, other = (
        adapted_scores("deepfake.acmf", weights, MINI, clips, labelled)
        for labelled in (source, replace(source, labels=1 - source.labels))
    )

    assert (one != other).any()


def test_a_system_that_cannot_be_adapted(weights: Path) -> None:
    with pytest.raises(ConfigError, match="gazeforensics has no test-time adaptation"):
        adapted_scores("deepfake.gazeforensics", weights, {}, videos(2), crop_set(2))


def test_a_shift_is_the_same_each_time_and_none_leaves_the_crops() -> None:
    crops = made_set(6, size=32)

    one, again = (shifted(crops, 1.0) for _ in range(2))

    assert shifted(crops, 0.0) is crops
    np.testing.assert_array_equal(one.pixels, again.pixels)
    assert (one.pixels != crops.pixels).any() and one.points is crops.points


def test_fusion_by_hand() -> None:
    """Logits of 0.5 and 0.9 are 0 and ln 9: their mean is ln 3, which is 0.75. Who is silent does not count."""
    both = fused([np.array([0.5, np.nan, np.nan]), np.array([0.9, 0.9, np.nan])])

    np.testing.assert_allclose(both, [0.75, 0.9, np.nan])
