"""PyTorch on one thread, drawn faces, and real ones that no training has seen."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from operators.cropset import CropSet
from operators.reversible.proface_s.obfuscators import Obfuscation, obfuscate, sticker
from operators.stills import decode_image, read_images
from tests.operators.deepfake.faces import crop_set, smooth

torch.set_num_threads(1)

SIDE = 128


def drawn(n: int, side: int = 32, *, seed: int = 0) -> NDArray[np.uint8]:
    """`(n, side, side, 3)`: drawn heads before soft blots."""
    rng = np.random.default_rng(seed)
    faces = []
    for row in range(n):
        colour, alpha = sticker(side, 0.8, seed + row)
        faces.append(np.rint(alpha * colour + (1 - alpha) * smooth(rng, side)).astype(np.uint8))
    return np.stack(faces)


@pytest.fixture(scope="session")
def crops() -> CropSet:
    """Eight genuine crops of 32 pixels in each of train and val."""
    made = crop_set(8, 32)
    genuine = made.where(made.labels == 0)
    genuine.pixels[:] = drawn(len(genuine))
    return genuine


@pytest.fixture(scope="session")
def held_out() -> NDArray[np.uint8]:
    """`(4, 128, 128, 3)`: faces of FairFace's validation split."""
    named = os.environ.get("FACEWARDEN_DATA")
    archive = Path(named or "") / "faces_fairface" / "val-00.tar"
    if not named or not archive.is_file():
        pytest.skip("FACEWARDEN_DATA is not set, or has no FairFace")
    images = read_images(archive)
    names = sorted(images)[:: len(images) // 4][:4]
    found = [cv2.resize(decode_image(images[name]), (SIDE, SIDE), interpolation=cv2.INTER_AREA) for name in names]
    return np.stack(found)[..., ::-1].astype(np.uint8)


@pytest.fixture(scope="session")
def blurred(held_out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Their covers, at a strength outside of those that were trained on."""
    return np.stack([obfuscate(face, Obfuscation("blur", 7.5)) for face in held_out])
