"""What an attacker can do who has the weights: a map looked for by gradients, without the key.

The blind attack has a carrier and nothing else, and looks for a map by which it comes out smooth and in range. The
known-pair attack has a carrier with its face, and looks for the map that gives it. Maps are continuous in -1..1: many
that are no key at all open a carrier nearly as well as the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engines import ConfigError
from operators.reversible.proface_s.model import ProFaceS

OUT_OF_RANGE = 2.0
"""Weight of values outside of -1..1."""


@dataclass(frozen=True, slots=True)
class AttackStrength:
    """How long an attacker tries.

    Attributes:
        steps: of gradient descent.
        restarts: from other beginnings; the one that suits the attacker's own measure is kept, for each carrier.
        lr: of Adam.
    """

    steps: int = 200
    restarts: int = 1
    lr: float = 0.1


QUICK = AttackStrength()
THOROUGH = AttackStrength(steps=500, restarts=3)


def blind(network: ProFaceS, carriers: Tensor, strength: AttackStrength = QUICK, *, seed: int = 0) -> Tensor:
    """Faces `(n, 3, s, s)` as they are restored from carriers alone, clamped."""
    best, _ = _search(network, carriers, _unnatural, strength, seed)
    return _restored(network, carriers, best)


def known_pair(
    network: ProFaceS, carrier: Tensor, face: Tensor, strength: AttackStrength = QUICK, *, seed: int = 0
) -> Tensor:
    """The map `(1, 1, s, s)` by which one carrier `(1, 3, s, s)` gives its face: to be tried on others."""
    best, _ = _search(network, carrier, lambda given: (given - face).abs().mean((1, 2, 3)), strength, seed)
    return best


def improved(network: ProFaceS, carriers: Tensor, maps: Tensor, steps: int, lr: float = 0.1) -> Tensor:
    """Wrong maps after some steps of the blind attack, to train against; no gradient reaches the network."""
    free = _free(maps)
    _descend(network, carriers.detach(), free, _unnatural, steps, lr)
    return torch.tanh(free).detach()


def network_of(recover: Path, growth: int | None = None) -> ProFaceS:
    """The network in an exported `recover` graph: whoever has the file has the weights.

    Raises:
        ConfigError: it is no such graph.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(recover)).graph
    except (OSError, ValueError, DecodeError) as error:
        raise ConfigError(f"{recover}: expected an exported recover network ({error})") from error
    found = {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in graph.initializer}
    weights = {
        f"inv_blocks.{name.split('inv_blocks.', 1)[1]}": value for name, value in found.items() if "inv_blocks." in name
    }
    return _built(weights, recover, growth)


def _built(weights: Mapping[str, Tensor], where: Path, growth: int | None) -> ProFaceS:
    first = weights.get("inv_blocks.0.r.conv1.weight")
    if first is None:
        raise ConfigError(f"{where}: expected weights named inv_blocks, as in an exported recover network")
    blocks = 1 + max(int(name.split(".")[1]) for name in weights)
    network = ProFaceS(growth or int(first.shape[0]), blocks)
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ConfigError(f"{where}: expected all weights of a recover network ({error})") from error
    return network.eval()


def _unnatural(given: Tensor) -> Tensor:
    """Total variation, and what lies out of range, `(n,)`."""
    across = (given[..., :, 1:] - given[..., :, :-1]).abs().mean((1, 2, 3))
    down = (given[..., 1:, :] - given[..., :-1, :]).abs().mean((1, 2, 3))
    return across + down + OUT_OF_RANGE * (given.abs() - 1).clamp_min(0).mean((1, 2, 3))


def _search(
    network: ProFaceS, carriers: Tensor, cost: Callable[[Tensor], Tensor], strength: AttackStrength, seed: int
) -> tuple[Tensor, Tensor]:
    """The maps of least cost over all restarts, and their cost."""
    n, _, h, w = carriers.shape
    best = torch.zeros((n, 1, h, w), device=carriers.device)
    least = torch.full((n,), float("inf"), device=carriers.device)
    for restart in range(strength.restarts):
        draw = torch.Generator().manual_seed(1000 * seed + restart)
        free = _free(0.2 * torch.randn((n, 1, h, w), generator=draw).to(carriers.device))
        _descend(network, carriers, free, cost, strength.steps, strength.lr)
        maps = torch.tanh(free).detach()
        with torch.no_grad():
            costs = cost(network.recover(carriers, maps)[0])
        better = costs < least
        best = torch.where(better[:, None, None, None], maps, best)
        least = torch.where(better, costs, least)
    return best, least


def _descend(
    network: ProFaceS, carriers: Tensor, free: Tensor, cost: Callable[[Tensor], Tensor], steps: int, lr: float
) -> None:
    """Changes `free`, of which tanh makes maps, in place."""
    optimiser = torch.optim.Adam([free], lr=lr)
    for _ in range(steps):
        with torch.enable_grad():
            costs = cost(network.recover(carriers, torch.tanh(free))[0]).sum()
            (slope,) = torch.autograd.grad(costs, free)
        free.grad = torch.nan_to_num(slope)
        optimiser.step()


def _free(maps: Tensor) -> Tensor:
    return torch.atanh(maps.clamp(-0.9, 0.9)).detach().requires_grad_()


def _restored(network: ProFaceS, carriers: Tensor, maps: Tensor) -> Tensor:
    with torch.no_grad():
        return network.recover(carriers, maps)[0].clamp(-1, 1)
