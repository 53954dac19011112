"""Attackers that are networks trained on covered faces of other people: a recogniser trained further, and a restorer.

Both begin as what leaves a clear face as it is, so that they find under no cover what the recogniser alone finds there.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.leak_faceres import FaceRes, as_crops
from operators.arrays import Array, Image

FROZEN = 10
"""So many blocks of the recogniser stay as they are; what they make of each face is worked out once."""
EPOCHS, BATCH, LR, SHARPNESS = 3, 32, 3e-4, 12.0
REST_PX, REST_WIDTHS, REST_EPOCHS, REST_LR = 48, (16, 32, 64), 8, 3e-3


def retrained(
    recogniser: FaceRes,
    learn: Sequence[Image],
    people: Array,
    wanted: Array,
    probes: Sequence[Image],
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Numbers `(n, d)` of probes, centred, by the recogniser after its last blocks were trained on covered faces.

    Args:
        recogniser: a CNN; it stays as it is.
        learn: `m` covered chips `(150, 150, 3)` RGB of other people.
        people: `(m,)`, which row of `wanted` each of them shows.
        wanted: `(k, d)`, what it says of these people's clear faces.
    """
    torch.manual_seed(seed)
    net = copy.deepcopy(recogniser)
    seen, owner = _stems(net, learn), torch.from_numpy(np.asarray(people, np.int64))
    centre = torch.from_numpy(np.asarray(wanted).mean(axis=0)).float()
    targets = nn.functional.normalize(torch.from_numpy(np.asarray(wanted)).float() - centre, dim=1)
    tuned = [each for row in range(FROZEN, len(net.point)) for each in (net.depth[row], net.point[row])]
    optimizer = torch.optim.AdamW([p for each in tuned for p in each.parameters()], lr=LR, weight_decay=0.05)
    for part in _batches(len(seen), epochs):
        guesses = nn.functional.normalize(net.rest(seen[part], FROZEN) - centre, dim=1)
        loss = nn.functional.cross_entropy(SHARPNESS * guesses @ targets.T, owner[part])
        _step(optimizer, loss)
    with torch.no_grad():
        found = [net.rest(_stems(net, probes[at : at + BATCH]), FROZEN) for at in range(0, len(probes), BATCH)]
    return np.asarray((torch.cat(found) - centre).double().numpy())


def _stems(net: FaceRes, chips: Sequence[Image]) -> Tensor:
    with torch.no_grad():
        parts = [net.stem(as_crops(chips[at : at + BATCH]), FROZEN) for at in range(0, len(chips), BATCH)]
    return torch.cat(parts)


class Restorer(nn.Module):
    """A small U-Net that adds to a covered face `(n, 3, s, s)` 0..1 what it has learned to be missing."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c = REST_WIDTHS
        self.down = nn.ModuleList([_pair(3, a), _pair(a, b), _pair(b, c)])
        self.up = nn.ModuleList([_pair(b + c, b), _pair(a + b, a)])
        self.last = nn.Conv2d(a, 3, 1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.down[0](x - 0.5)
        middle = self.down[1](nn.functional.avg_pool2d(fine, 2))
        low = self.down[2](nn.functional.avg_pool2d(middle, 2))
        middle = self.up[0](torch.cat([middle, _twice(low)], 1))
        added: Tensor = self.last(self.up[1](torch.cat([fine, _twice(middle)], 1)))
        return x + added


def _pair(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1), nn.GELU(), nn.Conv2d(after, after, 3, padding=1), nn.GELU()
    )


def _twice(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0)


def restored(
    covered: Sequence[Image],
    clear: Sequence[Image],
    probes: Sequence[Image],
    *,
    epochs: int = REST_EPOCHS,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Probes `(n, 150, 150, 3)` as a restorer gives them back that has learned from pairs of other people's chips."""
    torch.manual_seed(seed)
    net = Restorer()
    given, wanted = (as_crops(each, REST_PX) / 255 for each in (covered, clear))
    optimizer = torch.optim.AdamW(net.parameters(), lr=REST_LR)
    for part in _batches(len(given), epochs):
        mirrored = [each[part].flip(3) if torch.rand(()) < 0.5 else each[part] for each in (given, wanted)]
        _step(optimizer, _unlike(net(mirrored[0]), mirrored[1]))
    with torch.no_grad():
        small = torch.cat([as_crops(probes[at : at + BATCH], REST_PX) / 255 for at in range(0, len(probes), BATCH)])
        added = torch.cat([net(small[at : at + BATCH]) - small[at : at + BATCH] for at in range(0, len(small), BATCH)])
    size = probes[0].shape[:2]
    whole = torch.from_numpy(np.stack(probes)).permute(0, 3, 1, 2) / 255
    whole = whole + nn.functional.interpolate(added, size=size, mode="bilinear", align_corners=False)
    return np.asarray((whole.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())


def _unlike(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean difference of values, and of slopes."""
    error = made - wanted
    across, down = error[..., :, 1:] - error[..., :, :-1], error[..., 1:, :] - error[..., :-1, :]
    return error.abs().mean() + across.abs().mean() + down.abs().mean()


def _batches(count: int, epochs: int) -> list[Tensor]:
    return [part for _ in range(epochs) for part in torch.split(torch.randperm(count), BATCH)]


def _step(optimizer: Any, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
