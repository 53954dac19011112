"""WildDeepfake (Zi et al. 2020): sequences of cropped faces, unpacked.

    {real,fake}_{train,test}/SOURCE/{real,fake}/SEQUENCE/NUMBER.png

`val` is a tenth of the training sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from operators.datasets.clips import REAL, Clip, DataSet, Split, held_out
from operators.datasets.footage import PICTURES, ImageFiles, pictures_in

FAKE = "WildDeepfake"
PARTS = tuple(f"{kind}_{part}" for kind in ("real", "fake") for part in ("train", "test"))


def recognises(folder: Path) -> bool:
    return any((folder / part).is_dir() for part in PARTS)


def read(folder: Path) -> DataSet:
    """The set; a clip is a sequence."""
    return DataSet("wilddeepfake", folder, [clip for part in PARTS for clip in _clips(folder, part)])


def _clips(folder: Path, part: str) -> Iterator[Clip]:
    label = int(part.startswith("fake"))
    for sequence in sorted({path.parent for path in (folder / part).rglob("*") if path.suffix.lower() in PICTURES}):
        name = sequence.relative_to(folder).as_posix()
        group = "/".join(name.split("/")[:2])
        split: Split = "test" if part.endswith("test") else "val" if held_out(group) else "train"
        kind = FAKE if label else REAL
        yield Clip(name, ImageFiles(tuple(pictures_in(sequence))), label, split, group, kind, cropped=True)
