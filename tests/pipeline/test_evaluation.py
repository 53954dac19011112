"""What is said about scores, by frames, clips and kinds, beside a baseline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="evaluating needs facewarden[train]")

from pipeline import tables
from pipeline.evaluation import Scored, by_kind, figures, fused, shifted, table
from tests.operators.test_cropset import made_set

FRAMES, CLIPS = 4, 16
N = FRAMES * CLIPS


def scored() -> Scored:
    """Clips of four frames, forged in turn in two kinds. `good` is always right and silent on one clip; `bad` errs."""
    clip = np.repeat(np.arange(CLIPS), FRAMES)
    label = clip % 2
    crops = replace(
        made_set(N),
        labels=label.astype(np.int8),
        clips=np.array([f"clip {c:02}" for c in clip]),
        groups=np.array([f"host {c // 4}" for c in clip]),
        kinds=np.where(label == 0, "real", np.where(clip % 4 == 1, "swap", "iris")),
    )
    rng = np.random.default_rng(0)
    good = np.where(clip == 0, np.nan, 0.2 + 0.6 * label)
    bad = np.clip(0.4 + 0.2 * label + rng.normal(0, 0.3, N), 0.01, 0.99)
    return Scored(crops, {"good": good, "bad": bad}, {"Meso4_DF": 1 - bad, "Meso4_F2F": rng.random(N)})


def test_the_table_has_frames_and_clips() -> None:
    rows = table(scored(), draws=30)

    assert [(row["what"], row["unit"], row["cases"]) for row in rows[:2]] == [("good", "frame", N), ("bad", "frame", N)]
    videos = {row["what"]: row for row in rows if row["unit"] == "video"}
    assert videos["good"]["cases"] == CLIPS
    assert videos["good"]["coverage"] == pytest.approx(1 - 1 / CLIPS)
    assert videos["good"]["auc"].value == 1.0
    assert videos["bad"]["auc"].value >= rows[1]["auc"].value  # four frames know more than one


def test_kinds_are_each_against_all_genuine_crops() -> None:
    kinds = {row["kind"]: row for row in by_kind(scored(), draws=30)}

    assert {kind: row["cases"] for kind, row in kinds.items()} == {"swap": N // 4, "iris": N // 4}
    assert kinds["swap"]["good"].value == 1.0


def test_figures_keep_their_names() -> None:
    made = scored()
    told = figures(made, table(made, draws=30), by_kind(made, draws=30), draws=30)

    assert {"auc", "auc_low", "auc_high", "auc_mesonet", "auc_gain", "auc_gain_low", "auc_video", "auc_bad"} <= set(
        told
    )
    assert told["auc"] == 1.0 and told["coverage"] == pytest.approx(1 - 1 / CLIPS)
    assert told["auc_gain"] == pytest.approx(1 - told["auc_mesonet"])
    assert told["auc_kind_swap"] == 1.0 and told["crops"] == N and told["groups"] == 4


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


def test_figures_become_a_card_with_intervals() -> None:
    metrics = tables.card_metrics({"auc": 0.7, "auc_low": 0.6, "auc_high": 0.8, "crops": 486})

    assert metrics["crops"] == 486
    assert metrics.keys() == {"auc", "crops"} and (metrics["auc"].low, metrics["auc"].high) == (0.6, 0.8)  # type: ignore[union-attr]


def test_rows_fit_into_a_report() -> None:
    rows = tables.plain(table(scored(), draws=30))

    assert rows[0]["auc"][0] == 1.0 and len(rows[0]["auc"]) == 3
