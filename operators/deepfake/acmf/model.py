"""Network, masking, attention and losses of ACMF.

Class 0 is real, class 1 is fake, as in the paper's code. Images are `(n, 3, h, w)`, RGB in 0..1, not normalised.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from engines import ConfigError
from operators.deepfake.calibration import PLAIN, Curve
from operators.deepfake.model import Calibrated, MobileNetCut, Normalise

Variant = Literal["spatial_abs", "spatial_signed", "spectral"]
VARIANTS: tuple[Variant, ...] = ("spatial_abs", "spatial_signed", "spectral")
FLAT = 1e-6
"""A map whose values span less than this is all zero: dividing by its span would only enlarge rounding errors."""


# -- networks --------------------------------------------------------------------------------------


class Separable(nn.Sequential):
    """A filter for each channel, then a mix of all channels."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, out, 1, bias=False),
        )


class Block(nn.Module):
    """`repeats` separable convolutions with a shortcut; the width grows in the first of them or in the last."""

    def __init__(
        self,
        channels: int,
        out: int,
        repeats: int,
        *,
        stride: int = 1,
        first_relu: bool = True,
        grow_last: bool = False,
    ) -> None:
        super().__init__()
        inner = channels if grow_last else out
        widths = [channels, *[inner] * (repeats - 1), out]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.ReLU(), Separable(before, after), nn.BatchNorm2d(after)]
        if stride > 1:
            layers.append(nn.MaxPool2d(3, stride, 1))
        self.path = nn.Sequential(*layers[0 if first_relu else 1 :])
        changes = stride > 1 or channels != out
        self.skip = (
            nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
            if changes
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.path(x) + self.skip(x)


class Xception(nn.Module):
    """The paper's backbone (Chollet, CVPR 2017): 20,811,050 parameters with its two classes.

    `attend` ends where Grad-CAM looks, at the output of conv3 before bn3; `finish` is what follows.

    Args:
        widths: of conv1, conv2, block1, block2, and block3 to block11.
        middle: how many blocks of equal width there are, block4 and on.
        top: widths of block12, conv3 and conv4.
        strides: of conv1, block1, block2, block3 and block12; a smaller product leaves a finer map.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (32, 64, 128, 256, 728),
        middle: int = 8,
        top: Sequence[int] = (1024, 1536, 2048),
        strides: Sequence[int] = (2, 2, 2, 2, 2),
    ) -> None:
        super().__init__()
        first, second, one, two, wide = widths
        grown, third, self.width = top
        self.conv1 = nn.Conv2d(3, first, 3, strides[0], bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(second)
        self.blocks = nn.Sequential(
            Block(second, one, 2, stride=strides[1], first_relu=False),
            Block(one, two, 2, stride=strides[2]),
            Block(two, wide, 2, stride=strides[3]),
            *(Block(wide, wide, 3) for _ in range(middle)),
            Block(wide, grown, 2, stride=strides[4], grow_last=True),
        )
        self.conv3 = Separable(grown, third)
        self.bn3 = nn.BatchNorm2d(third)
        self.conv4 = Separable(third, self.width)
        self.bn4 = nn.BatchNorm2d(self.width)

    def attend(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))  # (n, 32, 111, 111)
        x = F.relu(self.bn2(self.conv2(x)))  # (n, 64, 109, 109)
        return self.conv3(self.blocks(x))  # (n, 1024, 7, 7) -> (n, 1536, 7, 7)

    def finish(self, a: Tensor) -> Tensor:
        return F.relu(self.bn4(self.conv4(F.relu(self.bn3(a)))))  # (n, 2048, 7, 7)


class MobileTrunk(nn.Module):
    """A pretrained MobileNetV2 cut at stride 16 instead of Xception, for a machine without a GPU."""

    width = 256

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.features = MobileNetCut(weights)
        self.bn3 = nn.BatchNorm2d(MobileNetCut.width)
        self.conv4 = nn.Conv2d(MobileNetCut.width, self.width, 1, bias=False)
        self.bn4 = nn.BatchNorm2d(self.width)

    def attend(self, x: Tensor) -> Tensor:
        return self.features(self.normalise(x))  # (n, 96, 8, 8) at 128 px

    def finish(self, a: Tensor) -> Tensor:
        return F.relu(self.bn4(self.conv4(F.relu(self.bn3(a)))))  # (n, 256, 8, 8)


class Detector(nn.Module):
    """`(n, 3, h, w)` -> logits `(n, 2)`, real and fake: a trunk, the mean over positions, one linear layer.

    Args:
        trunk: Xception or SmallTrunk.
        dense: a second head says of each position how much of it was changed; for training only (not in the paper).
    """

    def __init__(self, trunk: Xception | MobileTrunk, *, dense: bool = False) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(trunk.width, 2)
        self.dense = nn.Conv2d(trunk.width, 1, 1) if dense else None

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.trunk.attend(x))

    def classify(self, a: Tensor) -> Tensor:
        """Logits from what the attention layer gave."""
        return self.head(self.trunk.finish(a).mean((2, 3)))

    def with_evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `(n, 2)`, and logits `(n, 1, h', w')` of each position having been changed."""
        assert self.dense is not None, "built without dense=True"  # noqa: S101
        last = self.trunk.finish(self.trunk.attend(x))
        return self.head(last.mean((2, 3))), self.dense(last)


class Exported(nn.Module):
    """What becomes the ONNX file: the class map in closed form, for Grad-CAM needs a backward pass, and no masking.

    Args:
        curve: of the calibrated `fake_prob`.
    """

    def __init__(self, detector: Detector, curve: Curve = PLAIN) -> None:
        super().__init__()
        self.detector = detector
        self.calibrated = Calibrated(curve, fake=1)

    def forward(self, face: Tensor) -> dict[str, Tensor]:
        last = self.detector.trunk.finish(self.detector.trunk.attend(face))
        logits = self.detector.head(last.mean((2, 3))).float()
        weight = self.detector.head.weight
        cam = F.relu(F.conv2d(last, (weight[1] - weight[0]).view(1, -1, 1, 1)))  # (n, 1, 7, 7)
        return {"logits": logits, "fake_prob": self.calibrated(logits), "cam_fake": cam.float()}


MINI: dict[str, Any] = {
    "widths": (8, 16, 32, 64, 128), "middle": 2, "top": (192, 256, 256), "strides": (2, 2, 2, 2, 1),
}  # fmt: skip
"""An Xception of 0.4 M parameters for 96 pixels."""


def build(trunk: str, *, weights: Path | None = None, dense: bool = False) -> Detector:
    """A detector by its trunk's name.

    Raises:
        ConfigError: there is no such trunk.
    """
    if trunk == "xception":
        return Detector(Xception(), dense=dense)
    if trunk == "xception-mini":
        return Detector(Xception(**MINI), dense=dense)
    if trunk == "mobilenet":
        return Detector(MobileTrunk(weights), dense=dense)
    raise ConfigError(f"trunk: expected xception, xception-mini or mobilenet, got {trunk!r}")


# -- MFFR: masked frequencies ----------------------------------------------------------------------


def mask_frequencies(
    x: Tensor,
    *,
    variant: Variant = "spatial_signed",
    rate: float = 0.1,
    share: float = 1.0,
    half: int = 5,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Knocks out a random part of the high frequencies of images `(n, c, h, w)`; for training only.

    - `spatial_abs`, as the paper's code does it: the high part is rectified, |Re y|, so a hit pixel only gets darker;
      one mask serves the whole batch, and the block of low frequencies, 2 half wide, is not symmetric.
    - `spatial_signed`: the high part keeps its sign, the block is 2 half - 1 wide, each image has its own mask.
    - `spectral`: bins of the spectrum are dropped instead of pixels of the high part, a bin with its conjugate.

    Args:
        rate: the chance of a pixel or bin to be dropped, 0..1.
        share: the chance of an image to be masked at all, 0..1; the others stay as they are (not in the paper).
        half: how far the kept block reaches from the mean, in bins.
        generator: draws the mask, on the CPU.

    Raises:
        ConfigError: no such variant.
    """
    if variant not in VARIANTS:
        raise ConfigError(f"masking: expected one of {', '.join(VARIANTS)}, got {variant!r}")
    n, _, h, w = x.shape
    drop = torch.rand((1 if variant == "spatial_abs" else n, 1, h, w), generator=generator) < rate
    if variant == "spatial_abs":
        lost = high_part(x, half, symmetric=False).abs() * drop.to(x)
    elif variant == "spatial_signed":
        lost = high_part(x, half) * drop.to(x)
    else:
        drop = _conjugate(drop).to(x.device) & ~_low_block(h, w, half, symmetric=True).to(x.device)
        lost = torch.fft.ifft2(torch.fft.fft2(x) * torch.fft.ifftshift(drop, (-2, -1))).real
    if share < 1:
        lost = lost * (torch.rand((n, 1, 1, 1), generator=generator) < share).to(x)
    return x - lost


def high_part(x: Tensor, half: int = 5, *, symmetric: bool = True) -> Tensor:
    """The real part of what is left of `(n, c, h, w)` without its block of lowest frequencies."""
    spectrum = torch.fft.fftshift(torch.fft.fft2(x), (-2, -1))  # else batch and channels would be rolled too
    h, w = x.shape[-2:]
    kept = _low_block(h, w, half, symmetric=symmetric).to(x.device)
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum.masked_fill(kept, 0), (-2, -1))).real


def _low_block(h: int, w: int, half: int, *, symmetric: bool) -> Tensor:
    """`(h, w)`, true for the lowest bins of a shifted spectrum."""
    block = torch.zeros((h, w), dtype=torch.bool)
    y, x = h // 2, w // 2
    first = half - 1 if symmetric else half
    block[y - first : y + half, x - first : x + half] = True
    return block


def _conjugate(drop: Tensor) -> Tensor:
    """Bins of a shifted spectrum `(n, 1, h, w)` fall with their conjugates; the chance of each stays what it was."""
    h, w = drop.shape[-2:]
    plain = torch.fft.ifftshift(drop, (-2, -1))
    number = torch.arange(h * w).view(1, 1, h, w)

    def mirrored(bins: Tensor) -> Tensor:
        return bins.flip((-2, -1)).roll((1, 1), (-2, -1))

    return torch.fft.fftshift(torch.where(number <= mirrored(number), plain, mirrored(plain)), (-2, -1))


# -- FAC: forgery attention consistency ------------------------------------------------------------


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """In eval mode inside, back as it was after: running statistics are used, not changed."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def attention(detector: Detector, x: Tensor) -> Tensor:
    """Grad-CAM of the predicted class at conv3 of each image: `(n, h, w)` in 0..1, all zero where it is flat.

    The weights of the channels are taken as constants, so a loss on it reaches conv3 and what lies before, and nothing
    behind. There is no ReLU, as in the paper's code.
    """
    with evaluating(detector), torch.enable_grad():
        a = detector.trunk.attend(x)  # (n, k, h', w')
        if not a.requires_grad:
            a = a.requires_grad_()
        score = detector.classify(a).max(1).values.sum()
        (slope,) = torch.autograd.grad(score, a, retain_graph=True)
    cam = (slope.mean((2, 3), keepdim=True).detach() * a).sum(1, keepdim=True)
    cam = F.interpolate(cam.float(), size=x.shape[-2:], mode="bilinear", align_corners=True)[:, 0]
    low, high = cam.amin((1, 2), keepdim=True), cam.amax((1, 2), keepdim=True)
    return torch.where(high - low > FLAT, (cam - low) / (high - low).clamp_min(FLAT), torch.zeros_like(cam))


def batch_consistency(detector: Detector, video: Tensor, teacher: Detector, source: Tensor) -> Tensor:
    """The paper's FAC: the mean map on the target against the teacher's mean map on the source; a scalar."""
    return F.mse_loss(attention(detector, video).mean(0), attention(teacher, source).mean(0).detach())


def view_consistency(detector: Detector, x: Tensor, teacher: Detector, masked: Tensor) -> Tensor:
    """The offline FAC: each clean image's map against the teacher's of its masked view; a scalar."""
    return F.mse_loss(attention(detector, x), attention(teacher, masked).detach())


def frozen(detector: Detector) -> Detector:
    """A copy that teaches: it is in eval mode, and no gradient reaches its weights."""
    return copy.deepcopy(detector).eval().requires_grad_(False)


# -- losses ----------------------------------------------------------------------------------------


def flood(loss: Tensor, level: float = 0.04) -> Tensor:
    """|loss - level| + level: below the level the gradient turns round (Ishida et al., ICML 2020)."""
    return (loss - level).abs() + level


def classification(logits: Tensor, fake: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """L1, without flooding: cross-entropy of `(n, 2)` against labels `(n,)`, 1 for fake; ln 2 if blind."""
    return F.cross_entropy(logits, fake.long(), label_smoothing=smoothing)


# -- test-time adaptation --------------------------------------------------------------------------


def adapt(
    detector: Detector,
    video: Tensor,
    draw_source: Callable[[], tuple[Tensor, Tensor]],
    *,
    steps: int = 2,
    lr: float = 1e-3,
    level: float = 0.04,
    rate: float = 0.1,
    variant: Variant = "spatial_abs",
    generator: torch.Generator | None = None,
) -> Detector:
    """Stage 2 as published: a copy of the detector whose attention on one unlabelled video is pulled to the source's.

    Every video begins from the same weights, buffers and a new optimiser (the paper's code keeps its moments from video
    to video). What it scores is transductive: report it as `video_tta`, never as a fixed model's.

    Args:
        video: `(n, 3, h, w)` frames of one video, in order.
        draw_source: gives another batch of labelled training images `(m, 3, h, w)` and labels `(m,)` at each call.
    """
    teacher, adapted = frozen(detector), copy.deepcopy(detector).requires_grad_(True)
    optimiser = torch.optim.AdamW(adapted.parameters(), lr=lr, betas=(0.9, 0.95))
    for _ in range(steps):
        source, fake = draw_source()
        adapted.train()
        masked = mask_frequencies(source, variant=variant, rate=rate, generator=generator)
        loss = flood(classification(adapted(masked), fake), level)
        loss = loss + batch_consistency(adapted, video, teacher, source)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return adapted.eval()


def video_logits(detector: Detector, frames: Tensor, *, batch: int = 32) -> Tensor:
    """Mean logits `(2,)` of a video's frames, in eval mode: how the paper scores a video."""
    with evaluating(detector), torch.no_grad():
        return torch.cat([detector(part) for part in frames.split(batch)]).mean(0)


def example(size: int = 224, n: int = 2) -> dict[str, Tensor]:
    """Inputs of one call."""
    return {"face": torch.rand((n, 3, size, size), generator=torch.Generator().manual_seed(0))}
