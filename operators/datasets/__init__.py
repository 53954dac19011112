"""Sets of genuine and forged footage as their owners publish them, with their official splits.

A reader says whether a folder has its layout, and lists the clips in it; no picture is opened before it is asked for.
Fake is 1 and genuine is 0 whatever the set says. Splits are `train`, `val` and `test`, and never tear a group apart;
a set without an official `val` gives up a tenth of its training groups, chosen by a hash of their names.

| set | reader | a group is | options |
| --- | --- | --- | --- |
| FaceForensics++, with DeepFakeDetection | `faceforensics` | the pair of sources | compression, kinds |
| Celeb-DF v1, v2 | `celebdf` | the person whose video it is | |
| DFDC, with its preview | `dfdc` | the original video | |
| WildDeepfake | `wilddeepfake` | the sequence's source | |
| any set in DeepfakeBench's layout | `deepfakebench` | the pair, the person or the video | name, compression |
| FairFace, side_by_side, stylegan2_vs_photo | `local` | the picture; clips that share a person | |
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from engines import ConfigError
from operators.datasets import celebdf, deepfakebench, dfdc, faceforensics, local, wilddeepfake
from operators.datasets.clips import Clip, DataSet
from operators.datasets.footage import Footage

__all__ = ["NAMED", "READERS", "Clip", "DataSet", "Footage", "find_set"]


class LayoutReader(NamedTuple):
    """How one layout is read."""

    recognises: Callable[[Path], bool]
    read: Callable[..., DataSet]


READERS = {
    "faceforensics": LayoutReader(faceforensics.recognises, faceforensics.read),
    "celebdf": LayoutReader(celebdf.recognises, celebdf.read),
    "wilddeepfake": LayoutReader(wilddeepfake.recognises, wilddeepfake.read),
    "deepfakebench": LayoutReader(deepfakebench.recognises, deepfakebench.read),
    "fairface": LayoutReader(local.has_fairface, local.read_fairface),
    "side_by_side": LayoutReader(local.has_side_by_side, local.read_side_by_side),
    "stylegan2_vs_photo": LayoutReader(local.has_stylegan2, local.read_stylegan2),
    "dfdc": LayoutReader(dfdc.recognises, dfdc.read),
}
"""In the order in which they are asked whether a folder is theirs."""

NAMED = {
    "fairface": "faces_fairface",
    "side_by_side": "deepfake/side_by_side",
    "stylegan2_vs_photo": "deepfake/stylegan2_vs_photo",
}
"""Sets that lie in the folder of local data, by their names."""


def find_set(name: str, data: Path | None = None, **options: Any) -> DataSet:
    """The set of a name in `NAMED`, or the one in a folder, whose layout says which it is.

    Args:
        name: a name, a folder, or a folder within `data`.
        data: the folder of local data, if there is one.
        options: for the reader.

    Raises:
        ConfigError: there is no such folder, no reader knows its layout, or the reader has no such option.
    """
    candidates = [Path(name), *([data / NAMED.get(name, name)] if data else [])]
    # From the root: its clips are read by workers in other folders.
    folder = next((each.absolute() for each in candidates if each.is_dir()), None)
    if folder is None:
        raise ConfigError(
            f"no data set {name!r}: expected a folder, or one of {', '.join(NAMED)} with FACEWARDEN_DATA set to the "
            f"folder that holds them; looked in {', '.join(map(str, candidates))}"
        )
    for reader in READERS.values():
        if reader.recognises(folder):
            try:
                return reader.read(folder, **options)
            except TypeError as error:
                raise ConfigError(f"{folder}: {error}") from error
    raise ConfigError(f"{folder}: no reader knows this layout; known: {', '.join(READERS)}")
