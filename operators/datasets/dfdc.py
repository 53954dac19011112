"""The DeepFake Detection Challenge (Dolhansky et al. 2020): its training parts, its test sets, and the preview.

    [PART/]metadata.json      {"a.mp4": {"label": "FAKE", "split": "train", "original": "b.mp4"}, "b.mp4": ...}
    [PART/]labels.csv         filename,label with 1 for fake: validation and test sets

A fake and its original share a group. What is `train` by the metadata gives up a tenth of its groups as `val`; a folder
or a field that says `test` or `validation` is believed. The preview calls its fields `set` and `target_id`: the
person whose video it is.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from engines import ConfigError
from operators.datasets.clips import REAL, Clip, DataSet, Split, held_out
from operators.datasets.footage import footage_of

FAKE = "DFDC"


def recognises(folder: Path) -> bool:
    return bool(_lists(folder))


def read(folder: Path) -> DataSet:
    """The set; listed videos that are not there are passed over, for hardly anybody keeps all of its 470 GB.

    Raises:
        ConfigError: a list is not what it should be.
    """
    listed = {clip.name: clip for file in _lists(folder) for clip in _clips(folder, file)}
    return DataSet("dfdc", folder, list(listed.values()))


def _lists(folder: Path) -> list[Path]:
    names = ("metadata.json", "labels.csv", "dataset.json")
    return sorted(chain.from_iterable(chain(folder.glob(n), folder.glob(f"*/{n}")) for n in names))


def _clips(root: Path, file: Path) -> Iterator[Clip]:
    for video, known in _entries(file):
        path = next((p for p in (file.parent / video, (file.parent / video).with_suffix("")) if p.exists()), None)
        footage = footage_of(path) if path else None
        if footage is None:
            continue
        label = int(str(known["label"]).lower() in ("fake", "1"))
        part = file.parent.relative_to(root).as_posix()
        group = f"{part}/{known.get('original') or known.get('target_id') or video}"
        split = _split(str(known.get("split") or known.get("set") or ""), part, group)
        yield Clip(f"{part}/{video}", footage, label, split, group, FAKE if label else REAL)


def _entries(file: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        if file.suffix == ".csv":
            with file.open(newline="") as lines:
                found = [(row["filename"], dict(row)) for row in csv.DictReader(lines)]
        else:
            found = sorted(json.loads(file.read_text()).items())
        if all("label" in known for _, known in found):
            return found
        raise ValueError("a video without a label")
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise ConfigError(f"{file}: expected videos with their labels ({error}); fetch it again") from error


def _split(said: str, part: str, group: str) -> Split:
    for words in (said, part):
        if "test" in words:
            return "test"
        if "val" in words:
            return "val"
    return "val" if held_out(group) else "train"
