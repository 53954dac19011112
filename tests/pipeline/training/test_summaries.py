"""What is said about scores, by frames, clips and kinds, next to a baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engines.card import CardMetric
from operators.cropset import CropSet
from operators.metrics import SUMMARY, Figure, auc
from pipeline.training.summaries import (
    ADAPTED,
    LEARNED,
    Scored,
    by_kind,
    card_metrics,
    figures,
    plain,
    row_figures,
    table,
    training_row,
)
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
    found = figures(made, table(made, draws=30), by_kind(made, draws=30), draws=30)

    assert {"auc", "auc_low", "auc_high", "auc_mesonet", "auc_gain", "auc_gain_low", "auc_video", "auc_bad"} <= set(
        found
    )
    assert found["auc"] == 1.0 and found["coverage"] == pytest.approx(1 - 1 / CLIPS)
    assert found["auc_gain"] == pytest.approx(1 - found["auc_mesonet"])
    assert found["auc_kind_swap"] == 1.0 and found["crops"] == N and found["groups"] == 4


def test_the_gain_is_over_the_better_baseline_and_has_an_interval() -> None:
    made = scored()
    spoke = np.isfinite(made.systems["good"])

    found = figures(made, table(made, draws=30), [], draws=30)

    aucs = [auc(made.crops.labels[spoke], values[spoke]) for values in made.baselines.values()]
    assert found["auc_mesonet"] == max(aucs) > min(aucs)
    assert found["auc_gain"] == pytest.approx(found["auc"] - found["auc_mesonet"])
    assert 0 < found["auc_gain_low"] <= found["auc_gain"] <= found["auc_gain_high"]


def test_what_is_spoken_of_is_judged_by_what_would_be_said() -> None:
    """Of four faces one is passed over. At a threshold of 0.9 the forgery at 0.7 would be called genuine: one of three
    is wrong, though 0.5 parts them."""
    crops, scores = made_set(4), np.array([0.2, 0.95, 0.6, 0.7])
    silent, called = np.array([False, False, True, False]), scores >= 0.9
    made = Scored(crops, {"one": scores}, {}, {"one": silent}, {"one": called})

    found = figures(made, table(made, draws=2), [], draws=2)

    assert (found["spoken"], found["auc_spoken"]) == (0.75, 1.0)
    assert found["error_spoken"] == pytest.approx(1 / 3)
    assert found["selective_error_70"] == 0  # of the three surest at 0.5: 0.95, 0.2 and 0.7


def test_kinds_that_the_training_had_have_a_row_and_figures_of_their_own() -> None:
    """One forgery in two is of a kind that it was never shown, and scores as genuine faces do."""
    crops = replace(
        made_set(4), labels=np.array([0, 1, 0, 1], np.int8), kinds=np.array(["real", "swap", "real", "iris"])
    )
    made = Scored(crops, {"one": np.array([0.1, 0.9, 0.2, 0.1])}, {}, learned=["swap", "eyes"])

    rows = table(made, draws=5)
    found = figures(made, rows, [], draws=5)

    assert [(row["what"], row["cases"]) for row in rows] == [("one", 4), (f"one{LEARNED}", 3)]
    assert (found["auc"], found["auc_learned"]) == (0.625, 1.0)
    assert found["ece_even_learned"] < found["ece_even"]


@pytest.mark.parametrize("learned", [(), ("swap", "iris"), ("something else",)])
def test_there_is_no_such_row_where_it_would_say_the_same_or_nothing(learned: tuple[str, ...]) -> None:
    rows = table(replace(scored(), learned=learned), draws=5)

    assert not [row for row in rows if row["what"].endswith(LEARNED)]


def test_what_was_adapted_has_a_row_and_a_figure_of_its_own() -> None:
    plain = scored()
    made = replace(plain, adapted={"good": 1 - plain.systems["good"]})

    rows = table(made, draws=5)
    found, before = (figures(one, table(one, draws=5), [], draws=5) for one in (made, plain))

    of_it = [row for row in rows if row["what"] == f"good{ADAPTED}"]
    assert [(row["unit"], row["cases"], row["auc"].value) for row in of_it] == [("video", CLIPS, 0.0)]
    assert found["auc_video_tta"] == 0.0 and found["auc_video_tta_low"] == 0.0
    assert {name: value for name, value in found.items() if "tta" not in name} == pytest.approx(before, nan_ok=True)


def test_figures_become_a_card_with_intervals() -> None:
    unknown = {"auc_spoken": None, "eer": None, "eer_low": None, "eer_high": None}
    metrics = card_metrics({"auc": 0.7, "auc_low": 0.6, "auc_high": 0.8, "crops": 486, **unknown})

    assert metrics["crops"] == 486
    assert metrics.keys() == {"auc", "crops"} and (metrics["auc"].low, metrics["auc"].high) == (0.6, 0.8)  # type: ignore[union-attr]


def test_rows_fit_into_a_report() -> None:
    rows = plain(table(scored(), draws=30))

    assert rows[0]["auc"][0] == 1.0 and len(rows[0]["auc"]) == 3


# -- four crops, by hand ---------------------------------------------------------------------------

FOUR = np.array([0.1, 0.9, 0.6, 0.4])
"""Of two genuine and two forged crops in turn. One of the four pairs is in the wrong order: 0.4 of a forged one lies
below 0.6 of a genuine one."""


def four(*clips: str, kinds: tuple[str, ...] = ("real", "swap")) -> CropSet:
    """Genuine, forged, genuine, forged; of these clips, and of these kinds in turn."""
    crops = made_set(4)
    names = np.array(clips) if clips else crops.clips
    return replace(crops, clips=names, kinds=np.array([kinds[row % len(kinds)] for row in range(4)]))


def test_a_row_of_the_table_by_hand() -> None:
    (row,) = table(Scored(four(), {"one": FOUR}, {}), draws=2)

    assert (row["what"], row["unit"], row["cases"], row["coverage"]) == ("one", "frame", 4, 1.0)
    assert {name: row[name].value for name in SUMMARY} == pytest.approx(
        {
            "auc": 3 / 4,
            "ap": 1 / 2 * 1 + 1 / 2 * 2 / 3,  # the first is forged, and of the first three two are
            "eer": 1 / 2,
            "tpr_at_fpr01": 1 / 2,
            "ece": (0.1 + 0.1 + 0.6 + 0.6) / 4,
            "ece_even": (0.1 + 0.1 + 0.6 + 0.6) / 4,
            "selective_error_70": 1 / 3,  # three of four are 70 % at least: 0.1, 0.9 and one that is wrong
        }
    )


@pytest.mark.parametrize(
    ("silent", "coverage", "expected"),
    [((), 1, 3 / 4), ((3,), 3 / 4, 1.0), ((1,), 3 / 4, 1 / 2), ((1, 3), 1 / 2, np.nan), (range(4), 0, np.nan)],
    ids=["none", "the wrong one", "the right one", "all forged ones", "all"],
)
def test_what_it_kept_silent_on_does_not_count(silent: tuple[int, ...], coverage: float, expected: float) -> None:
    scores = FOUR.copy()
    scores[list(silent)] = np.nan

    (row,) = table(Scored(four(), {"one": scores}, {}), draws=2)

    assert (row["cases"], row["coverage"]) == (4, coverage)
    assert row["auc"].value == pytest.approx(expected, nan_ok=True)


def test_a_clip_scores_the_mean_of_its_frames() -> None:
    """Of a, 0.1 and of b, which is forged, 0.9 and silence; a third clip is not spoken of at all."""
    crops = replace(four("a", "b", "c", "b"), groups=np.array(["x", "x", "y", "x"]))
    scores = np.array([0.1, 0.9, np.nan, np.nan])

    frames, videos = table(Scored(crops, {"one": scores}, {}), draws=2)

    assert (frames["unit"], frames["cases"], frames["coverage"]) == ("frame", 4, 1 / 2)
    assert (videos["unit"], videos["cases"], videos["coverage"]) == ("video", 3, pytest.approx(2 / 3))
    assert videos["auc"].value == 1.0
    assert videos["ece"].value == pytest.approx(0.1)


def test_intervals_of_clips_are_by_the_groups_of_these() -> None:
    """Clips a and b are of one host: drawn alone, b scores higher. With c, of another, one of two pairs is wrong."""
    rows = [0, 0, 1, 1, 2, 2]
    crops = replace(
        made_set(6),
        labels=np.array([0, 1, 0], np.int8)[rows],
        clips=np.array(["a", "b", "c"])[rows],
        groups=np.array(["x", "x", "y"])[rows],
    )

    (_, videos) = table(Scored(crops, {"one": np.array([0.1, 0.5, 0.9])[rows]}, {}), draws=20)

    assert (videos["auc"].value, videos["auc"].low, videos["auc"].high) == (1 / 2, 1 / 2, 1.0)


def test_stills_have_no_rows_by_video_but_for_what_was_adapted_to_them() -> None:
    made = Scored(four(), {"one": FOUR}, {"Meso4_DF": FOUR}, adapted={"one": 1 - FOUR})

    rows = table(made, draws=2)

    assert [(row["what"], row["unit"]) for row in rows] == [
        ("one", "frame"), ("Meso4_DF", "frame"), (f"one{ADAPTED}", "video"),
    ]  # fmt: skip


def test_systems_come_before_baselines() -> None:
    made = Scored(four(), {"one": FOUR, "two": FOUR}, {"Meso4_DF": FOUR})

    assert list(made.rows) == ["one", "two", "Meso4_DF"]


def test_kinds_by_hand() -> None:
    """0.9 lies above both genuine crops; 0.4 above one of two. The second system spoke of no forgery of one kind."""
    crops = four(kinds=("real", "swap", "real", "iris"))
    other = np.array([0.1, np.nan, 0.2, 0.3])

    iris, swap = by_kind(Scored(crops, {"one": FOUR, "two": other}, {}), draws=2)

    assert (iris["kind"], iris["cases"], iris["one"].value, iris["two"].value) == ("iris", 1, 1 / 2, 1.0)
    assert (swap["kind"], swap["cases"], swap["one"].value) == ("swap", 1, 1.0)
    assert np.isnan(swap["two"].value)


def test_figures_of_a_second_system_have_its_name() -> None:
    """It scores the other way round, and keeps silent at run time. Clip a is genuine, and b is forged."""
    names = ("one", "two")
    scores = {"one": FOUR, "two": 1 - FOUR}
    silent, called = {name: np.full(4, name == "two") for name in names}, dict.fromkeys(names, FOUR >= 0.5)
    made = Scored(four("a", "b", "a", "b"), scores, {}, silent, called, adapted=scores)

    found = figures(made, table(made, draws=2), by_kind(made, draws=2), draws=2)

    expected = {
        "crops": 4, "groups": 2, "auc": 3 / 4, "auc_two": 1 / 4, "auc_video": 1, "auc_two_video": 0,
        "ece_two": 0.65, "coverage_two": 1, "coverage_two_video": 1, "auc_kind_swap": 3 / 4,
        "auc_video_tta": 1, "auc_video_tta_two": 0, "spoken": 1, "spoken_two": 0, "auc_spoken": 3 / 4,
        "error_spoken": 1 / 2, "auc_spoken_two": np.nan, "error_spoken_two": np.nan,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("silent", "spoken", "error"),
    [((), 1.0, 1 / 2), ((2, 3), 1 / 2, 0.0), ((0, 1), 1 / 2, 1.0), (range(4), 0.0, np.nan)],
    ids=["none", "of the wrong ones", "of the right ones", "of all"],
)
def test_the_error_is_that_of_what_would_be_spoken_of(silent: tuple[int, ...], spoken: float, error: float) -> None:
    kept = np.isin(np.arange(4), list(silent))
    made = Scored(four(), {"one": FOUR}, {}, {"one": kept}, {"one": FOUR >= 0.5})

    found = figures(made, [], [], draws=2)

    assert (found["spoken"], found["error_spoken"]) == pytest.approx((spoken, error), nan_ok=True)


def test_without_a_baseline_there_is_no_gain() -> None:
    found = figures(Scored(four(), {"one": FOUR}, {}), [], [], draws=2)

    assert set(found) == {"crops", "groups"}


def test_the_gain_counts_what_both_spoke_of() -> None:
    """On the crops that both spoke of, the system is right once and the baseline never."""
    ours, theirs = np.array([0.1, 0.9, np.nan, 0.4]), np.array([0.8, 0.3, 0.2, np.nan])
    made = Scored(four(), {"one": ours}, {"Meso4_DF": theirs})

    found = figures(made, [], [], draws=2)

    assert found["auc_gain"] == 1.0


def test_every_figure_has_its_interval_and_encloses_it() -> None:
    made = scored()

    found = figures(made, table(made, draws=20), by_kind(made, draws=20), draws=20)

    ends = {name.rsplit("_", 1)[0] for name in found if name.endswith(("_low", "_high"))}
    assert {"auc", "eer_bad", "ap_video", "auc_kind_swap", "auc_gain"} <= ends
    assert all(found[f"{name}_low"] <= found[f"{name}_high"] for name in ends if np.isfinite(found[f"{name}_low"]))


# -- trainings -------------------------------------------------------------------------------------


def test_a_training_by_hand() -> None:
    """Clips a and b are genuine and forged. One of four pairs of crops is in the wrong order, and none of clips. An
    earlier training ordered the three crops that both spoke of wrongly."""
    scores, first = np.array([0.2, 0.9, 0.6, 0.5]), np.array([0.9, 0.8, np.nan, 0.3])

    row = training_row("no masking", "celebdf", four("a", "b", "a", "b"), scores, 2, first)

    assert (row["what"], row["set"], row["cases"], row["clips"], row["coverage"]) == ("no masking", "celebdf", 4, 2, 1)
    assert (row["auc"].value, row["eer"].value, row["auc_video"].value) == (3 / 4, 1 / 2, 1.0)
    assert row["ece"].value == pytest.approx((0.2 + 0.1 + 0.6 + 0.5) / 4)
    assert row["auc_over_first"].value == 1.0


def test_a_clip_that_is_not_spoken_of_is_not_counted() -> None:
    row = training_row("x", "set", four("a", "b", "a", "c"), np.array([0.2, 0.9, np.nan, np.nan]), 2)

    assert (row["cases"], row["clips"], row["coverage"], row["auc_video"].value) == (4, 2, 1 / 2, 1.0)


@pytest.mark.parametrize("first", [None, np.zeros(3)], ids=["the first itself", "of other crops"])
def test_a_training_with_nothing_to_be_set_against(first: Any) -> None:
    assert "auc_over_first" not in training_row("x", "set", four(), FOUR, 2, first)


def row(what: str, of: str, value: float, **more: Any) -> dict[str, Any]:
    return {"what": what, "set": of, "auc": Figure(value, value - 0.1, value + 0.1), **more}


def test_rows_of_trainings_as_figures() -> None:
    rows = [
        row("as configured", "ff", 0.8),
        row("no masking", "ff", 0.6, auc_over_first=Figure(-0.2, -0.3, -0.1)),
        row("as configured", "celebdf", 0.5),
    ]

    found = row_figures(rows)

    assert found == pytest.approx(
        {
            "auc_ff_as_configured": 0.8, "auc_ff_as_configured_low": 0.7, "auc_ff_as_configured_high": 0.9,
            "auc_ff_no_masking": 0.6, "auc_ff_no_masking_low": 0.5, "auc_ff_no_masking_high": 0.7,
            "auc_over_first_ff_no_masking": -0.2, "auc_over_first_ff_no_masking_low": -0.3,
            "auc_over_first_ff_no_masking_high": -0.1,
            "auc_celebdf_as_configured": 0.5, "auc_celebdf_as_configured_low": 0.4,
            "auc_celebdf_as_configured_high": 0.6,
            "auc_ff_mean": 0.7, "auc_celebdf_mean": 0.5,
        }
    )  # fmt: skip


# -- reports and cards -----------------------------------------------------------------------------


def test_a_row_of_a_report_has_lists_for_intervals_and_all_else_as_it_is() -> None:
    assert plain([{"what": "one", "cases": 4, "auc": Figure(0.7, 0.6, 0.8)}]) == [
        {"what": "one", "cases": 4, "auc": [0.7, 0.6, 0.8]}
    ]


@pytest.mark.parametrize(
    ("reported", "on_the_card"),
    [
        ({"auc": 0.7, "auc_low": 0.6, "auc_high": 0.8}, {"auc": CardMetric(value=0.7, low=0.6, high=0.8)}),
        ({"crops": 4}, {"crops": 4}),
        ({"auc": 0.0, "auc_low": 0.0, "auc_high": 0.0}, {"auc": CardMetric(value=0, low=0, high=0)}),
        ({"auc": 0.7, "auc_low": None, "auc_high": 0.8}, {"auc": 0.7}),
        ({"auc": 0.7, "auc_high": 0.8}, {"auc": 0.7}),
        ({"auc": 0.7, "auc_low": 0.6}, {"auc": 0.7}),
        ({"auc": None, "auc_low": 0.6, "auc_high": 0.8}, {}),
        ({"auc_low": 0.6, "auc_high": 0.8}, {}),
    ],
    ids=[
        "an interval",
        "none",
        "zeros",
        "an end that is not defined",
        "the upper end",
        "the lower end",
        "not defined",
        "ends alone",
    ],
)
def test_figures_on_a_card(reported: dict[str, float | None], on_the_card: dict[str, Any]) -> None:
    assert card_metrics(reported) == on_the_card
