"""The face itself, changed: no other person's picture is needed, though `reenact` takes another's points."""

from __future__ import annotations

import cv2
import numpy as np

from operators.arrays import Rng
from operators.forge.colour import jittered, resampled
from operators.forge.face import Forgery, GenuineFace, lay_over
from operators.forge.regions import Mask, blurred, face_mask, oval_mask
from operators.forge.warp import apply, similarity, warp


def self_blend(face: GenuineFace, _donor: GenuineFace, rng: Rng) -> Forgery:
    """A copy, shifted, scaled, recoloured and resampled by a little, over the face (Shiohara and Yamasaki 2022)."""
    size = len(face.pixels)
    mask = _ragged(face_mask(face.points, size, rng), rng) * rng.choice((0.5, 0.75, 1.0, 1.0))
    copy = jittered(face.pixels, rng)
    if rng.random() < 0.7:
        copy = resampled(copy, float(rng.uniform(0.4, 1.4)))
    middle = face.points.mean(axis=0)
    turn = cv2.getRotationMatrix2D(tuple(map(float, middle)), float(rng.normal(0, 1.5)), float(rng.uniform(0.96, 1.05)))
    turn = np.column_stack([turn[:, :2], turn[:, 2] + rng.uniform(-0.025, 0.025, 2) * size])
    moved = cv2.warpAffine(copy, turn, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return lay_over(face, moved, mask)


def recolour(face: GenuineFace, _donor: GenuineFace, rng: Rng) -> Forgery:
    """The face alone in another colour balance; its edge fades widely, so that no seam gives it away."""
    mask = blurred(oval_mask(face.points, len(face.pixels)), float(rng.uniform(0.02, 0.06)) * len(face.pixels))
    return lay_over(face, jittered(face.pixels, rng, 1.3), mask)


def soften(face: GenuineFace, _donor: GenuineFace, rng: Rng) -> Forgery:
    """The face alone through a lower resolution, and sharpened afterwards half of the time, as swappers do."""
    mask = face_mask(face.points, len(face.pixels), rng)
    copy = resampled(face.pixels, float(rng.uniform(0.3, 0.8)))
    if rng.random() < 0.5:
        copy = resampled(copy, float(rng.uniform(1.3, 2.0)))
    return lay_over(face, copy, mask)


def upsample(face: GenuineFace, _donor: GenuineFace, rng: Rng) -> Forgery:
    """The face alone, halved and enlarged by a transposed convolution whose kernel does not quite sum up evenly."""
    size = len(face.pixels)
    small = cv2.resize(face.pixels, (size // 2,) * 2, interpolation=cv2.INTER_AREA).astype(np.float32)
    sparse = np.zeros((small.shape[0] * 2, small.shape[1] * 2, 3), np.float32)
    sparse[::2, ::2] = small
    line = np.array([1.0, 3.0, 3.0, 1.0]) / 4
    kernel = np.outer(line, line) * (1 + rng.normal(0, 0.06, (4, 4)))
    grown = cv2.filter2D(sparse, -1, kernel * 4 / kernel.sum(), anchor=(1, 1), borderType=cv2.BORDER_REFLECT_101)
    detail = face.pixels - resampled(face.pixels, 0.5)
    grown = cv2.resize(grown, (size, size)) + float(rng.uniform(0.2, 0.8)) * detail
    return lay_over(face, grown, oval_mask(face.points, size))


def reenact(face: GenuineFace, donor: GenuineFace, rng: Rng) -> Forgery:
    """The face bent part of the way towards the donor's expression and pose; its surroundings stay."""
    size, points = len(face.pixels), face.points
    goal = apply(similarity(donor.points, points), donor.points)
    bent = points + float(rng.uniform(0.5, 1)) * (goal - points)
    mask = np.maximum(oval_mask(face.points, size), oval_mask(bent, size))
    return lay_over(face, warp(face.pixels, points, bent), mask)


def _ragged(mask: Mask, rng: Rng) -> Mask:
    """A mask bent by a smooth field, for forgers' masks are not hulls."""
    size = len(mask)
    field = [blurred(rng.uniform(-1, 1, mask.shape).astype(np.float32), size / 16) for _ in range(2)]
    reach = float(rng.uniform(0, 0.04)) * size
    x, y = (f * reach / max(float(np.abs(f).max()), 1e-6) for f in field)
    columns, rows = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    return np.asarray(cv2.remap(mask, columns + x, rows + y, cv2.INTER_LINEAR), np.float32)
