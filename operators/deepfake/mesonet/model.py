"""Meso4 in PyTorch, with the weights that its authors publish for Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines import EngineError
from operators import crops
from operators.cropset import CropSet

SIZE = 256
KERAS_EPSILON = 1e-3


class Meso4(nn.Module):
    """`(n, 3, 256, 256)` RGB 0..1 to `(n,)`, near 1 for genuine faces."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for inputs, outputs, kernel, pool in ((3, 8, 3, 2), (8, 8, 5, 2), (8, 16, 5, 2), (16, 16, 5, 4)):
            blocks += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU()]
            blocks += [nn.BatchNorm2d(outputs, eps=KERAS_EPSILON), nn.MaxPool2d(pool)]
        self.features = nn.Sequential(*blocks)  # (n, 16, 8, 8)
        self.head = nn.Sequential(nn.Linear(1024, 16), nn.LeakyReLU(0.1), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        flat = self.features(x).permute(0, 2, 3, 1).flatten(1)  # channels last, as Keras flattens
        return self.head(flat)[:, 0]


def load(weights: Path) -> Meso4:
    """The network with its published weights, ready to be asked.

    Raises:
        EngineError: it is no such file.
    """
    import h5py

    model = Meso4().eval()
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]
    try:
        with h5py.File(weights) as file:
            names = [name.decode() for name in file.attrs["layer_names"]]
            stored = [file[name][name] for name in names if len(file[name])]
            for layer, arrays in zip(layers, stored, strict=True):
                _fill(layer, {key.split(":")[0]: np.asarray(value) for key, value in arrays.items()})
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise EngineError(f"{weights}: expected Meso4's weights for Keras 2 ({error}); fetch it again") from error
    return model


def score(model: Meso4, crop_set: CropSet) -> NDArray[np.float64]:
    """How forged each crop looks, `(n,)` 0..1."""
    inputs = (torch.from_numpy(crops.to_input(pixels)) for pixels in crops.batches(crop_set.pixels, SIZE))
    with torch.inference_mode():
        scores = [1 - model(faces).numpy() for faces in inputs]
    return np.concatenate([np.zeros(0), *scores])


def _fill(layer: nn.Module, arrays: dict[str, NDArray[np.float32]]) -> None:
    if isinstance(layer, nn.BatchNorm2d):
        names = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        state = {name: torch.from_numpy(arrays[theirs]) for name, theirs in names.items()}
        state["num_batches_tracked"] = torch.tensor(0)
    else:
        kernel = arrays["kernel"].transpose(3, 2, 0, 1) if arrays["kernel"].ndim == 4 else arrays["kernel"].T
        state = {"weight": torch.from_numpy(np.ascontiguousarray(kernel)), "bias": torch.from_numpy(arrays["bias"])}
    layer.load_state_dict(state, strict=True)
