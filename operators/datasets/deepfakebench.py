"""Any set in DeepfakeBench's layout (Yan et al. 2023): JSON lists of frames that were cropped by its preprocessing.

    preprocessing/dataset_json/NAME.json, or dataset_json/NAME.json
        {NAME: {KIND: {"train": {[COMPRESSION:] {VIDEO: {"label": KIND, "frames": ["SET/.../000.png", ...]}}}, ...}}}
    SET/.../000.png           next to the lists, or in datasets/rgb/

Paths may be written in Windows' manner. A kind with `real` in its name is genuine. Its authors use `test` as `val` too,
where a set has none of its own; here `train` gives up a tenth of its groups as `val` then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from engines import ConfigError
from operators.datasets.clips import REAL, SPLITS, Clip, DataSet, Split, held_out
from operators.datasets.footage import ImageFiles, in_order

PAIR, CELEBRITY = re.compile(r"\d+_\d+"), re.compile(r"id\d+(_id\d+)?_\d+")
PLACES = ("preprocessing/dataset_json", "dataset_json")
PICTURES = (".", "datasets/rgb", "rgb", "datasets")


def recognises(folder: Path) -> bool:
    return any((folder / within).is_dir() for within in PLACES)


def read(folder: Path, *, name: str = "", compression: str = "c23") -> DataSet:
    """One of the lists.

    Args:
        name: of the list; may be left out where there is only one.
        compression: which of a list that has several.

    Raises:
        ConfigError: there is no such list, or several and none is named.
    """
    lists = {file.stem: file for within in PLACES for file in sorted((folder / within).glob("*.json"))}
    if name not in lists and not (not name and len(lists) == 1):
        raise ConfigError(f"{folder}: expected name to be one of {', '.join(sorted(lists)) or 'none'}, got {name!r}")
    name = name or next(iter(lists))
    kinds = next(iter(json.loads(lists[name].read_text()).values()))
    pairs = _pairs(kinds, compression)
    made = (_clips(folder, kind, splits, compression, pairs) for kind, splits in kinds.items())
    return DataSet(name, folder, list({clip.name: clip for clip in chain.from_iterable(made)}.values()))


def _pairs(kinds: Mapping[str, Any], compression: str) -> dict[str, str]:
    """Of each video of FaceForensics++ its pair: forgeries are called after both originals."""
    videos = (_videos(part, compression) for splits in kinds.values() for part in splits.values())
    found: dict[str, str] = {}
    for name in filter(PAIR.fullmatch, chain.from_iterable(videos)):
        originals = sorted(name.split("_"))
        found |= dict.fromkeys((name, *originals), "_".join(originals))
    return found


def _clips(
    folder: Path, kind: str, splits: Mapping[str, Any], compression: str, pairs: Mapping[str, str]
) -> Iterator[Clip]:
    label = int("real" not in kind.lower())
    tested = set(_videos(splits.get("test", {}), compression))
    has_val = bool(set(_videos(splits.get("val", {}), compression)) - tested)
    for said in SPLITS:
        for video, known in _videos(splits.get(said, {}), compression).items():
            if said != "test" and video in tested:
                continue
            group = _group(video, said, pairs)
            split: Split = "val" if said == "train" and not has_val and held_out(group) else said
            pictures = ImageFiles(tuple(in_order(_found(folder, frame) for frame in known["frames"])))
            yield Clip(f"{kind}/{video}", pictures, label, split, group, kind if label else REAL, cropped=True)


def _group(video: str, said: Split, pairs: Mapping[str, str]) -> str:
    """The pair in FaceForensics++; the person in Celeb-DF, whose lists have one in several parts; else the video."""
    if CELEBRITY.fullmatch(video):
        return f"{video.split('_')[0]} ({said})"
    return pairs.get(video, video)


def _videos(part: Mapping[str, Any], compression: str) -> Mapping[str, Any]:
    """Videos by name, from under the compression where there is that level."""
    if any("frames" in entry for entry in part.values()):
        return part
    within: Mapping[str, Any] = part.get(compression, {})
    return within


def _found(folder: Path, frame: str) -> Path:
    relative = frame.replace("\\", "/").lstrip("/")
    candidates = [folder / within / relative for within in PICTURES]
    return next((within for within in candidates if within.is_file()), candidates[0])
