"""Crops of a data set with what is known of each, as arrays: what recipes learn from and evaluation looks at.

A set lies in a folder, one `.npy` for each array, and is opened without being read: pixels of a large set stay on
disk. It is there as a whole or not at all. How it is made, `cutting` and `forge` know.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from engines import ConfigError
from engines.files import sha256_of
from operators.arrays import Array


@dataclass(frozen=True, eq=False)
class CropSet:
    """Crops as parallel arrays of n rows.

    Attributes:
        pixels: `(n, s, s, 3)` uint8, R first.
        points: `(n, 478, 2)` float32, MediaPipe's mesh as x y in pixels of the crop.
        labels: `(n,)` int8, fake = 1 and genuine = 0.
        groups: `(n,)` str; what shows the same person or source shares one, and is never split.
        clips: `(n,)` str, the still or video it is from.
        frames: `(n,)` int64, which frame of the clip.
        splits: `(n,)` str: `train`, `val` or `test`.
        kinds: `(n,)` str, how it was forged; `real` for genuine ones.
        masks: `(n, m, m)` uint8 0..255, what was changed; empty `(0, m, m)` where it is not known.
        origins: `(n,)` int64, the row of the genuine crop that a forgery was made from, else -1.

    Raises:
        ValueError: an array has not n rows.
    """

    pixels: Array
    points: Array
    labels: Array
    groups: Array
    clips: Array
    frames: Array
    splits: Array
    kinds: Array
    masks: Array
    origins: Array

    def __post_init__(self) -> None:
        for name, rows in self.arrays().items():
            if len(rows) != len(self.pixels) and not (name == "masks" and len(rows) == 0):
                raise ValueError(f"crops.{name}: expected {len(self.pixels)} rows, got {len(rows)}")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> int:
        return int(self.pixels.shape[1])

    def arrays(self) -> dict[str, Array]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def where(self, rows: Array) -> Self:
        """The rows that a mask or index array selects, copied into memory; origins follow, -1 where left out."""
        index = np.arange(len(self))[rows]
        position = np.full(len(self) + 1, -1, np.int64)  # the last stands for -1
        position[index] = np.arange(len(index))
        chosen = {name: array[index] if len(array) else array for name, array in self.arrays().items()}
        return replace(self, **{**chosen, "origins": position[self.origins[index]]})

    def split(self, name: str) -> Self:
        return self.where(np.flatnonzero(self.splits == name))


def folder_for(cache: Path, recipe: Mapping[str, Any]) -> Path:
    """Where the set of a recipe lies: named by what it is, and by a hash of everything that decides its content."""
    content = json.dumps(recipe, sort_keys=True, default=str).encode()
    return cache / f"{recipe.get('name', 'crops')}-{sha256_of(content)[:12]}"


def save(parts: Sequence[CropSet], folder: Path, recipe: Mapping[str, Any]) -> None:
    """Writes parts, one after the other, as one set; a reader sees all of it or nothing, also after a kill."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name in (field.name for field in fields(CropSet)):
            arrays = [getattr(part, name) for part in parts]
            dtype = np.result_type(*arrays)  # the widest, of texts
            shape = (sum(map(len, arrays)), *arrays[0].shape[1:])
            joined = np.lib.format.open_memmap(draft / f"{name}.npy", "w+", dtype, shape) if shape[0] else None
            if joined is None:
                np.save(draft / f"{name}.npy", np.empty(shape, dtype))
                continue
            np.concatenate(arrays, out=joined)
            joined.flush()
        (draft / "recipe.json").write_text(json.dumps(recipe, indent=1, default=str) + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def join(parts: Sequence[CropSet]) -> CropSet:
    """Parts, one after the other; origins are taken as they are, for rows of the whole."""
    return CropSet(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(CropSet)})


def open_set(folder: Path) -> CropSet:
    """A saved set; pixels and masks are mapped, not read.

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    try:
        return CropSet(**{f.name: np.load(folder / f"{f.name}.npy", mmap_mode="r") for f in fields(CropSet)})
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: expected a set of crops ({error}); delete it, and it is made again") from error
