"""The recipe on a handful of drawn heads, and what is exported of it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from engines import ConfigError, open_engine
from engines.export import export
from engines.training import TrainingRun, read_weights
from operators.cropset import CropSet
from operators.reversible.proface_s import attacks, model, train
from operators.reversible.proface_s.obfuscators import STRENGTHS, Obfuscation, obfuscate
from pipeline.training.export import _card, digest_of
from pipeline.training.recipe import Data, Recipe

SMALL: dict[str, Any] = {"side": 32, "growth": 4, "blocks": 2}
QUICK: dict[str, Any] = {
    "patch": 16, "batch": 8, "steps": 200, "lr": 1e-2, "warm_up": 5, "drops": True, "clip": 1.0, "styles": ["pixelate"],
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(crops: CropSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run."""
    run = TrainingRun(tmp_path_factory.mktemp("proface"), device="cpu", threads=1)
    train.train(run, crops, rough=0.3, **SMALL, **QUICK)
    return run.folder


def test_it_learns_to_hide_and_to_give_back_to_the_right_key_alone(trained: Path) -> None:
    _, figures = read_weights(trained / "weights.pt")
    log = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]

    assert [line["step"] for line in log] == [*range(0, 200, 10), 199]
    assert log[-1]["loss"] < log[0]["loss"] / 2
    assert log[-1]["right"] > log[0]["right"] + 5 and log[-1]["right"] > log[-1]["wrong"] + 3, log[-1]
    assert figures["val_wrong_psnr_worst"] < figures["val_psnr"] - 2, figures
    assert figures["val_wrong_psnr"] <= figures["val_wrong_psnr_worst"]
    assert figures["val_cover_psnr"] > 20


def test_wrong_keys_give_the_cover_in_obfs_mode(crops: CropSet, tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, device="cpu", threads=1)
    train.train(run, crops, mode="obfs", **SMALL, **{**QUICK, "steps": 60})
    weights, _ = read_weights(tmp_path / "weights.pt")

    network = model.ProFaceS(4, 2)
    network.load_state_dict(weights)
    face = crops.pixels[:4]
    cover = np.stack([obfuscate(each, Obfuscation("pixelate", 20)) for each in face])
    x, y = (torch.from_numpy(train.to_signed(each)) for each in (face, cover))
    with torch.no_grad():
        carrier = network.protect(x, y, model.random_maps(4, 32, torch.Generator().manual_seed(1)))
        other, _ = network.recover(carrier, model.random_maps(4, 32, torch.Generator().manual_seed(2)))

    assert model.psnr(other, y) > model.psnr(other, x)


@pytest.mark.parametrize(
    "options",
    [
        {"wrong_key": "paper", "rounding": False, "noise": 0.0},
        {"wrong_key": "paper", "mode": "obfs"},
        {"hardening": 2, "augment": False, "patch": 0},
        {"styles": None, "drops": True, "gradient": 0.0},
    ],
    ids=["as published", "as published, obfs", "hardened on whole crops", "all styles"],
)
def test_every_part_can_be_switched(options: dict[str, Any], crops: CropSet, tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, device="cpu", threads=1)

    train.train(run, crops, **{**SMALL, **QUICK, "steps": 4, **options})

    weights, figures = read_weights(tmp_path / "weights.pt")
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert any(value.any() for name, value in weights.items() if "conv5" in name)
    assert np.isfinite(list(figures.values())).all()


def test_a_run_that_was_interrupted_ends_the_same(crops: CropSet, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(_what: str, done: int, _total: int, _figures: Any) -> None:
        if done == 4:
            raise Killed

    options = {**SMALL, **QUICK, "steps": 6}
    train.train(TrainingRun(tmp_path / "whole", device="cpu", threads=1), crops, **options)
    with pytest.raises(Killed):
        cut = TrainingRun(tmp_path / "cut", device="cpu", threads=1, checkpoint_s=0, on_progress=kill)
        train.train(cut, crops, **options)
    train.train(TrainingRun(tmp_path / "cut", device="cpu", threads=1), crops, **options)

    one, other = (read_weights(tmp_path / name / "weights.pt")[0] for name in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_step_that_overflowed_teaches_nothing(
    crops: CropSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "patch_wrong_key", lambda _, wrong: wrong.mean() * float("nan"))

    train.train(TrainingRun(tmp_path, device="cpu", threads=1), crops, **{**SMALL, **QUICK, "steps": 2})

    weights, _ = read_weights(tmp_path / "weights.pt")
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert not any(value.any() for name, value in weights.items() if "conv5" in name)


@pytest.mark.parametrize("given", [{"vgg": Path("a")}, {"heads": Path("a")}])
def test_lpips_wants_both_of_its_files(given: dict[str, Any], crops: CropSet, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both files or none"):
        train.train(TrainingRun(tmp_path, device="cpu", threads=1), crops, **SMALL, **given)


def test_without_faces_to_learn_from(crops: CropSet, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected crops in the split train"):
        train.train(TrainingRun(tmp_path, device="cpu", threads=1), crops.split("val"), **SMALL)


def test_pictures_are_faces_and_their_covers_of_one_style(crops: CropSet) -> None:
    rng = np.random.default_rng(0)

    face, cover = train._pictures(rng, crops, 5, 32, 16, ["blur"], augment=True)
    whole, over = train._pictures(np.random.default_rng(0), crops, 5, 32, 32, ["blur"], augment=False)

    assert face.shape == cover.shape == (5, 3, 16, 16) and face.dtype == np.float32
    assert np.abs(face).max() <= 1 and 0.01 < np.abs(face - cover).mean() < 0.5
    known = train.to_signed(crops.pixels)
    assert all((np.abs(known - each).max((1, 2, 3)) == 0).any() for each in whole)
    assert over.std() < whole.std()


def test_validation_looks_at_strengths_that_no_training_sees() -> None:
    rng = np.random.default_rng(0)

    found = {(each.style, each.strength) for each in (train._held_out(rng, ["blur", "box"]) for _ in range(40))}

    assert found == {(style, strength) for style in ("blur", "box") for strength in STRENGTHS[style].held_out}
    assert train.validate(model.ProFaceS(4), CropSet(**{n: a[:0] for n, a in _none().items()}), 32, ["blur"]) == {}


def _none() -> dict[str, Any]:
    from tests.operators.deepfake.faces import crop_set

    return crop_set(1, 32).arrays()


@pytest.mark.parametrize("name", train.ABLATIONS)
def test_ablations_change_options_that_there_are(name: str) -> None:
    known = inspect.signature(train.train).parameters

    assert train.ABLATIONS[name].keys() <= known.keys()


# -- what is exported ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(trained: Path) -> dict[str, Path]:
    weights, figures = read_weights(trained / "weights.pt")
    recipe = Recipe(use="reversible.proface_s", data=Data(set="fairface"), options=SMALL)
    files = {}
    for name, network in train.networks(weights, **SMALL).items():
        files[name] = trained / f"small_{name}.onnx"
        export(network, files[name], _card(recipe, name, figures, digest_of(weights)))
    return files


def test_both_directions_are_exported_and_compute_what_was_trained(exported: dict[str, Path], trained: Path) -> None:
    """PSNR of 60 dB in float32, as the sheet asks; a batch of any size."""
    network = train.networks(read_weights(trained / "weights.pt")[0], **SMALL)["protect"].module.get_submodule("model")
    assert isinstance(network, model.ProFaceS)
    inputs = {name: tensor.repeat(2, 1, 1, 1)[:3] for name, tensor in model.example(32).items()}

    found = open_engine(exported["protect"])(**{name: each.numpy() for name, each in inputs.items()})["protected"]
    back = open_engine(exported["recover"])(protected=found, key_map=inputs["key_map"].numpy())

    with torch.no_grad():
        carrier = network.protect(**inputs).clamp(-1, 1)
        face, cover = network.recover(torch.from_numpy(found), inputs["key_map"])
    assert model.psnr(torch.from_numpy(found), carrier) >= 60
    assert model.psnr(torch.from_numpy(back["recovered"]), face) >= 60
    assert model.psnr(torch.from_numpy(back["cover_est"]), cover) >= 60
    assert np.abs(found).max() <= 1 and np.abs(back["recovered"]).max() <= 1


def test_graphs_hold_no_scatter_and_no_remainder(exported: dict[str, Path]) -> None:
    graphs = {name: onnx.load(str(file)).graph for name, file in exported.items()}

    kinds = {name: {node.op_type for node in graph.node} for name, graph in graphs.items()}
    assert all("DepthToSpace" in found and not {k for k in found if "Scatter" in k} for found in kinds.values())
    assert [each.name for each in graphs["protect"].output] == ["protected"]
    assert [each.name for each in graphs["recover"].input] == ["protected", "key_map"]
    assert [each.name for each in graphs["recover"].output] == ["recovered", "cover_est"]


def test_whoever_has_the_recover_network_has_the_weights(exported: dict[str, Path], trained: Path) -> None:
    weights, _ = read_weights(trained / "weights.pt")

    found = attacks.network_of(exported["recover"]).state_dict()

    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    with pytest.raises(ConfigError, match="expected all weights"):
        attacks.network_of(exported["protect"])  # its last change of the secret is thrown away


def test_lpips_with_weights_of_ones_own(tmp_path: Path) -> None:
    """Nothing is known of real ones here: identical pictures are 0 apart, and what looks further off is further."""
    from operators.reversible.proface_s import perceptual
    from operators.reversible.proface_s.perceptual import Lpips

    torch.manual_seed(0)
    features: dict[str, torch.Tensor] = {}
    channels, place = 3, 0
    for widths in perceptual.STAGES:
        place += bool(features)
        for width in widths:
            features[f"features.{place}.weight"] = torch.randn(width, channels, 3, 3) * (2 / (9 * channels)) ** 0.5
            features[f"features.{place}.bias"] = torch.zeros(width)
            channels, place = width, place + 2
    heads = {f"lin{i}.model.1.weight": torch.rand(1, widths[-1], 1, 1) for i, widths in enumerate(perceptual.STAGES)}
    torch.save({**features, "classifier.0.weight": torch.zeros(1)}, tmp_path / "vgg.pth")
    torch.save(heads, tmp_path / "heads.pth")
    lp = Lpips(tmp_path / "vgg.pth", tmp_path / "heads.pth")
    x = model.example(32)["face"]

    near, far = lp(x, x + 0.02 * torch.randn_like(x)), lp(x, x + 0.3 * torch.randn_like(x))

    assert place == 30 and "features.28.weight" in features  # torchvision's numbers
    assert lp(x, x).tolist() == [0, 0] and (near > 0).all() and (near < far).all()
    assert not any(parameter.requires_grad for parameter in lp.parameters())
    torch.save({}, tmp_path / "none.pth")
    with pytest.raises(ConfigError, match="five heads of LPIPS"):
        Lpips(tmp_path / "vgg.pth", tmp_path / "none.pth")
    with pytest.raises(ConfigError, match="expected a PyTorch file"):
        Lpips(tmp_path / "missing.pth", tmp_path / "heads.pth")
