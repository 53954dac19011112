"""What an attacker finds in a network that hides nothing, and in one whose weights say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from engines import ConfigError
from operators.reversible.proface_s import attacks, model
from operators.reversible.proface_s.attacks import QUICK, THOROUGH, AttackStrength
from operators.reversible.proface_s.model import ProFaceS
from operators.reversible.proface_s.train import to_signed
from tests.operators.reversible.proface_s.conftest import drawn


class OneTimePad(ProFaceS):
    """Gives back the carrier with each pixel's sign as the map has it: a smooth one shows which map is right."""

    def __init__(self) -> None:
        super().__init__(1, 1)

    def protect(self, face: Tensor, cover: Tensor, key_map: Tensor) -> Tensor:
        return face * key_map + 0 * cover

    def recover(self, protected: Tensor, key_map: Tensor) -> tuple[Tensor, Tensor]:
        return protected * key_map, protected


@pytest.fixture
def faces() -> Tensor:
    """Bright ones: all values above 0.2."""
    return torch.from_numpy(to_signed(drawn(2, 16))).abs().clamp_min(0.2)


def maps(seed: int) -> Tensor:
    return model.random_maps(2, 16, torch.Generator().manual_seed(seed))


def test_a_known_face_gives_the_map_away(faces: Tensor) -> None:
    network, key = OneTimePad(), maps(0)
    carriers = network.protect(faces, faces, key)

    found = attacks.known_pair(network, carriers[:1], faces[:1], AttackStrength(steps=60))

    assert ((found > 0) == (key[:1] > 0)).float().mean() > 0.99
    assert found.shape == (1, 1, 16, 16) and found.abs().max() <= 1


def test_a_smooth_picture_in_range_is_found_without_any_key(faces: Tensor) -> None:
    network = OneTimePad()
    carriers = network.protect(faces, faces, maps(0))
    before = network.recover(carriers, maps(1))[0]

    found = attacks.blind(network, carriers, AttackStrength(steps=60))

    assert (attacks._unnatural(found) < attacks._unnatural(before) / 2).all()
    assert found.shape == faces.shape and found.abs().max() <= 1
    assert torch.equal(found, attacks.blind(network, carriers, AttackStrength(steps=60)))


def test_of_several_beginnings_the_attackers_best_is_kept_for_each_carrier(faces: Tensor) -> None:
    network = OneTimePad()
    carriers = network.protect(faces, faces, maps(0))

    costs = [
        attacks._search(network, carriers, attacks._unnatural, AttackStrength(5, restarts), 0)[1]
        for restarts in (1, 2, 4)
    ]

    assert (costs[1] <= costs[0]).all() and (costs[2] <= costs[1]).all() and (costs[2] < costs[0]).any()


def test_maps_to_train_against_are_better_than_they_were_and_teach_nothing_by_themselves(faces: Tensor) -> None:
    network = OneTimePad()
    carriers, wrong = network.protect(faces, faces, maps(0)), maps(1)

    found = attacks.improved(network, carriers, wrong, 8)

    assert not found.requires_grad and all(each.grad is None for each in network.parameters())
    given = [attacks._unnatural(network.recover(carriers, each)[0]).mean() for each in (0.9 * wrong, found)]
    assert given[1] < given[0]


def test_what_looks_unnatural() -> None:
    flat, steps = torch.zeros(1, 3, 4, 4), torch.arange(4.0).expand(1, 3, 4, 4) / 4

    assert attacks._unnatural(flat).item() == 0
    assert attacks._unnatural(steps).item() == pytest.approx(0.25)
    assert attacks._unnatural(flat + 1.5).item() == pytest.approx(1.0)


def test_two_strengths() -> None:
    assert (QUICK.steps, QUICK.restarts, THOROUGH.steps, THOROUGH.restarts) == (200, 1, 500, 3)


@pytest.mark.parametrize("content", [None, b"", b"no network"])
def test_what_is_no_network(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "small_recover.onnx"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match="expected"):
        attacks.network_of(file)
