"""What systems score crops with: degraded ones, clips they are adapted to, and several systems together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch", reason="evaluating needs facewarden[train]")

import operators
from engines import ConfigError
from engines.training import TrainingRun
from operators.cropset import CropSet
from operators.deepfake.acmf.model import Exported, build
from pipeline.training.scoring import (
    FUSION,
    MESONETS,
    adapted_scores,
    called_forged,
    can_adapt,
    committed,
    fused,
    open_networks,
    score,
    scores_of,
    shifted,
    silent_of,
)
from tests.operators.deepfake.faces import crop_set
from tests.operators.test_cropset import made_set
from tests.pipeline.screening.brightness import SIZE, write_detector

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


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=5))
def test_a_fusion_lies_between_its_parts_whatever_their_order(parts: list[float]) -> None:
    (one,), (other,) = (fused([np.array([part]) for part in order]) for order in (parts, parts[::-1]))

    assert min(parts) - 1e-9 <= one <= max(parts) + 1e-9
    assert one == pytest.approx(other)


def test_scores_of_0_and_1_can_be_fused() -> None:
    (both,) = fused([np.array([0.0]), np.array([1.0])])

    assert both == pytest.approx(0.5)


# -- degraded crops --------------------------------------------------------------------------------


def test_each_crop_is_degraded_by_itself() -> None:
    crops = crop_set(2, 32)

    whole, first = (shifted(some, 1.0) for some in (crops, crops.where(np.array([0]))))
    other = shifted(crops, 1.0, seed=1)

    np.testing.assert_array_equal(whole.pixels[:1], first.pixels)
    assert (whole.pixels != other.pixels).any()
    assert (whole.labels == crops.labels).all() and crops.pixels.dtype == whole.pixels.dtype


def test_a_stronger_shift_changes_more() -> None:
    crops = crop_set(4, 48)

    weak, strong = (
        np.abs(shifted(crops, strength).pixels.astype(int) - crops.pixels).mean() for strength in (0.2, 1.0)
    )

    assert 0 < weak < strong


# -- systems ---------------------------------------------------------------------------------------


def grey(*levels: float) -> CropSet:
    """Crops so bright."""
    crops = made_set(len(levels), SIZE)
    pixels = np.round(255 * np.array(levels)).astype(np.uint8)[:, None, None, None]
    return replace(crops, pixels=np.broadcast_to(pixels, crops.pixels.shape).copy())


def brightness(**inputs: Any) -> dict[str, NDArray[Any]]:
    """A plain function as a network of ACMF: how bright a face is, NaN for a black one."""
    mean = inputs["face"].mean((1, 2, 3))[:, None]
    return {"fake_prob": np.where(mean, mean, np.nan).astype(np.float32)}


@pytest.mark.parametrize("use", ["deepfake.acmf", "twin"])
@pytest.mark.usefixtures("twin")
def test_scores_come_in_the_order_of_the_crops(use: str) -> None:
    scores = scores_of(use, {"detector": brightness}, grey(0.2, 0.8, 0.0, 0.4))

    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, [0.2, 0.8, np.nan, 0.4], atol=1e-6)


def test_a_card_says_of_which_crops_is_spoken_and_which_are_called_forged(tmp_path: Path) -> None:
    """The card's thresholds are 0.4 and 0.6: in between nothing is said."""
    write_detector(tmp_path / "tiny_detector.onnx", fake=0.6, real=0.4)
    opened, crops = open_networks(tmp_path / "tiny"), grey(0.2, 0.4, 0.502, 0.6, 0.8)
    scores = np.array([0.2, 0.4, 0.502, 0.6, np.nan])

    silent, called = silent_of("deepfake.acmf", opened, crops, scores), called_forged(opened, scores)

    assert silent.tolist() == [False, False, True, False, True]
    assert called.tolist() == [False, False, False, True, False]


def test_without_a_card_everything_is_passed_over_and_only_certainty_called_forged() -> None:
    opened, scores = {"detector": brightness}, np.array([0.001, 0.999, 1.0])

    silent, called = silent_of("deepfake.acmf", opened, grey(0.1, 0.9, 1.0), scores), called_forged(opened, scores)

    assert silent.tolist() == [True, True, False]
    assert called.tolist() == [False, False, True]


def test_a_system_that_never_abstains_is_silent_where_it_gave_no_score(twin: str) -> None:
    silent = silent_of(twin, {"detector": brightness}, grey(0.5, 0.5), np.array([0.5, np.nan]))

    assert silent.tolist() == [False, True]


@pytest.mark.parametrize(("use", "can"), [("deepfake.acmf", True), ("deepfake.gazeforensics", False), ("twin", True)])
@pytest.mark.usefixtures("twin")
def test_systems_that_can_be_adapted(use: str, can: bool) -> None:
    assert can_adapt(use) == can


def test_networks_are_opened_by_their_names(tmp_path: Path) -> None:
    for file in ("small_detector", "small_clip", "smaller_detector"):
        write_detector(tmp_path / f"{file}.onnx", fake=0.6, real=0.4)

    opened = open_networks(tmp_path / "small")

    assert list(opened) == ["clip", "detector"]
    assert opened["detector"](face=np.ones((2, 3, SIZE, SIZE), np.float32))["fake_prob"].tolist() == [[1], [1]]
    with pytest.raises(ConfigError, match=r"other_\*\.onnx: no network; train one, or name the folder .* --model"):
        open_networks(tmp_path / "other")


def test_committed_networks_lie_in_the_folder_of_their_system() -> None:
    stem = committed("deepfake.acmf", "small")

    assert stem == Path(str(operators.__file__)).parent / "deepfake" / "acmf" / "small"
    assert list(open_networks(stem)) == ["detector"]
    assert committed("deepfake.acmf", "paper") == stem.with_name("paper")


def test_one_system_alone_is_not_fused(tmp_path: Path, twin: str) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_detector(tmp_path / folder / "tiny_detector.onnx", fake=0.6, real=0.4)
    engines = {"deepfake.acmf": tmp_path / "one/tiny", twin: tmp_path / "two/tiny"}
    crops = grey(0.2, 0.502, 0.8)

    alone, both = score(crops, {twin: engines[twin]}, None), score(crops, engines, tmp_path)

    assert list(alone.systems) == ["twin"] and list(both.systems) == ["acmf", "twin", FUSION]
    np.testing.assert_allclose(both.systems[FUSION], alone.systems["twin"], atol=1e-6)
    assert list(both.silent) == list(both.called) == ["acmf", "twin"]
    assert [both.silent[name].tolist() for name in ("acmf", "twin")] == [[False, True, False], [False] * 3]
    assert both.called["acmf"].tolist() == [False, False, True]
    assert not alone.baselines and not both.baselines  # Meso4's weights are in none of the folders


def test_baselines_are_scored_where_all_their_weights_are(tmp_path: Path, data_dir: Path) -> None:
    write_detector(tmp_path / "tiny_detector.onnx", fake=0.6, real=0.4)
    engines, weights = {"deepfake.acmf": tmp_path / "tiny"}, data_dir / "weights"
    (tmp_path / f"{MESONETS[0]}.h5").symlink_to(weights / f"{MESONETS[0]}.h5")
    crops = crop_set(2, SIZE)

    found, missing = score(crops, engines, weights), score(crops, engines, tmp_path)

    assert tuple(found.baselines) == MESONETS and not missing.baselines
    assert all(len(scores) == len(crops) for scores in found.baselines.values())
    assert (found.baselines[MESONETS[0]] != found.baselines[MESONETS[1]]).any()
