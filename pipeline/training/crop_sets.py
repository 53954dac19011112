"""Sets of crops, made when they are first asked for, and then taken from the user's cache.

A set is known by everything that decides its content: its clips, what is known of them, their files by size and time,
the reader's options, cutting, the bytes of detector and landmarker, kinds and chance. They hold pictures of people: the
folder is its owner's alone, and can be deleted at any time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from engines import ConfigError
from engines.files import sha256_of
from engines.progress import OnProgress
from operators.cropset import CropSet, folder_for, open_set, save
from operators.cutting import Cutting, prepare
from operators.datasets import Clip, DataSet
from operators.forge.cache import Donors, forgeries, need_donors, unforged
from pipeline.config import Config, Step
from pipeline.live.steps import open_steps
from pipeline.models.catalog import cache_folder, find_model, models_of
from pipeline.training.recipe import Data, Forgeries

MADE = 2
"""Counted up when the way crops are made changes, so that no older set is taken for a newer one."""
SHARD_FRAMES = 400
"""Clips for about so many frames, or forgeries of so many faces, are one piece of work."""

DETECT = Step(use="detect.centerface", engines={"detector": "centerface"})
MESH = Step(use="landmarks.mediapipe", engines={"model": "face_landmarker"})

T = TypeVar("T")
R = TypeVar("R")


class Spread(Protocol):
    """Does pieces of work, wherever that is, and gives what came of them in order. `map` is one."""

    def __call__(self, work: Callable[[T], R], pieces: Iterable[T], /) -> Iterator[R]: ...


def prepared(
    data: Data, found: DataSet, *, cache: Path | None = None, spread: Spread = map, on_progress: OnProgress
) -> Path:
    """The folder of the crops of a set.

    Raises:
        ConfigError: no face was found in it, or a model is missing.
    """
    clips = _some([clip for clip in found.clips if not data.splits or clip.split in data.splits], data.most)
    if not clips:
        raise ConfigError(f"{found.folder}: no clips in {', '.join(data.splits)}; name other splits")
    recipe, cutting, steps = content_of(data, found, clips), data.cutting, finders(clips)
    folder = folder_for(cache or cache_folder() / "crops", recipe)
    if folder.is_dir():
        return folder
    size = max(1, SHARD_FRAMES // (cutting.per_clip or SHARD_FRAMES))
    shards = [clips[start : start + size] for start in range(0, len(clips), size)]
    parts = []
    for number, made in enumerate(spread(partial(_prepare, steps=steps, cutting=cutting), shards), 1):
        parts.append(made)
        on_progress("landmarks", number, len(shards), {"faces": sum(map(len, parts))})
    if not sum(map(len, parts)):
        raise ConfigError(f"{found.folder}: no face was found in {len(clips)} clips; look at one of them")
    save(parts, folder, recipe)
    return folder


def content_of(data: Data, found: DataSet, clips: Sequence[Clip]) -> dict[str, Any]:
    """What decides the content of a set of crops of these clips.

    Raises:
        ConfigError: a model is missing.
    """
    return {
        "name": found.name,
        "made": MADE,
        "folder": str(found.folder.resolve()),
        "options": data.options,
        "clips": sha256_of(json.dumps([_known(clip) for clip in clips]).encode()),
        "files": _files(clips),
        "cutting": asdict(data.cutting),
        "models": {model: sha256_of(find_model(model).read_bytes()) for model in models_of(finders(clips))},
    }


def _known(clip: Clip) -> list[Any]:
    return [clip.name, clip.label, clip.split, clip.group, clip.kind, clip.cropped]


def _files(clips: Sequence[Clip]) -> str:
    """A hash that changes when a file of the clips does."""
    known = []
    for path in sorted({path for clip in clips for path in clip.footage.files()}):
        at = path.stat() if path.exists() else None
        known.append(f"{path.name} {at.st_size} {at.st_mtime_ns}" if at else path.name)
    return sha256_of("\n".join(known).encode())


def finders(clips: Sequence[Clip]) -> list[Step]:
    """The steps by which the faces of clips are found; cropped ones are only meshed."""
    return [MESH] if all(clip.cropped for clip in clips) else [DETECT, MESH]


def forged(genuine: Path, wanted: Forgeries, *, spread: Spread = map, on_progress: OnProgress) -> Path:
    """The folder of a prepared set's genuine crops, followed by forgeries."""
    recipe = {"name": f"{genuine.name}-forged", "made": MADE, **wanted.model_dump()}
    folder = folder_for(genuine.parent, recipe)
    if folder.is_dir():
        return folder
    if not wanted.per_real or not wanted.kinds:
        return genuine
    whole = open_set(genuine)
    rows = np.flatnonzero(np.asarray(whole.labels) == 0)
    shards = [rows[start : start + SHARD_FRAMES] for start in range(0, len(rows), SHARD_FRAMES)]
    parts = [unforged(whole)]
    for number, made in enumerate(spread(partial(_forge, genuine=genuine, wanted=wanted), shards), 1):
        parts.append(_renumbered(made, rows))
        on_progress("forging", number, len(shards), {"forgeries": sum(map(len, parts[1:]))})
    save(parts, folder, recipe)
    return folder


def _prepare(clips: Sequence[Clip], *, steps: list[Step], cutting: Cutting) -> CropSet:
    opened = open_steps(Config(steps=steps))
    try:
        return prepare(clips, list(opened.values()), cutting)
    finally:
        for step in opened.values():
            close: Any = getattr(step, "close", None)
            if close is not None:
                close()


def _forge(rows: Sequence[int], *, genuine: Path, wanted: Forgeries) -> CropSet:
    donors = _donors(genuine) if need_donors(wanted.kinds) else None
    return forgeries(open_set(genuine), rows, wanted.kinds, wanted.per_real, wanted.seed, donors)


@lru_cache(maxsize=1)
def _donors(genuine: Path) -> Donors:
    """Kept: a worker forges many pieces of one set, and all of its pixels are read for this."""
    return Donors(open_set(genuine))


def _renumbered(made: CropSet, rows: Any) -> CropSet:
    """Origins as rows among the genuine ones, which come first in the new set."""
    return replace(made, origins=np.searchsorted(rows, made.origins))


def _some(clips: Sequence[Clip], most: int) -> list[Clip]:
    """Up to `most` clips of each split and kind, spread evenly over them."""
    if not most:
        return list(clips)
    chosen: list[Clip] = []
    for key in sorted({(clip.split, clip.kind) for clip in clips}):
        of_it = [clip for clip in clips if (clip.split, clip.kind) == key]
        chosen += [of_it[int(i)] for i in np.unique(np.linspace(0, len(of_it) - 1, min(most, len(of_it))).round())]
    return chosen
