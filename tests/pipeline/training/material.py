"""What tests of trainings share: recipes, small sets by hand, and work that is done in this process without Ray."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engines.progress import silent
from operators.cropset import CropSet
from operators.cutting import Found, of_faces
from operators.datasets import Clip, find_set
from operators.datasets.footage import ImageFiles
from operators.forge.cache import MASK_FRACTION
from pipeline.training.crop_sets import forged, prepared
from pipeline.training.ray_jobs import RECIPE as RECIPE_FILE
from pipeline.training.ray_jobs import Cluster, Workspace
from pipeline.training.recipe import Data, Forgeries, Recipe

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
R = TypeVar("R")

PAIRS = {"train": [("000", "001"), ("002", "003")], "val": [("004", "005"), ("006", "007")], "test": [("008", "009")]}
FRONTAL = Data(set="fairface", size=64, whole=True, turned=0.3, splits=["test"], most=30)
RECIPE = Recipe(use="deepfake.acmf", data=Data(set="fairface"), options={"epochs": 2})
SIZE = 32
FOUR = {"real/a_1": 0.1, "real/b_1": 0.6, "fake/c_1": 0.9, "fake/d_1": 0.4}
"""Clips and how bright they are. Of four pairs of a genuine and a forged one, one is in the wrong order."""


def write_genuine(folder: Path, files: Iterable[str]) -> Path:
    """A set in FairFace's layout: genuine stills alone, `train/...` for training and others for testing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stills.tar").touch()
    rows = [{"file": file, "archive": "stills.tar", "age": "", "gender": "", "race": ""} for file in files]
    _write_rows(folder / "labels.csv", rows)
    return folder


def write_clips(folder: Path, clips: Mapping[str, str]) -> Path:
    """A set in the layout of `side_by_side`: clips by their names, each `real` or `fake`, all for testing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "frames.tar").touch()
    rows = [{"file": f"{name}.png", "label": label, "clip": name, "frame": 0} for name, label in clips.items()]
    _write_rows(folder / "frames.csv", rows)
    return folder


def _write_rows(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def crops_of(clips: Sequence[Clip], levels: Mapping[str, float] | float = 0.5, *, frames: int = 1) -> CropSet:
    """Plain grey crops of clips, so bright as `levels` says by the clip's name."""
    found = []
    for clip in clips:
        level = levels if isinstance(levels, float) else levels[clip.name]
        pixels, points = np.full((SIZE, SIZE, 3), round(255 * level), np.uint8), np.full((478, 2), SIZE / 2, np.float32)
        found += [Found(pixels, points, clip, frame) for frame in range(frames)]
    return of_faces(found, SIZE)


def forgeries_of(rows: Any, levels: Sequence[float] = (0.5,), kinds: Sequence[str] = ("swap",)) -> CropSet:
    """A forgery of each of these rows, as a worker gives them; brightness and kind in turn. Origins are these rows."""
    clips = [
        Clip(f"forged {row}", ImageFiles([]), 1, "train", f"person {row}", kinds[number % len(kinds)])
        for number, row in enumerate(rows)
    ]
    made = crops_of(clips, {clip.name: levels[number % len(levels)] for number, clip in enumerate(clips)})
    masks = np.zeros((len(rows), SIZE // MASK_FRACTION, SIZE // MASK_FRACTION), np.uint8)
    return replace(made, masks=masks, origins=np.asarray(rows))


class Here(Cluster):
    """Does each piece of work in this process, by another function than the one that is asked for.

    Attributes:
        pieces: all that was to be done.
    """

    def __init__(self, work: Callable[[Any], Any]) -> None:
        super().__init__()
        self._work = work
        self.pieces: list[Any] = []

    def spread(self, work: Callable[[T], R], pieces: Iterable[T]) -> Iterator[R]:
        del work
        for piece in pieces:
            self.pieces.append(piece)
            yield self._work(piece)

    def resources(self) -> dict[str, float]:
        raise AssertionError("Ray was not to be started")


def write_run(folder: Path, recipe: Recipe, weights: Mapping[str, torch.Tensor], **figures: float) -> Path:
    """The folder of a training that has ended."""
    from engines.training import TrainingRun

    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECIPE_FILE).write_text(recipe.model_dump_json())
    TrainingRun(folder, device="cpu").finish(weights, **figures)
    return folder


def keep_crops(data: Data, workspace: Workspace, levels: Mapping[str, float] | float = 0.5) -> Path:
    """The folder of a set's crops in the workspace's cache, where a job finds them and needs no Ray to make any."""
    found = find_set(data.set, workspace.data, **data.options)
    here = Here(partial(crops_of, levels=levels))
    return prepared(data, found, cache=workspace.cache, spread=here.spread, on_progress=silent)


def keep_forgeries(
    genuine: Path, wanted: Forgeries, levels: Sequence[float] = (0.5,), kinds: Sequence[str] = ("swap",)
) -> Path:
    """The folder of these crops with a forgery of each, in the cache too."""
    here = Here(partial(forgeries_of, levels=levels, kinds=kinds))
    return forged(genuine, wanted, spread=here.spread, on_progress=silent)
