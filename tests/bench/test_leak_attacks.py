"""That networks and parrots find what can be found, and nothing else; all on drawn faces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bench.hiding import Hide, clear, ours
from bench.leak_attacks import parrot
from bench.leak_faceres import FaceRes, as_crops, weights_of
from bench.leak_figures import alike, found_first
from bench.leak_learners import restored, retrained
from bench.leak_styles import STYLES, chosen, faint, public_carrier
from bench.leak_tracks import CHIP_PX, SMALL_PX, estimates_of
from operators import fidelity
from operators.arrays import Array, Image
from operators.frame import to_bgr
from tests.bench.test_leak import JITTER, person

PEOPLE = 12


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads wait for one another where others use the cores, too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def blots(seed: int, noise: int = 0) -> Image:
    """A coarse pattern for a face, `(150, 150, 3)`."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(40, 216, (6, 6, 3)).astype(np.uint8), (CHIP_PX, CHIP_PX))
    return np.asarray(np.clip(coarse + np.random.default_rng(noise).normal(0, 3, coarse.shape), 0, 255), np.uint8)


def estimates(hide: Hide, first: int) -> Array:
    """Luma of the middles of twelve people's chips from four frames, all of which a cover hides."""
    made = [estimates_of(person(row), hide, JITTER, (4,), first + row)[4] for row in range(PEOPLE)]
    luma = np.stack([each.pixels[: SMALL_PX**2] for each in made])
    return np.asarray(luma - luma.mean(axis=1, keepdims=True))


def test_a_clear_track_is_found_and_a_solid_cover_leaves_chance(tmp_path: Path) -> None:
    gallery = estimates(clear, 100)

    assert found_first(alike(gallery, estimates(clear, 0), "cosine")).all()
    assert found_first(alike(gallery, estimates(ours("solid", tmp_path), 0), "cosine")).sum() <= 2
    assert found_first(alike(gallery, estimates(faint(tmp_path, 0), 0), "cosine")).mean() > 0.7


def test_a_parrot_finds_what_is_covered_always_alike() -> None:
    def scrambled(row: int, noise: int) -> Image:
        cells = blots(row, noise)[::25, ::25]
        order = np.random.default_rng(99).permutation(36)
        return np.asarray(cv2.resize(cells.reshape(36, 3)[order].reshape(6, 6, 3), (CHIP_PX, CHIP_PX)), np.uint8)

    known, asked = (np.stack([scrambled(row, noise)[::5, ::5] for row in range(40)]) for noise in (1, 2))

    assert found_first(parrot(known, asked)).mean() > 0.9
    assert found_first(parrot(np.stack([blots(row)[::5, ::5] for row in range(40)]), asked)).mean() < 0.2
    same = np.full((4, 30, 30, 3), 7, np.uint8)
    assert not found_first(parrot(same, same)).any()


def test_a_restorer_begins_with_what_it_sees_and_learns_what_is_missing() -> None:
    shown = [blots(row) for row in range(16)]
    dark = [np.asarray(each // 2, np.uint8) for each in shown]

    untrained = restored(dark[:8], shown[:8], dark[8:], epochs=0)
    trained = restored(dark[:8], shown[:8], dark[8:], epochs=25)

    assert np.array_equal(untrained, np.stack(dark[8:]))
    wanted = np.stack(shown[8:])
    assert fidelity.psnr(trained, wanted).mean() > fidelity.psnr(untrained, wanted).mean() + 3


def test_a_recogniser_learns_to_tell_covered_people_apart() -> None:
    torch.manual_seed(0)
    net = FaceRes().eval()
    for layer in (*net.conv, *net.depth, *net.point):
        torch.nn.init.kaiming_normal_(layer.weight)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    covered = [blots(row) for row in range(8)]
    wanted = np.random.default_rng(0).normal(0, 1, (8, 1024))

    guesses = retrained(net, covered, np.arange(8), wanted, covered, epochs=12)

    assert found_first(alike(wanted - wanted.mean(axis=0), guesses, "cosine")).mean() > 0.8
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_weights_are_read_as_tensorflow_wrote_them() -> None:
    with pytest.raises(ValueError, match="13 blocks"):
        weights_of({"weightsManifest": [{"weights": []}], "modelTopology": {"node": []}}, b"")
    net = FaceRes().eval()
    assert net(as_crops([blots(0)], 64)).shape == (1, 1024)
    assert net.stem(as_crops([blots(0)], 64), 0).shape == (1, 32, 32, 32)  # half of 64, as padding "same" gives


def test_a_carrier_looks_like_its_cover_and_hides_the_face(tmp_path: Path) -> None:
    someone = person()
    boxes = [someone.box[None]]

    carrier, cover = (
        hide([someone.image], boxes, 3)[0] for hide in (public_carrier(tmp_path, 0), ours("blur", tmp_path))
    )

    shown = [to_bgr(each)[None, 60:130, 60:130] for each in (carrier, cover)]
    assert fidelity.psnr(shown[0], shown[1])[0] > 28
    assert not np.array_equal(shown[0], shown[1])
    hidden = someone.image[60:130, 60:130, 0].ravel()
    like = [np.corrcoef(each.mean(axis=3).ravel(), hidden)[0, 1] for each in shown]
    assert abs(like[0] - like[1]) < 0.1


def test_styles_are_chosen_by_name() -> None:
    assert [style.name for style in chosen(["all"])] == [style.name for style in STYLES]
    assert [style.name for style in chosen(["mosaic", "solid"])] == ["none", "mosaic", "solid"]
    assert {style.name for style in STYLES if style.default} == {"blur", "mosaic", "solid", "image"}
    with pytest.raises(SystemExit, match="expected all, or one of"):
        chosen(["paint"])
