"""Meso4: its authors' network, filled from a file as Keras writes it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from engines import EngineError
from operators.arrays import Array
from operators.deepfake.mesonet.model import SIZE, Meso4, load, score
from tests.operators.deepfake.faces import crop_set

BLOCKS = ((3, 8, 3), (8, 8, 5), (8, 16, 5), (16, 16, 5))


def keras_file(path: Path, *, seed: int = 0) -> list[dict[str, Array]]:
    """Weights of every layer, with layers between them that have none, as the authors' files are laid out."""
    rng = np.random.default_rng(seed)
    layers: list[dict[str, Array]] = []
    for inputs, outputs, kernel in BLOCKS:
        shape = (kernel, kernel, inputs, outputs)
        layers.append({"kernel:0": rng.normal(size=shape), "bias:0": rng.normal(size=outputs)})
        names = ("gamma:0", "beta:0", "moving_mean:0", "moving_variance:0")
        layers.append({name: rng.uniform(0.5, 1.5, outputs) for name in names})
        layers.append({})  # pooling
    layers += [{"kernel:0": rng.normal(size=(1024, 16)), "bias:0": rng.normal(size=16)}, {}]
    layers += [{"kernel:0": rng.normal(size=(16, 1)), "bias:0": rng.normal(size=1)}]
    layers = [{name: array.astype(np.float32) for name, array in layer.items()} for layer in layers]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([f"layer_{number}" for number in range(len(layers))], "S")
        for number, layer in enumerate(layers):
            group = file.create_group(f"layer_{number}")
            inner = group.create_group(f"layer_{number}") if layer else group
            for name, array in layer.items():
                inner[name] = array
    return [layer for layer in layers if layer]


def test_it_has_the_paper_s_parameters_and_shapes() -> None:
    net = Meso4().eval()

    assert sum(p.numel() for p in net.parameters()) == 27_977
    with torch.inference_mode():
        found = net(torch.rand((2, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0)))
        assert net.features(torch.zeros(1, 3, SIZE, SIZE)).shape == (1, 16, 8, 8)
    assert found.shape == (2,) and ((found > 0) & (found < 1)).all()


def test_features_are_flattened_as_keras_does_it() -> None:
    """Channels last: row 2, column 3, channel 5 is number (2 * 8 + 3) * 16 + 5."""
    net = Meso4()
    net.features, net.head = nn.Sequential(nn.Identity()), nn.Sequential(nn.Linear(1024, 1, bias=False))
    picker = net.head[0]
    assert isinstance(picker, nn.Linear)
    with torch.no_grad():
        picker.weight.zero_()[0, (2 * 8 + 3) * 16 + 5] = 1
    x = torch.arange(1024.0).view(1, 16, 8, 8)

    assert net(x).item() == x[0, 5, 2, 3].item()


def test_weights_find_their_places(tmp_path: Path) -> None:
    stored = keras_file(tmp_path / "meso.h5")

    net = load(tmp_path / "meso.h5")

    state = net.state_dict()
    np.testing.assert_array_equal(state["features.0.weight"][7, 2].numpy(), stored[0]["kernel:0"][:, :, 2, 7])
    np.testing.assert_array_equal(state["features.0.bias"].numpy(), stored[0]["bias:0"])
    names = {"weight": "gamma:0", "bias": "beta:0", "running_mean": "moving_mean:0", "running_var": "moving_variance:0"}
    for ours, theirs in names.items():
        np.testing.assert_array_equal(state[f"features.2.{ours}"].numpy(), stored[1][theirs])
    np.testing.assert_array_equal(state["head.0.weight"].numpy(), stored[8]["kernel:0"].T)
    np.testing.assert_array_equal(state["head.2.bias"].numpy(), stored[9]["bias:0"])
    assert not net.training


@pytest.mark.parametrize("harm", ["missing", "text", "no names", "a layer less", "another shape"])
def test_a_file_that_holds_no_meso4(harm: str, tmp_path: Path) -> None:
    path = tmp_path / "meso.h5"
    keras_file(path)
    if harm == "missing":
        path.unlink()
    elif harm == "text":
        path.write_bytes(b"no weights")
    else:
        with h5py.File(path, "a") as file:
            if harm == "no names":
                del file.attrs["layer_names"]
            elif harm == "a layer less":
                file.attrs["layer_names"] = file.attrs["layer_names"][:-1]
            else:
                del file["layer_0/layer_0/bias:0"]
                file["layer_0/layer_0/bias:0"] = np.zeros(9, np.float32)

    with pytest.raises(EngineError, match=r"meso\.h5: expected Meso4's weights"):
        load(path)


class Redness(Meso4):
    """Near 1 for red crops: what it calls genuine."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1:] == (3, SIZE, SIZE)
        return x[:, 0].mean((1, 2))


def test_a_score_says_how_forged_a_crop_is() -> None:
    data = crop_set(2, 40)

    scores = score(Redness(), data)

    assert scores == pytest.approx(1 - data.pixels[..., 0].mean(axis=(1, 2)) / 255, abs=0.01)
    assert score(Redness(), data.where(data.labels == 2)).shape == (0,)
