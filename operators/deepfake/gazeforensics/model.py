"""Networks and losses of GazeForensics: the clip model, its gaze teacher, and the two halves that are exported.

Class 0 is fake and class 1 is real, as in the paper's code: the opposite of ACMF. Frames are RGB in 0..1,
ImageNet-normalised. Angles are degrees, yaw positive to the right of the picture and pitch positive downwards.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from engines import ConfigError
from operators.deepfake.calibration import PLAIN, Curve
from operators.deepfake.model import Calibrated, MobileNetCut

FAKE, REAL = 0, 1
Mode = Literal["full", "freeze"]


# -- trunks ----------------------------------------------------------------------------------------


class BasicBlock(nn.Module):
    """Two convolutions with a shortcut (He et al., CVPR 2016)."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        changes = stride > 1 or channels != out
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if changes else None
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(x + shortcut)


class ResNet(nn.Module):
    """A ResNet without its last layer; the defaults are ResNet-18, with 11,176,512 parameters."""

    def __init__(self, widths: Sequence[int] = (64, 128, 256, 512), blocks: Sequence[int] = (2, 2, 2, 2)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        layers: list[nn.Module] = []
        channels = widths[0]
        for stage, (width, repeats) in enumerate(zip(widths, blocks, strict=True)):
            for repeat in range(repeats):
                layers.append(BasicBlock(channels, width, 2 if stage and not repeat else 1))
                channels = width
        self.layers = nn.Sequential(*layers)
        self.width = channels

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)  # (n, 64, 56, 56)
        return self.layers(x).mean((2, 3))  # (n, 512, 7, 7) -> (n, 512)


class PlacedTrunk(nn.Module):
    """A pretrained MobileNetV2 cut at stride 16, with its positions kept apart: the eyes are up, the mouth is down.

    Pooling over the whole face would wash an iris of four pixels out, so a linear layer sees a grid of positions.
    """

    def __init__(self, weights: Path | None = None, *, width: int = 128, grid: int = 6) -> None:
        super().__init__()
        self.features = MobileNetCut(weights)
        self.grid = grid
        self.narrow = nn.Sequential(nn.Conv2d(MobileNetCut.width, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.project = nn.Linear(32 * grid * grid, width)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.narrow(self.features(x)), self.grid)  # (n, 32, 6, 6)
        return F.relu(self.project(x.flatten(1)))  # (n, 128)


def build_trunk(name: str, *, weights: Path | None = None) -> ResNet | PlacedTrunk:
    """A trunk by its name; `.width` is how many numbers it gives.

    Raises:
        ConfigError: there is no such trunk.
    """
    if name == "resnet18":
        return ResNet()
    if name == "resnet10":
        return ResNet((16, 32, 64, 128), (1, 1, 1, 1))
    if name == "mobilenet":
        return PlacedTrunk(weights)
    raise ConfigError(f"trunk: expected resnet18, resnet10 or mobilenet, got {name!r}")


# -- the clip model --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sizes:
    """Widths of what follows the trunk; the defaults are the paper's."""

    frames: int = 14
    leaky: int = 32
    heads: int = 8
    per_head: int = 64
    comp: tuple[int, ...] = (256, 128, 32)
    last: tuple[int, ...] = (256, 128, 64)


SMALL = Sizes(frames=8, leaky=16, heads=4, per_head=16, comp=(64, 32, 16), last=(128, 64, 32))


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers with ReLU between them; Kaiming-uniform weights (fan-in), no initial bias."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def linear(before: int, after: int) -> nn.Linear:
    layer = nn.Linear(before, after)
    nn.init.kaiming_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Attention(nn.Module):
    """Multi-head attention written out, so that it exports as plain products: no mask, no order, no shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (linear(width, width) for _ in range(4))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Three of `(b, t, width)` -> the same, and weights `(b, heads, t, t)`."""
        return attend(self.q(q), self.k(k), self.v(v), self.out, self.heads)


def attend(q: Tensor, k: Tensor, v: Tensor, out: nn.Module, heads: int) -> tuple[Tensor, Tensor]:
    b, t, width = q.shape
    q, k, v = (x.view(b, t, heads, width // heads).transpose(1, 2) for x in (q, k, v))  # (b, heads, t, per_head)
    weights = torch.softmax((q @ k.transpose(2, 3)).float() / math.sqrt(width // heads), dim=-1)
    mixed = (weights.to(v) @ v).transpose(1, 2).reshape(b, t, width)
    return out(mixed), weights


class GazeForensics(nn.Module):
    """Clips `(b, t, 3, h, w)` -> logits `(b, 2)`, fake and real, and g `(b, t, width)`, what the teacher pulls at.

    Args:
        trunk: encodes a frame.
        leaky_trunk: in mode `freeze`, what gives the leaky numbers, if not the frozen trunk.
        mode: `freeze` leaves the trunk as it is (the paper's ablation), `full` trains it.
    """

    def __init__(
        self,
        trunk: ResNet | PlacedTrunk,
        *,
        sizes: Sizes = Sizes(),
        leaky_trunk: ResNet | PlacedTrunk | None = None,
        mode: Mode = "full",
    ) -> None:
        super().__init__()
        self.sizes, self.mode = sizes, mode
        self.trunk, self.leaky_trunk = trunk, leaky_trunk
        self.width = trunk.width
        width = sizes.heads * sizes.per_head
        self.gaze_fc = linear(trunk.width, trunk.width + sizes.leaky)
        self.q, self.k, self.v = (mlp(trunk.width + sizes.leaky, width, width) for _ in range(3))
        self.attention = Attention(width, sizes.heads)
        self.comp = mlp(width, *sizes.comp)
        self.last = mlp(sizes.comp[-1] * sizes.frames, *sizes.last, 2)
        if mode == "freeze":
            trunk.requires_grad_(False)

    def train(self, mode: bool = True) -> GazeForensics:
        super().train(mode)
        if self.mode == "freeze":
            self.trunk.eval()
        return self

    def encode(self, frames: Tensor) -> Tensor:
        """Frames `(n, 3, h, w)` -> embeddings `(n, width + leaky)`: the first `width` are g, the others leaky."""
        return embed(frames, self.trunk, self.gaze_fc, self.leaky_trunk)

    def compare(self, emb: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings `(b, t, width + leaky)` -> logits `(b, 2)`, attention weights `(b, heads, t, t)`."""
        mixed, weights = self.attention(self.q(emb), self.k(emb), self.v(emb))
        return self.last(self.comp(mixed).flatten(1)), weights

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        b, t = clips.shape[:2]
        emb = self.encode(clips.flatten(0, 1)).view(b, t, -1)
        logits, _ = self.compare(emb)
        return logits, emb[..., : self.width]


def embed(frames: Tensor, trunk: nn.Module, gaze_fc: nn.Module, leaky_trunk: nn.Module | None) -> Tensor:
    feature = trunk(frames)
    emb = gaze_fc(feature)
    if leaky_trunk is not None:
        width = feature.shape[1]
        emb = torch.cat([emb[:, :width], gaze_fc(leaky_trunk(frames))[:, width:]], dim=1)
    return emb


class FrameEngine(nn.Module):
    """What becomes `gaze_frame.onnx`: every frame is encoded once, however many clips it is in."""

    def __init__(self, model: GazeForensics) -> None:
        super().__init__()
        self.trunk, self.leaky_trunk, self.gaze_fc = model.trunk, model.leaky_trunk, model.gaze_fc

    def forward(self, face: Tensor) -> dict[str, Tensor]:
        return {"emb": embed(face, self.trunk, self.gaze_fc, self.leaky_trunk).float()}


class ClipEngine(nn.Module):
    """What becomes `gaze_clip.onnx`. The last linear layers of Q, K, V are folded into the attention's own.

    Args:
        curve: of the calibrated `fake_prob`.
    """

    def __init__(self, model: GazeForensics, curve: Curve = PLAIN) -> None:
        super().__init__()
        inner = model.attention
        self.q, self.k, self.v = fold(model.q, inner.q), fold(model.k, inner.k), fold(model.v, inner.v)
        self.heads, self.out = model.sizes.heads, inner.out
        self.comp, self.last = model.comp, model.last
        self.calibrated = Calibrated(curve, fake=FAKE)

    def forward(self, emb_seq: Tensor) -> dict[str, Tensor]:
        mixed, weights = attend(self.q(emb_seq), self.k(emb_seq), self.v(emb_seq), self.out, self.heads)
        logits = self.last(self.comp(mixed).flatten(1)).float()
        return {"logits": logits, "fake_prob": self.calibrated(logits), "attn": weights}


def fold(layers: nn.Sequential, after: nn.Linear) -> nn.Sequential:
    """The layers with their last, linear one merged with the linear one after them."""
    *before, last = layers
    assert isinstance(last, nn.Linear)  # noqa: S101 - see mlp
    both = nn.Linear(last.in_features, after.out_features)
    with torch.no_grad():
        both.weight.copy_(after.weight @ last.weight)
        both.bias.copy_(after.weight @ last.bias + after.bias)
    return nn.Sequential(*before, both)


# -- the teacher -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bins:
    """How an angle is cut up: `count` bins of `step` degrees from `low`; the default is the paper's."""

    count: int = 90
    step: float = 4.0
    low: float = -180.0

    def of(self, degrees: Tensor) -> Tensor:
        return ((degrees - self.low) / self.step).long().clamp(0, self.count - 1)

    def expected(self, logits: Tensor) -> Tensor:
        """The mean angle `(n,)` of logits `(n, count)`."""
        number = torch.arange(self.count, device=logits.device, dtype=logits.dtype)
        return self.step * (torch.softmax(logits, dim=-1) * number).sum(-1) + self.low


class GazeNet(nn.Module):
    """L2CS-Net (Abdelrahman et al., 2022): a trunk and a head for each angle. Its trunk's output is the target.

    `(n, 3, h, w)` -> logits over bins of pitch and of yaw, `(n, count)` each.
    """

    def __init__(self, trunk: ResNet | PlacedTrunk, bins: Bins = Bins()) -> None:
        super().__init__()
        self.trunk, self.bins = trunk, bins
        self.pitch = nn.Linear(trunk.width, bins.count)
        self.yaw = nn.Linear(trunk.width, bins.count)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        feature = self.trunk(x)
        return self.pitch(feature), self.yaw(feature)

    def angles(self, x: Tensor) -> Tensor:
        """Pitch and yaw in degrees, `(n, 2)`."""
        pitch, yaw = self(x)
        return torch.stack([self.bins.expected(pitch), self.bins.expected(yaw)], dim=1)


def l2cs_loss(logits: Tensor, degrees: Tensor, bins: Bins, *, weight: float = 1.0) -> Tensor:
    """For one angle: CE(bin) + weight * MSE(expected angle, angle), in degrees."""
    return F.cross_entropy(logits, bins.of(degrees)) + weight * F.mse_loss(bins.expected(logits), degrees)


class Teacher(nn.Module):
    """The trunk of a trained GazeNet, never to be changed: no gradient, and eval mode whatever is asked for."""

    def __init__(self, net: GazeNet) -> None:
        super().__init__()
        self.trunk = copy.deepcopy(net.trunk).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Teacher:  # noqa: ARG002 - the signature is nn.Module's
        return super().train(False)

    @torch.no_grad()
    def forward(self, clips: Tensor) -> Tensor:
        """`(b, t, 3, h, w)` -> `(b, t, width)`."""
        return self.trunk(clips.flatten(0, 1)).view(*clips.shape[:2], -1)


# -- losses and schedule ---------------------------------------------------------------------------


def gaze_weight(epoch: int, epochs: int, start: float = 4.0) -> float:
    """mu after so many of `epochs`: it shapes the beginning, and at the end a hundredth of it is left."""
    return start * 0.01 ** (epoch / epochs)


def classification(logits: Tensor, real: Tensor) -> Tensor:
    """BCE of the softmax of `(b, 2)` against labels `(b,)`, 1 for real: each of its terms is -log p of the label."""
    return F.cross_entropy(logits.float(), real.long())


def clip_loss(logits: Tensor, real: Tensor, g: Tensor, target: Tensor, mu: float) -> Tensor:
    """L = BCE + mu MSE(g, T), the MSE over all numbers of all frames."""
    return classification(logits, real) + mu * F.mse_loss(g.float(), target.float())


def example(model: GazeForensics, size: int = 224) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs of one call of the frame engine, and of the clip engine."""
    draw = torch.Generator().manual_seed(0)
    frames = torch.randn((2, 3, size, size), generator=draw)
    clips = torch.randn((2, model.sizes.frames, model.width + model.sizes.leaky), generator=draw)
    return {"face": frames}, {"emb_seq": clips}
