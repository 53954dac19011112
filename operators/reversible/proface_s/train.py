"""The recipe of PRO-Face S: on each batch covers of a drawn style, maps of fresh keys, and maps of wrong ones.

The defaults are the paper's where its code states them. What is not in the paper can be switched off: the 8-bit carrier
with noise, the patch-wise loss on wrong keys, gradients in place of LPIPS, and wrong maps that an attack has found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from engines import ConfigError
from engines.export import Network
from engines.training import TrainingRun
from operators.cropset import CropSet
from operators.options import PositiveCount, UnitInterval
from operators.reversible.proface_s import attacks, model
from operators.reversible.proface_s.model import KeyMode, Perceptual, ProFaceS
from operators.reversible.proface_s.obfuscators import OBFUSCATORS, STRENGTHS, Obfuscation, Obfuscator, draw, obfuscate
from operators.reversible.proface_s.perceptual import Lpips

TASK = "a face hidden in its cover, and given back by a key"
FAILURES = (
    "whoever has these weights and a lossless carrier restores the face without any key (blind_psnr): weights and"
    " carriers are not to be published; what must hold against an attacker is sealed by a cipher",
    "a carrier that was re-encoded with loss, scaled or shifted is not recoverable",
)
"""What every card says besides what was measured."""

WEIGHTS: dict[KeyMode, tuple[float, float, float]] = {"random": (0.3, 0.5, 0.2), "obfs": (0.2, 0.3, 0.5)}
"""The paper's weights of looks, recovery and wrong keys."""
PATCH_WEIGHTS = (0.3, 1.0, 0.3)
"""Those with the patch-wise loss."""
ADAM_EPS, WEIGHT_DECAY = 1e-6, 1e-5
SMALLEST = 0.6
"""Crops are scaled down to this part of the side at least."""
HELD, WRONG = 24, 8
"""So many faces of the validation split are looked at in the end, and so many wrong keys."""

Even = Annotated[int, Field(ge=16, le=512, multiple_of=8)]
NotNegative = Annotated[float, Field(ge=0)]

ABLATIONS: dict[str, dict[str, object]] = {
    "as configured": {},
    "no 8-bit carrier": {"rounding": False, "noise": 0.0},
    "hinge on wrong keys": {"wrong_key": "paper"},
    "wrong keys give the cover": {"mode": "obfs"},
    "one style": {"styles": ["blur"]},
}
"""Options laid over the config's, one training each."""


def train(
    run: TrainingRun,
    data: CropSet,
    *,
    mode: KeyMode = "random",
    side: Even = 256,
    patch: Annotated[int, Field(ge=0, le=512, multiple_of=8)] = 0,
    growth: PositiveCount = model.PAPER_GROWTH,
    blocks: PositiveCount = 3,
    styles: list[Obfuscator] | None = None,
    augment: bool = True,
    rounding: bool = True,
    noise: NotNegative = 0.004,
    wrong_key: Literal["patch", "paper"] = "patch",
    gradient: NotNegative = 2.0,
    vgg: Path | None = None,
    heads: Path | None = None,
    perceptual: NotNegative = 5.0,
    hardening: Annotated[int, Field(ge=0, le=50)] = 0,
    batch: PositiveCount = 6,
    steps: PositiveCount = 140_000,
    lr: Annotated[float, Field(gt=0)] = 1e-5,
    warm_up: Annotated[int, Field(ge=0)] = 0,
    drops: bool = False,
    clip: NotNegative = 0.0,
    rough: UnitInterval = 0.0,
) -> None:
    """Trains on random crops of the training split, and measures the result on faces and strengths kept from it.

    Args:
        mode: what a wrong key gives: `random` noise, or the cover again (`obfs`).
        side: of the crops at run time, in pixels; a multiple of 8.
        patch: of what is trained on, in pixels; 0 for whole crops.
        growth, blocks: of the network; 32 and 3 in the paper.
        styles: of the covers, all if none is named; one is drawn for each batch.
        augment: crops are also mirrored and scaled down.
        rounding, noise: whether the carrier is rounded to 8 bits, and the most deviation of noise that is added to it
            before recovery, on -1..1.
        wrong_key: the loss on wrong keys, ours by patches or the paper's.
        gradient: weight of differences between neighbours where LPIPS is not there.
        vgg, heads: weights of VGG-16 and of LPIPS on top of it, both or none.
        perceptual: weight of LPIPS where it is there.
        hardening: steps by which, in every other batch, wrong maps are improved as an attacker would; 0 for none.
        steps: how many batches.
        lr, warm_up, drops: the rate, the steps it rises in, and whether it falls to a fifth at 60 % and to a
            twentieth at 90 %.
        clip: the longest gradient; 0 for any.
        rough: the part of all steps, from the first on, in which convolutions are computed in bfloat16.
    """
    if (vgg is None) != (heads is None):
        raise ConfigError("vgg, heads: expected both files or none: LPIPS is the distance of one weighed by the other")
    chosen = tuple(styles or OBFUSCATORS)
    lp: Perceptual = model.gradient_l1 if vgg is None or heads is None else Lpips(vgg, heads).to(run.device)
    looks = gradient if vgg is None else perceptual
    network = ProFaceS(growth, blocks).to(run.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=lr, eps=ADAM_EPS, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps, warm_up, drops))
    learned, size = data.split("train"), patch or side
    if not len(learned):
        raise ConfigError("data: expected crops in the split train, got none")

    for step in run.steps(steps, model=network, optimiser=optimiser, schedule=schedule):
        network.compute_roughly(step < rough * steps)
        face, cover = _pictures(run.rng("batch", step), learned, batch, side, size, chosen, augment=augment)
        chance = torch.Generator().manual_seed(int(run.rng("maps", step).integers(2**62)))
        x, y = _tensor(face, run), _tensor(cover, run)
        right = model.random_maps(batch, size, chance).to(run.device)
        wrong = (model.wrong_maps if wrong_key == "patch" else model.random_maps)(batch, size, chance).to(run.device)
        carrier = network.protect(x, y, right)
        received = model.eight_bits(carrier) if rounding else carrier
        if noise:
            deviation = torch.rand((batch, 1, 1, 1), generator=chance) * noise
            received = received + (deviation * torch.randn(x.shape, generator=chance)).to(run.device)
        if hardening and step % 2:
            wrong = attacks.improved(network, received.detach(), wrong, hardening)
        given, _ = network.recover(received.repeat(2, 1, 1, 1), torch.cat([right, wrong]))
        back, other = given.chunk(2)

        look = model.image_loss(y, carrier, lp, looks)
        back_loss = F.l1_loss(back, x) + (F.l1_loss(other, y) if mode == "obfs" else 0)
        if wrong_key == "patch":
            weights, refusal = PATCH_WEIGHTS, model.patch_wrong_key(x, other)
        else:
            weights, refusal = WEIGHTS[mode], model.paper_wrong_key(mode, x, y, back, other, lp)
        loss = weights[0] * look + weights[1] * back_loss + weights[2] * refusal
        optimiser.zero_grad()
        loss.backward()
        length = nn.utils.clip_grad_norm_(network.parameters(), clip or float("inf"))
        if not torch.isfinite(length):  # an inverse that overflowed teaches nothing
            optimiser.zero_grad()
        optimiser.step()
        schedule.step()
        if step % 10 == 0 or step + 1 == steps:
            run.log(
                step,
                loss=loss.detach(),
                cover=model.psnr(carrier.detach(), y),
                right=model.psnr(back.detach(), x),
                wrong=model.psnr(other.detach(), x),
            )
    network.compute_roughly(False)
    with run.phase("validation"):
        figures = validate(network, data.split("val"), side, chosen, seed=run.seed)
    run.finish(network.state_dict(), **figures)


def networks(
    weights: Mapping[str, Tensor], *, side: int = 256, growth: int = model.PAPER_GROWTH, blocks: int = 3, **_: object
) -> dict[str, Network]:
    """What is exported of a training: the two directions of one network."""
    network = ProFaceS(growth, blocks)
    network.load_state_dict(weights, strict=True)
    example = model.example(side)
    carrier = {"protected": example["cover"], "key_map": example["key_map"]}
    return {
        "protect": Network(model.Protect(network), example, usual=8, most=32),
        "recover": Network(model.Recover(network), carrier, usual=8, most=32),
    }


def validate(
    network: ProFaceS, held: CropSet, side: int, styles: Sequence[Obfuscator], *, seed: int = 0
) -> dict[str, float]:
    """Means over faces and strengths that the training has not seen, PSNR in dB; none without such faces."""
    if not len(held):
        return {}
    rng = np.random.default_rng((seed, 1))
    rows = np.linspace(0, len(held) - 1, min(HELD, len(held))).astype(int)
    faces = scaled(np.asarray(held.pixels[rows]), side)
    covers = np.stack([obfuscate(face, _held_out(rng, styles)) for face in faces])
    device = next(network.parameters()).device
    x, y = (torch.from_numpy(to_signed(pixels)).to(device) for pixels in (faces, covers))
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        right = model.random_maps(len(x), side, chance).to(device)
        carrier = network.protect(x, y, right).clamp(-1, 1)
        received = model.eight_bits(carrier)
        wrong = [
            model.psnr(network.recover(received, model.random_maps(len(x), side, chance).to(device))[0], x)
            for _ in range(WRONG)
        ]
        return {
            "val_cover_psnr": model.psnr(received, y),
            "val_floor_psnr": model.psnr(y, x),
            "val_psnr_float": model.psnr(network.recover(carrier, right)[0], x),
            "val_psnr": model.psnr(network.recover(received, right)[0], x),
            "val_wrong_psnr": float(np.mean(wrong)),
            "val_wrong_psnr_worst": float(np.max(wrong)),
        }


def to_signed(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(n, s, s, 3)` uint8 -> `(n, 3, s, s)` in -1..1.

    >>> to_signed(np.full((1, 1, 1, 3), 255, np.uint8)).ravel().tolist()
    [1.0, 1.0, 1.0]
    """
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(127.5) - 1


def scaled(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Crops `(n, s, s, 3)` at another side."""
    if pixels.shape[1] == side:
        return pixels
    way = cv2.INTER_AREA if pixels.shape[1] > side else cv2.INTER_CUBIC
    return np.stack([cv2.resize(each, (side, side), interpolation=way) for each in pixels])


def _pictures(
    rng: np.random.Generator,
    data: CropSet,
    batch: int,
    side: int,
    size: int,
    styles: Sequence[Obfuscator],
    *,
    augment: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Faces and their covers `(batch, 3, size, size)` in -1..1: one style for all, each at a strength of its own."""
    style = draw(rng, styles).style
    faces, covers = [], []
    for row in rng.integers(0, len(data), batch):
        own = max(size, round(side * rng.uniform(SMALLEST, 1))) if augment else side
        face = scaled(np.asarray(data.pixels[row])[None], own)[0]
        if augment and rng.random() < 0.5:
            face = np.ascontiguousarray(face[:, ::-1])
        cover = obfuscate(face, draw(rng, [style]))
        top, left = rng.integers(0, own - size + 1, 2)
        faces.append(face[top : top + size, left : left + size])
        covers.append(cover[top : top + size, left : left + size])
    return to_signed(np.stack(faces)), to_signed(np.stack(covers))


def _held_out(rng: np.random.Generator, styles: Sequence[Obfuscator]) -> Obfuscation:
    style = styles[int(rng.integers(len(styles)))]
    return Obfuscation(style, STRENGTHS[style].held_out[int(rng.integers(2))], int(rng.integers(2**31)))


def _rate(step: int, total: int, warm_up: int, drops: bool) -> float:
    """The learning rate of a step, as a fraction of the full one.

    >>> [_rate(step, 100, 10, True) for step in (0, 9, 59, 60, 90)]
    [0.1, 1.0, 1.0, 0.2, 0.05]
    """
    if step < warm_up:
        return (step + 1) / warm_up
    return (0.05 if step >= 0.9 * total else 0.2 if step >= 0.6 * total else 1.0) if drops else 1.0


def _tensor(array: NDArray[np.float32], run: TrainingRun) -> Tensor:
    return torch.from_numpy(array).to(run.device, non_blocking=True)
