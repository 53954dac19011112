"""That what the bench lays over one another lies right, that its attackers find what there is, and what it reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.hiding import Hide, clear, ours
from bench.leak_attackers import Case, TrackView, attack, kernel_ridge, network, principal, ridge
from bench.leak_figures import alike, found_first
from bench.leak_tracks import (
    CHIP_PX,
    SIDE_PX,
    SMALL_PX,
    SWAY_PX,
    Estimate,
    PersonPicture,
    estimates_of,
    filmed,
    sway,
    through_h264,
)
from operators.arrays import Array, Image
from operators.frame import Picture, to_bgr
from operators.stills import picture_of

BOX = np.array([58.0, 46.0, 132.0, 146.0])
JITTER = np.random.default_rng(3).normal(0, 0.03, (64, 4))


class DrawnPerson(PersonPicture):
    """One whose chip is a square of the picture: no landmarks are needed."""

    def to_chip(self) -> NDArray[np.float64]:
        x1, y1, x2, _ = self.square(0.93)
        return np.array([[1, 0, -x1], [0, 1, -y1]], np.float64) * float(CHIP_PX / (x2 - x1))


def person(seed: int = 0) -> DrawnPerson:
    """Blots, coarse enough for cells and codec."""
    rng = np.random.default_rng(seed)
    blots = cv2.GaussianBlur(rng.normal(0, 1, (SIDE_PX, SIDE_PX)).astype(np.float32), (0, 0), 4)
    grey = np.clip(128 + 45 * blots / blots.std(), 0, 255).astype(np.uint8)
    return DrawnPerson(np.repeat(grey[..., None], 3, axis=2), BOX)


def leaky(images: Sequence[Image], boxes: Sequence[Array], number: int) -> list[Picture]:
    """A sixth of a grey face under noise that stands still with the cover."""
    noise = np.random.default_rng(number).normal(0, 15, (8, 8)).astype(np.float32)
    shown = []
    for image, found in zip(images, boxes, strict=True):
        covered = image.astype(np.float32)
        x1, y1, x2, y2 = (round(float(side)) for side in found[0] + [-20, -20, 20, 20])
        part = covered[y1:y2, x1:x2]
        still = cv2.resize(noise, part.shape[1::-1], interpolation=cv2.INTER_CUBIC)[..., None]
        part[:] = 128 + 0.16 * (part - 128) + still
        shown.append(picture_of(np.clip(covered, 0, 255).astype(np.uint8)))
    return shown


def likeness(hide: Hide) -> dict[int, float]:
    """How what is left of four people without what stands still goes with their hidden faces: mean, by frames."""
    found: dict[int, list[float]] = {4: [], 64: []}
    for number in range(4):
        someone = person(number)
        face = cv2.warpAffine(someone.image[..., 0], someone.to_chip(), (CHIP_PX, CHIP_PX)).astype(np.float32)
        hidden = fine(cv2.resize(face, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA))
        for count, estimate in estimates_of(someone, hide, JITTER, (4, 64), number).items():
            moving = fine(estimate.pixels.reshape(6, SMALL_PX, SMALL_PX)[3])
            found[count].append(float(np.corrcoef(moving.ravel(), hidden.ravel())[0, 1]))
    return {count: float(np.mean(each)) for count, each in found.items()}


def fine(image: Array) -> Array:
    """What is coarse moves so little against the cover that it stands still with it."""
    return np.asarray(image - cv2.GaussianBlur(image, (0, 0), 2))


def test_frames_of_a_clear_face_lie_on_one_another() -> None:
    made = estimates_of(person(), clear, JITTER, (1, 16), 0, stretch=False)

    one, many = (made[count].chip.astype(float) for count in (1, 16))
    assert np.abs(one - many).mean() < 6


def test_a_leaky_cover_gives_a_face_away_and_ours_do_not(tmp_path: Path) -> None:
    old, blur, mosaic = (likeness(hide) for hide in (leaky, ours("blur", tmp_path), ours("mosaic", tmp_path)))

    assert min(old.values()) > 0.3
    for new in (blur, mosaic):
        assert max(map(abs, new.values())) < 0.1


def test_people_sway_about_where_they_began() -> None:
    path = sway(np.random.default_rng(0), 200)

    assert path[0].tolist() == [0, 0]
    assert SWAY_PX < np.abs(path).max() <= 2 * SWAY_PX
    assert np.abs(np.diff(path, axis=0)).max() < 3


def test_a_film_moves_as_its_path_says() -> None:
    image = person().image

    still, moved = filmed(image, np.array([[0.0, 0], [6, -4]]), np.random.default_rng(0))

    assert np.abs(still.astype(int) - image).mean() < 3
    assert np.abs(moved[10:-10, 16:-10].astype(int) - image[14:-6, 10:-16]).mean() < 3


def test_people_are_cropped_around_their_face() -> None:
    big = PersonPicture(np.zeros((250, 240, 3), np.uint8), np.array([150.0, 20, 221, 121]))

    small = big.cropped()

    assert small.image.shape == (SIDE_PX, SIDE_PX, 3)
    assert (small.box[:2] + small.box[2:]) / 2 == pytest.approx([SIDE_PX / 2] * 2, abs=0.5)
    assert small.box[2:] - small.box[:2] == pytest.approx([71, 101])


def test_as_many_pictures_leave_the_codec_as_enter_it() -> None:
    pictures = [picture_of(person(seed).image) for seed in (0, 0, 1)]

    decoded = through_h264(pictures)

    assert len(decoded) == 3
    for before, after in zip(pictures, decoded, strict=True):
        assert np.abs(to_bgr(before).astype(int) - to_bgr(after)).mean() < 6


# -- attackers -----------------------------------------------------------------------------------------


def faces(count: int, seed: int) -> Array:
    """Numbers as descriptors have them: `(n, 128)`."""
    return np.random.default_rng(seed).normal(0, 0.05, (count, 128))


def first(gallery: Array, probes: Array) -> NDArray[np.bool_]:
    return found_first(alike(gallery, probes, "cosine"))


def test_ridge_learns_a_linear_relation() -> None:
    turn = np.linalg.qr(faces(128, 9))[0]
    learn, probes = faces(300, 1), faces(50, 2)

    guesses = ridge(learn, learn @ turn, probes)

    assert first(probes @ turn, guesses).all()


def test_ridge_and_kernel_ridge_guess_the_mean_where_nothing_differs() -> None:
    flat, wanted = np.ones((20, 4)), faces(20, 3) - faces(20, 3).mean(axis=0)

    assert np.abs(ridge(flat, wanted, flat[:3])).max() < 1e-9
    learn, probes = principal(flat, flat[:3])
    assert learn.shape == (20, 0)
    assert not kernel_ridge(learn, wanted, probes).any()


def test_kernel_ridge_knows_again_what_it_has_learned() -> None:
    learn, probes = principal(faces(60, 1), faces(60, 1))
    wanted = faces(60, 2)

    assert first(wanted, kernel_ridge(learn, wanted, probes)).mean() > 0.9


def test_the_network_keeps_what_it_began_with_where_there_is_nothing_to_add() -> None:
    clear_learn, clear_probes = faces(80, 1), faces(100, 2)
    noisy = [each + np.random.default_rng(5).normal(0, 0.02, each.shape) for each in (clear_learn, clear_probes)]
    nothing = np.zeros((80, 0)), np.zeros((100, 0))

    guesses = network((noisy[0], nothing[0]), clear_learn, (noisy[1], nothing[1]))

    assert first(clear_probes, guesses).mean() > 0.9


def test_an_attack_on_clear_tracks_finds_people_and_on_noise_does_not() -> None:
    learn_clear, gallery = faces(80, 1), faces(120, 2)
    pixels = np.random.default_rng(8).normal(0, 1, (200, 30)).astype(np.float32)
    for numbers, low, high in (
        ((learn_clear + faces(80, 6) / 4, gallery + faces(120, 7) / 4), 0.9, 1.0),
        ((faces(80, 6), faces(120, 7)), 0.0, 0.1),
    ):
        case = Case(TrackView(numbers[0], pixels[:80]), learn_clear, TrackView(numbers[1], pixels[80:]), gallery)
        found = attack(case)
        assert set(found) == {"ridge", "network", "pixels"}
        assert all(low <= found_first(found[name]).mean() <= high for name in ("ridge", "network"))
        assert found_first(found["pixels"]).mean() < 0.1


def test_without_numbers_only_pixels_are_attacked() -> None:
    seen = TrackView(None, np.random.default_rng(8).normal(0, 1, (20, 30)))

    assert set(attack(Case(seen, faces(20, 1), seen, faces(20, 2)))) == {"pixels"}


def test_an_estimate_holds_six_parts() -> None:
    made = estimates_of(person(), clear, JITTER, (1,), 0)[1]

    assert isinstance(made, Estimate)
    assert made.chip.shape == (CHIP_PX, CHIP_PX, 3)
    assert made.pixels.shape == (6 * SMALL_PX**2,)
    assert made.chip.std() == pytest.approx(45, abs=6)
