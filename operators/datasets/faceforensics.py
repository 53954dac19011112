"""FaceForensics++ (Roessler et al. 2019), with Google's DeepFakeDetection, as its download script lays them out.

    original_sequences/{youtube,actors}/{raw,c23,c40}/videos/NAME.mp4     or images/NAME/, frames/NAME/
    manipulated_sequences/KIND/{raw,c23,c40}/videos/TARGET_SOURCE.mp4
    {train,val,test}.json, or in splits/                                   [["071", "054"], ...]

The official lists split pairs of sources; both directions of a pair and both originals share a group. DeepFakeDetection
has no official splits and is for tests alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from engines import ConfigError
from operators.datasets.clips import REAL, SPLITS, Clip, DataSet, Split
from operators.datasets.footage import Footage, footage_in

KINDS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
COMPRESSIONS = {"raw": "raw", "c0": "raw", "c23": "c23", "c40": "c40"}


def recognises(folder: Path) -> bool:
    return (folder / "original_sequences").is_dir() or (folder / "manipulated_sequences").is_dir()


def read(folder: Path, *, compression: str = "c23", kinds: Sequence[str] = KINDS) -> DataSet:
    """The set at one compression.

    Args:
        compression: `c0` (or `raw`), `c23` or `c40`.
        kinds: folders of `manipulated_sequences`; the four of the paper by default.

    Raises:
        ConfigError: no such compression or kind, or a list of splits is missing.
    """
    if compression not in COMPRESSIONS:
        raise ConfigError(f"compression {compression!r}: expected one of {', '.join(COMPRESSIONS)}")
    level = COMPRESSIONS[compression]
    pairs = _pairs(folder)
    forged = folder / "manipulated_sequences"
    missing = [kind for kind in kinds if not (forged / kind).is_dir()]
    if missing:
        known = sorted(path.name for path in forged.glob("*"))
        raise ConfigError(f"{forged}: no kind {', '.join(missing)}; there are {', '.join(known) or 'none'}")
    clips = list(_clips(folder / "original_sequences" / "youtube" / level, REAL, pairs))
    for kind in kinds:
        if kind == "DeepFakeDetection":
            clips += _acted(folder / "original_sequences" / "actors" / level, REAL)
            clips += _acted(forged / kind / level, kind)
        else:
            clips += _clips(forged / kind / level, kind, pairs)
    return DataSet(f"faceforensics-{compression}", folder, clips)


def _pairs(folder: Path) -> dict[str, tuple[str, Split]]:
    """Of each original: its pair, written one way, and the split of that."""
    found: dict[str, tuple[str, Split]] = {}
    for split in SPLITS:
        candidates = [folder / f"{split}.json", folder / "splits" / f"{split}.json"]
        file = next((each for each in candidates if each.is_file()), None)
        if file is None:
            raise ConfigError(f"{candidates[0]}: the official list of pairs is missing; it is in the set's repository")
        for pair in json.loads(file.read_text()):
            found |= dict.fromkeys(pair, ("_".join(sorted(pair)), split))
    return found


def _clips(folder: Path, kind: str, pairs: dict[str, tuple[str, Split]]) -> Iterator[Clip]:
    for name, footage in _footage(folder):
        group, split = pairs.get(name.split("_")[0], ("", "test"))
        if group:
            yield Clip(f"{kind}/{name}", footage, int(kind != REAL), split, group, kind)


def _acted(folder: Path, kind: str) -> Iterator[Clip]:
    """Names begin with the actor, or with target and source."""
    for name, footage in _footage(folder):
        yield Clip(f"{kind}/{name}", footage, int(kind != REAL), "test", f"actor {name.split('_')[0]}", kind)


def _footage(folder: Path) -> list[tuple[str, Footage]]:
    """What lies in the first of the folders that a set may have: videos, or pictures taken out of them."""
    candidates = (footage_in(folder / within) for within in ("videos", "images", "frames"))
    return next(filter(None, candidates), [])
