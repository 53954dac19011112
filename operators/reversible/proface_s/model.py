"""Network and losses of PRO-Face S.

Pictures are `(n, 3, s, s)`, RGB in -1..1, s even; maps of keys `(n, 1, s, s)` of -1 and 1. The names of the weights are
those of the authors' code.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from engines import ConfigError

KeyMode = Literal["random", "obfs"]
"""What a wrong key gives: noise, or the cover."""
BANDS = ((0.5, 0.5, 0.5, 0.5), (-0.5, 0.5, -0.5, 0.5), (-0.5, -0.5, 0.5, 0.5), (0.5, -0.5, -0.5, 0.5))
"""LL, HL, LH, HH of top left, top right, bottom left, bottom right."""
CLAMP, SLOPE, INIT = 2.0, 0.01, 0.01
PAPER_GROWTH, PAPER_PARAMETERS = 32, 1_073_040
LEVELS = 127.5
"""Half of the steps of 8 bits: -1..1 in 256 levels."""
MARGIN = 1.2
PATCH, FAR, ALIKE = 8, 0.45, 0.1
"""Of the patch-wise loss: the side of a patch, how far it has to be off, and how much it may correlate."""
FLAT = 1e-4
"""The variance below which a patch has no detail to correlate with."""
LUMA = (0.299, 0.587, 0.114)

Perceptual = Callable[[Tensor, Tensor], Tensor]
"""How different pictures look, one number for each."""


# -- Haar ------------------------------------------------------------------------------------------


def _bands(channels: int) -> Tensor:
    """`(4c, 4c)`: from the pixels of cells, channel by channel, to bands, each of all channels. Orthonormal."""
    cells = torch.tensor(BANDS)  # (band, pixel)
    return torch.einsum("bp,cd->bcdp", cells, torch.eye(channels)).reshape(4 * channels, 4 * channels)


def haar(x: Tensor) -> Tensor:
    """`(n, c, s, s)` -> `(n, 4c, s/2, s/2)`: LL of all channels, then HL, LH and HH."""
    c = x.shape[1]
    return F.conv2d(x, _bands(c).to(x).view(4 * c, c, 2, 2), stride=2)


def ihaar(u: Tensor) -> Tensor:
    """What `haar` came from."""
    c = u.shape[1] // 4
    return F.pixel_shuffle(F.conv2d(u, _bands(c).to(u).T[:, :, None, None]), 2)


# -- network ---------------------------------------------------------------------------------------


class DenseNet(nn.Module):
    """Five 3x3 convolutions, each of all that came before it; the last one begins at zero.

    Attributes:
        rough: convolutions are computed in bfloat16: faster while the network still learns the rough of it.
    """

    def __init__(self, channels: int, out: int, growth: int) -> None:
        super().__init__()
        self.rough = False
        for number in range(1, 6):
            width = channels + (number - 1) * growth
            setattr(self, f"conv{number}", nn.Conv2d(width, growth if number < 5 else out, 3, padding=1))
        for name, parameter in self.named_parameters():
            with torch.no_grad():
                parameter.zero_() if name.startswith("conv5") else parameter.normal_().mul_(INIT)

    conv5: nn.Conv2d

    def forward(self, x: Tensor) -> Tensor:
        if not self.rough:
            return self._convolved(x)
        with torch.autocast(x.device.type, torch.bfloat16):
            return self._convolved(x.bfloat16()).float()

    def _convolved(self, x: Tensor) -> Tensor:
        for number in range(1, 5):
            x = torch.cat([x, F.leaky_relu(getattr(self, f"conv{number}")(x), SLOPE)], 1)
        return self.conv5(x)


def log_scale(s: Tensor) -> Tensor:
    """The logarithm of the paper's bounded scale, within -2..2."""
    return 2 * CLAMP * (torch.sigmoid(s) - 0.5)


class SecureCoupling(nn.Module):
    """One block: the carrier u is changed by secret and key, then the secret v by carrier and key.

    `p`, `f`, `r`, `y` are the paper's psi, phi, rho and eta.
    """

    def __init__(self, growth: int) -> None:
        super().__init__()
        self.r, self.y, self.f, self.p = (DenseNet(16, 12, growth) for _ in range(4))

    def forward(self, u: Tensor, v: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        vk = torch.cat([v, k], 1)  # (n, 16, s/2, s/2)
        u = torch.exp(log_scale(self.p(vk))) * u + self.f(vk)
        uk = torch.cat([u, k], 1)
        return u, torch.exp(log_scale(self.r(uk))) * v + self.y(uk)

    def backwards(self, u: Tensor, v: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        uk = torch.cat([u, k], 1)
        v = (v - self.y(uk)) * torch.exp(-log_scale(self.r(uk)))
        vk = torch.cat([v, k], 1)
        return (u - self.f(vk)) * torch.exp(-log_scale(self.p(vk))), v


class ProFaceS(nn.Module):
    """The invertible network; `protect` and `recover` are its two uses.

    What is left of the secret after `protect` is thrown away: recovery puts the key in its place, so that it is learned
    and not exact. Only `couple` and `uncouple` know it.

    Args:
        growth: width that each convolution adds; 32 in the paper, 1 073 040 parameters.
    """

    def __init__(self, growth: int = PAPER_GROWTH, blocks: int = 3) -> None:
        super().__init__()
        self.inv_blocks = nn.ModuleList(SecureCoupling(growth) for _ in range(blocks))

    def compute_roughly(self, rough: bool) -> None:
        """Switches the convolutions between bfloat16 and float32; scales and sums always stay in float32."""
        for module in self.modules():
            if isinstance(module, DenseNet):
                module.rough = rough

    def couple(self, u: Tensor, v: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Carrier and secret `(n, 12, s/2, s/2)` through all blocks."""
        for block in self.inv_blocks:
            u, v = block(u, v, k)
        return u, v

    def uncouple(self, u: Tensor, v: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """What `couple` came from."""
        for block in reversed(self.inv_blocks):
            assert isinstance(block, SecureCoupling)  # noqa: S101 - they are of nothing else
            u, v = block.backwards(u, v, k)
        return u, v

    def protect(self, face: Tensor, cover: Tensor, key_map: Tensor) -> Tensor:
        """What looks like the cover and carries the face; not clamped."""
        u, _ = self.couple(haar(cover), haar(face), haar(key_map))
        return ihaar(u)

    def recover(self, protected: Tensor, key_map: Tensor) -> tuple[Tensor, Tensor]:
        """The face, and what is left of the cover; not clamped."""
        k = haar(key_map)  # (n, 4, s/2, s/2)
        u, v = self.uncouple(haar(protected), k.repeat(1, 3, 1, 1), k)
        return ihaar(v), ihaar(u)


def reference_weights(file: Path) -> ProFaceS:
    """The network with the authors' published weights.

    Raises:
        ConfigError: it is no such file, or one of another network.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{file}: expected a PyTorch file of weights ({error})") from error
    return from_reference(content, str(file))


def from_reference(weights: Mapping[str, Tensor], where: str = "weights") -> ProFaceS:
    """The same from what the file holds; a `state_dict` or `net` around it, and prefixes of names, are taken off.

    Raises:
        ConfigError: other names, shapes or numbers of weights than the published network has.
    """
    for wrapper in ("state_dict", "net"):
        inner = weights.get(wrapper) if isinstance(weights, Mapping) else None
        weights = inner if isinstance(inner, Mapping) else weights
    found = {
        f"inv_blocks.{name.split('inv_blocks.', 1)[1]}": value
        for name, value in (weights.items() if isinstance(weights, Mapping) else ())
        if isinstance(name, str) and "inv_blocks." in name and isinstance(value, Tensor)
    }
    count = sum(value.numel() for value in found.values())
    if count != PAPER_PARAMETERS:
        raise ConfigError(
            f"{where}: expected {PAPER_PARAMETERS} numbers in inv_blocks (3 blocks, growth {PAPER_GROWTH}), got {count}"
        )
    network = ProFaceS(PAPER_GROWTH)
    try:
        network.load_state_dict(found, strict=True)
    except RuntimeError as error:
        raise ConfigError(f"{where}: expected the published network's weights ({error})") from error
    return network


# -- what is exported ------------------------------------------------------------------------------


class Protect(nn.Module):
    """`pfs_protect`: the carrier, clamped."""

    def __init__(self, model: ProFaceS) -> None:
        super().__init__()
        self.model = model

    def forward(self, face: Tensor, cover: Tensor, key_map: Tensor) -> dict[str, Tensor]:
        return {"protected": self.model.protect(face, cover, key_map).clamp(-1, 1)}


class Recover(nn.Module):
    """`pfs_recover`: the face, clamped, and what is left of the cover."""

    def __init__(self, model: ProFaceS) -> None:
        super().__init__()
        self.model = model

    def forward(self, protected: Tensor, key_map: Tensor) -> dict[str, Tensor]:
        recovered, cover = self.model.recover(protected, key_map)
        return {"recovered": recovered.clamp(-1, 1), "cover_est": cover}


def example(side: int) -> dict[str, Tensor]:
    """Inputs of one call of both: smooth pictures, and maps."""
    draw = torch.Generator().manual_seed(0)
    face, cover = (
        F.interpolate(torch.rand((2, 3, 5, 5), generator=draw) * 2 - 1, size=(side, side), mode="bicubic").clamp(-1, 1)
        for _ in range(2)
    )
    return {"face": face, "cover": cover, "key_map": random_maps(2, side, draw)}


# -- keys and carriers -----------------------------------------------------------------------------


def random_maps(n: int, side: int, generator: torch.Generator | None = None) -> Tensor:
    """`(n, 1, side, side)` of -1 and 1, on the CPU."""
    return torch.randint(0, 2, (n, 1, side, side), generator=generator).float() * 2 - 1


def wrong_maps(n: int, side: int, generator: torch.Generator | None = None) -> Tensor:
    """What an attacker may try, on the CPU: seven in ten are other maps, the rest zero or of half the amplitude."""
    maps = random_maps(n, side, generator)
    kind = torch.rand((n, 1, 1, 1), generator=generator)
    return maps * torch.where(kind < 0.7, 1.0, torch.where(kind < 0.85, 0.5, 0.0))


def eight_bits(carrier: Tensor) -> Tensor:
    """The carrier as 8 bits keep it, clamped; the gradient passes as if nothing were rounded."""
    rounded = torch.round((carrier.clamp(-1, 1) + 1) * LEVELS) / LEVELS - 1
    return carrier + (rounded - carrier).detach()


# -- losses ----------------------------------------------------------------------------------------


def gradient_l1(a: Tensor, b: Tensor) -> Tensor:
    """How far the differences between neighbours lie apart, `(n,)`: what stands for LPIPS without its networks."""
    d = a - b
    across = (d[..., :, 1:] - d[..., :, :-1]).abs().mean((1, 2, 3))
    down = (d[..., 1:, :] - d[..., :-1, :]).abs().mean((1, 2, 3))
    return across + down


def image_loss(cover: Tensor, carrier: Tensor, perceptual: Perceptual, weight: float) -> Tensor:
    """L_img: the carrier has to look like the cover. The paper's weight of LPIPS is 5."""
    return weight * perceptual(cover, carrier).mean() + F.l1_loss(carrier, cover)


def triplet(anchor: Tensor, like: Tensor, unlike: Tensor, perceptual: Perceptual, margin: float = MARGIN) -> Tensor:
    """T_LP: 0 once `unlike` looks further from the anchor than `like` does, by the margin."""
    return F.relu(perceptual(anchor, like) - perceptual(anchor, unlike) + margin).mean()


def triplet_l1(anchor: Tensor, like: Tensor, unlike: Tensor, margin: float = MARGIN) -> Tensor:
    """T_1: the same by the L1 distance over the last axis, as the authors' code has it."""
    return F.triplet_margin_loss(anchor, like, unlike, margin=margin, p=1)


def paper_wrong_key(mode: KeyMode, face: Tensor, cover: Tensor, right: Tensor, wrong: Tensor, lp: Perceptual) -> Tensor:
    """L_wr as published, on pictures that are not clamped."""
    if mode == "random":
        return triplet(face, right, wrong, lp) + triplet_l1(face, right, wrong)
    return triplet(right, face, cover, lp) + triplet(wrong, cover, face, lp)


def patch_wrong_key(face: Tensor, wrong: Tensor) -> Tensor:
    """Every 8x8 patch of what a wrong key gives, as it would be seen, has to be far from the face's and unlike it.

    The published hinge is met by a few huge outliers while most of the face is right; this one is not.
    """
    x, w = luminance(face), luminance(wrong.clamp(-1, 1))
    near = F.relu(FAR - F.avg_pool2d((w - x).abs(), PATCH)).mean() / FAR
    return near + F.relu(patch_correlation(w, x).abs() - ALIKE).mean()


def patch_correlation(a: Tensor, b: Tensor) -> Tensor:
    """The correlation of each 8x8 patch of two pictures `(n, 1, h, w)`: `(n, 1, h/8, w/8)`, 0 where one is flat."""
    mean_a, mean_b = F.avg_pool2d(a, PATCH), F.avg_pool2d(b, PATCH)
    both = F.avg_pool2d(a * b, PATCH) - mean_a * mean_b
    var_a = (F.avg_pool2d(a * a, PATCH) - mean_a**2).clamp_min(0)
    var_b = (F.avg_pool2d(b * b, PATCH) - mean_b**2).clamp_min(0)
    return both / ((var_a + FLAT) * (var_b + FLAT)).sqrt()


def luminance(x: Tensor) -> Tensor:
    """`(n, 3, h, w)` -> `(n, 1, h, w)`."""
    return (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def psnr(a: Tensor, b: Tensor) -> float:
    """Mean PSNR in dB of pictures in -1..1, clamped, 100 at most."""
    error = ((a.clamp(-1, 1) - b.clamp(-1, 1)) / 2).square().mean((1, 2, 3))
    return float((-10 * torch.log10(error.clamp_min(1e-10))).mean()) if math.prod(error.shape) else math.nan
