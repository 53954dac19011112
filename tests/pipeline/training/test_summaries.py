"""What is said about scores, by frames, clips and kinds, next to a baseline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators.metrics import auc
from pipeline.training.summaries import ADAPTED, LEARNED, Scored, by_kind, card_metrics, figures, plain, table
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


def test_the_gain_is_over_the_better_baseline_and_has_an_interval() -> None:
    made = scored()
    spoke = np.isfinite(made.systems["good"])

    told = figures(made, table(made, draws=30), [], draws=30)

    aucs = [auc(made.crops.labels[spoke], values[spoke]) for values in made.baselines.values()]
    assert told["auc_mesonet"] == max(aucs) > min(aucs)
    assert told["auc_gain"] == pytest.approx(told["auc"] - told["auc_mesonet"])
    assert 0 < told["auc_gain_low"] <= told["auc_gain"] <= told["auc_gain_high"]


def test_what_is_spoken_of_is_judged_by_what_would_be_said() -> None:
    """Of four faces one is passed over. At a threshold of 0.9 the forgery at 0.7 would be called genuine: one of three
    is wrong, though 0.5 parts them."""
    crops, scores = made_set(4), np.array([0.2, 0.95, 0.6, 0.7])
    silent, called = np.array([False, False, True, False]), scores >= 0.9
    made = Scored(crops, {"one": scores}, {}, {"one": silent}, {"one": called})

    told = figures(made, table(made, draws=2), [], draws=2)

    assert (told["spoken"], told["auc_spoken"]) == (0.75, 1.0)
    assert told["error_spoken"] == pytest.approx(1 / 3)
    assert told["selective_error_70"] == 0  # of the three surest at 0.5: 0.95, 0.2 and 0.7


def test_kinds_that_the_training_had_have_a_row_and_figures_of_their_own() -> None:
    """One forgery in two is of a kind that it was never shown, and scores as genuine faces do."""
    crops = replace(
        made_set(4), labels=np.array([0, 1, 0, 1], np.int8), kinds=np.array(["real", "swap", "real", "iris"])
    )
    made = Scored(crops, {"one": np.array([0.1, 0.9, 0.2, 0.1])}, {}, learned=["swap", "eyes"])

    rows = table(made, draws=5)
    told = figures(made, rows, [], draws=5)

    assert [(row["what"], row["cases"]) for row in rows] == [("one", 4), (f"one{LEARNED}", 3)]
    assert (told["auc"], told["auc_learned"]) == (0.625, 1.0)
    assert told["ece_even_learned"] < told["ece_even"]


@pytest.mark.parametrize("learned", [(), ("swap", "iris"), ("something else",)])
def test_there_is_no_such_row_where_it_would_say_the_same_or_nothing(learned: tuple[str, ...]) -> None:
    rows = table(replace(scored(), learned=learned), draws=5)

    assert not [row for row in rows if row["what"].endswith(LEARNED)]


def test_what_was_adapted_has_a_row_and_a_figure_of_its_own() -> None:
    plain = scored()
    made = replace(plain, adapted={"good": 1 - plain.systems["good"]})

    rows = table(made, draws=5)
    told, before = (figures(one, table(one, draws=5), [], draws=5) for one in (made, plain))

    of_it = [row for row in rows if row["what"] == f"good{ADAPTED}"]
    assert [(row["unit"], row["cases"], row["auc"].value) for row in of_it] == [("video", CLIPS, 0.0)]
    assert told["auc_video_tta"] == 0.0 and told["auc_video_tta_low"] == 0.0
    assert {name: value for name, value in told.items() if "tta" not in name} == pytest.approx(before, nan_ok=True)


def test_figures_become_a_card_with_intervals() -> None:
    unknown = {"auc_spoken": None, "eer": None, "eer_low": None, "eer_high": None}
    metrics = card_metrics({"auc": 0.7, "auc_low": 0.6, "auc_high": 0.8, "crops": 486, **unknown})

    assert metrics["crops"] == 486
    assert metrics.keys() == {"auc", "crops"} and (metrics["auc"].low, metrics["auc"].high) == (0.6, 0.8)  # type: ignore[union-attr]


def test_rows_fit_into_a_report() -> None:
    rows = plain(table(scored(), draws=30))

    assert rows[0]["auc"][0] == 1.0 and len(rows[0]["auc"]) == 3
