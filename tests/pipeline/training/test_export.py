"""From the folder of a run to networks with their cards: how they are called, and what the cards say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs facewarden[train]")

import torch

from engines import ConfigError, open_engine
from engines.card import CardMetric, read_card
from engines.files import sha256_of
from engines.training import WEIGHTS
from pipeline.provenance import write_report
from pipeline.training import export
from pipeline.training.export import export_run, export_with_reports, networks, recipe_of
from pipeline.training.recipe import Data, Forgeries, Recipe
from tests.pipeline.training.material import RECIPE, write_run

TWIN = Recipe(use="twin", variant="tiny", seed=7, data=Data(set="celebdf"))
AUC = CardMetric(value=0.8, low=0.7, high=0.9)


def test_a_run_of_other_networks_is_not_exported(tmp_path: Path) -> None:
    write_run(tmp_path, RECIPE, {"head": torch.zeros(1)})

    with pytest.raises(ConfigError, match="not those of its recipe"):
        export_run(tmp_path)


@pytest.mark.usefixtures("twin")
def test_a_network_is_named_by_its_variant_and_computes_what_was_trained(tmp_path: Path) -> None:
    recipe = TWIN.model_copy(update={"options": {"size": 16}})
    run = write_run(tmp_path / "run", recipe, {"factor": torch.tensor([0.5])}, val_auc=0.6, threshold_fake=0.9)

    (file,) = export_run(run, tmp_path / "elsewhere", {"auc": AUC, "val_auc": 0.65})

    assert file == tmp_path / "elsewhere/tiny_detector.onnx"
    face = np.full((3, 3, 16, 16), 0.5, np.float32)
    np.testing.assert_allclose(open_engine(file)(face=face)["fake_prob"], 0.25, atol=1e-6)
    card = read_card(file)
    assert card.sha256 == sha256_of(file.read_bytes()) and card.plan is not None
    assert (card.name, card.task, card.seed) == ("twin/tiny_detector", "forgery of a face", 7)
    assert card.source == "facewarden train twin-tiny --seed 7"
    assert Recipe.model_validate_json(card.recipe) == recipe
    assert card.metrics == {"threshold_fake": 0.9, "val_auc": 0.65, "auc": AUC}  # reports come last
    assert not list(run.glob("*.onnx"))


@pytest.mark.usefixtures("twin")
def test_a_run_that_did_not_end_is_not_exported(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", TWIN, {})
    (run / WEIGHTS).unlink()

    with pytest.raises(ConfigError, match=f"{WEIGHTS}: expected the weights of a training run"):
        export_run(run)


@pytest.mark.parametrize("content", [None, "", "{}", '{"use": "twin", "data": {"set": "x"}, "colour": 1}'])
def test_folders_that_hold_no_run(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "recipe.json").write_text(content)

    with pytest.raises(ConfigError, match=r"(?s)expected the folder of a training run .*train first"):
        recipe_of(tmp_path)


def test_networks_of_a_variant_are_found_by_their_names(tmp_path: Path) -> None:
    for name in ("small_frame.onnx", "small_clip.onnx", "small_clip.json", "smaller_clip.onnx", "paper_clip.onnx"):
        (tmp_path / name).touch()

    found = networks(tmp_path / "small")

    assert found == {"clip": tmp_path / "small_clip.onnx", "frame": tmp_path / "small_frame.onnx"}
    with pytest.raises(ConfigError, match="no network; train one"):
        networks(tmp_path / "large")


@pytest.mark.parametrize(
    ("about", "licence", "data"),
    [
        ({"set": "celebdf"}, export.UNKNOWN_LICENCE, "celebdf"),
        ({"set": "fairface"}, "Apache-2.0", f"{export.MADE_OF_FAIRFACE}none"),
        (
            {"set": "fairface", "forgeries": Forgeries(kinds=["swap", "iris"], per_real=3)},
            "Apache-2.0",
            f"{export.MADE_OF_FAIRFACE}3 of each in the kinds swap, iris",
        ),
        (
            {"set": "stills", "forgeries": Forgeries(kinds=["swap", "iris"], per_real=1), "without": ["swap"]},
            export.UNKNOWN_LICENCE,
            "stills 1 of each in the kinds iris",
        ),
        ({"set": "stills", "forgeries": Forgeries(kinds=["swap"], per_real=0)}, export.UNKNOWN_LICENCE, "stills"),
        (
            {"set": "stills", "forgeries": Forgeries(kinds=["swap"]), "without": ["swap"]},
            export.UNKNOWN_LICENCE,
            "stills",
        ),
        (
            {"set": "fairface", "use": "deepfake.gazeforensics"},
            "Apache-2.0",
            f"{export.MADE_OF_FAIRFACE}clips in the kinds opposed, jittered, eyes, swap",
        ),
        (
            {"set": "fairface", "use": "deepfake.gazeforensics", "options": {"kinds": ["swap"]}},
            "Apache-2.0",
            f"{export.MADE_OF_FAIRFACE}clips in the kinds swap",
        ),
        ({"set": "celebdf", "use": "deepfake.gazeforensics"}, export.UNKNOWN_LICENCE, "celebdf"),
    ],
    ids=[
        "forged already", "genuine alone", "forged", "a kind left out", "none made", "all left out", "rendered",
        "rendered in some kinds", "videos",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("twin")
def test_a_card_says_what_was_learned_from(about: dict[str, Any], licence: str, data: str) -> None:
    recipe = Recipe(data=Data(set=about.pop("set")), **{"use": "twin", **about})

    card = export._card(recipe, "detector", {})

    assert (card.licence, card.data) == (licence, data)


def test_a_system_with_a_task_of_its_own_says_so_and_where_it_fails() -> None:
    recipe = Recipe(use="reversible.proface_s", data=Data(set="fairface"))

    card = export._card(recipe, "protect", {}, "a" * 64)

    assert card.task == "a face hidden in its cover, and given back by a key"
    assert card.data == export.FAIRFACE and "forger" not in card.data
    assert "without any key" in card.failures[0]
    assert card.weights == "a" * 64


def test_weights_are_known_by_their_numbers_names_and_shapes() -> None:
    weights = {"a": torch.ones(2, 3), "b": torch.zeros(1)}
    others = (
        {"a": torch.ones(3, 2), "b": torch.zeros(1)},
        {"a": torch.ones(2, 3), "c": torch.zeros(1)},
        {"a": torch.ones(2, 3), "b": torch.zeros(1) + 1e-7},
        {"a": torch.ones(2, 3).double(), "b": torch.zeros(1)},
    )

    known = export.digest_of(weights)

    assert known == export.digest_of(dict(reversed(weights.items()))) and len(known) == 64
    assert len({known, *map(export.digest_of, others)}) == 5


@pytest.mark.usefixtures("twin")
def test_networks_of_one_training_share_the_digest_of_its_weights(tmp_path: Path) -> None:
    weights = {"factor": torch.tensor([0.5])}
    (file,) = export_run(write_run(tmp_path, TWIN, weights))

    assert read_card(file).weights == export.digest_of(weights)


# -- reports ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("twin")
def test_figures_of_reports_come_onto_the_cards(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", TWIN, {"factor": torch.tensor([1.0])}, val_auc=0.6)
    first = {"auc": 0.5, "auc_low": 0.4, "auc_high": 0.6, "crops": 10, "eer": np.nan}
    second = {"auc": 0.8, "auc_low": 0.7, "auc_high": 0.9}
    reports = [tmp_path / "first.json", tmp_path / "second.json"]
    for report, figures in zip(reports, (first, second), strict=True):
        write_report(report, figures)

    (file,) = export_with_reports(run, None, reports)

    assert file == run / "tiny_detector.onnx"
    assert read_card(file).metrics == {"val_auc": 0.6, "auc": AUC, "crops": 10}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"{}", b"\xff", None], ids=["empty", "broken", "none", "bytes", "no file"]
)
def test_files_that_are_no_reports(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=r"report\.json: expected a report of evaluate --json"):
        export_with_reports(tmp_path, None, [file])
