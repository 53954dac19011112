"""LPIPS, where its weights are given: how different two pictures look to VGG-16 (Zhang et al., CVPR 2018).

Nothing is fetched: `vgg` is torchvision's `vgg16` state dict, `heads` the five 1x1 layers that LPIPS has on top of it.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from engines import ConfigError

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Pictures in -1..1 as VGG was trained on them."""
SMALLEST_PX = 16


class Lpips(nn.Module):
    """The distance `(n,)` of pictures `(n, 3, h, w)` in -1..1; its weights do not learn.

    Raises:
        ConfigError: one of the files is not what it should be.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, vgg: Path, heads: Path) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for number, widths in enumerate(STAGES):
            layers += [nn.MaxPool2d(2)] if number else []
            for width in widths:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*layers)
        self.heads = nn.ParameterList(torch.zeros(1, widths[-1], 1, 1) for widths in STAGES)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)
        found = {name: value for name, value in _read(vgg).items() if name.startswith("features.")}
        top = sorted((name, value) for name, value in _read(heads).items() if name.endswith("weight"))
        try:
            self.load_state_dict({**found, **{f"heads.{i}": value for i, (_, value) in enumerate(top)}}, strict=True)
        except RuntimeError as error:
            raise ConfigError(
                f"{vgg}, {heads}: expected VGG-16's features, and the five heads of LPIPS ({error})"
            ) from error
        self.requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        total = torch.zeros(len(a), device=a.device)
        a, b = (a - self.shift) / self.scale, (b - self.shift) / self.scale
        stage = 0
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                total = total + self._apart(a, b, stage)
                stage += 1
            a, b = layer(a), layer(b)
        return total + self._apart(a, b, stage)

    def _apart(self, a: Tensor, b: Tensor, stage: int) -> Tensor:
        """The weighed distance of unit vectors along the channels, a mean over positions."""
        a, b = (each / (each.square().sum(1, keepdim=True).sqrt() + 1e-10) for each in (a, b))
        weighed: Tensor = self.heads[stage] * (a - b).square()
        return weighed.sum(1).mean((1, 2))


def _read(file: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        return {str(name): value for name, value in content.items()}
    except (OSError, RuntimeError, ValueError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{file}: expected a PyTorch file of weights by name ({error})") from error
