"""What readers list: clips, each a still or a video, with what is known of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engines import ConfigError
from operators.datasets.footage import Footage

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
REAL = "real"


@dataclass(frozen=True, slots=True)
class Clip:
    """One still or video.

    Attributes:
        name: unique in its set.
        footage: where its pictures are.
        label: fake = 1, genuine = 0.
        split: which it belongs to.
        group: what shares a person or a source, and is kept together.
        kind: how it was forged, `real` if it was not.
        cropped: its pictures show one face and little else, so that none has to be looked for.
    """

    name: str
    footage: Footage
    label: int
    split: Split
    group: str
    kind: str = REAL
    cropped: bool = False


@dataclass(frozen=True, slots=True)
class DataSet:
    """All clips of a set.

    Raises:
        ConfigError: there are none, or a group lies in two splits.
    """

    name: str
    folder: Path
    clips: Sequence[Clip]

    def __post_init__(self) -> None:
        if not self.clips:
            raise ConfigError(f"{self.folder}: has the layout of {self.name}, but no clips; unpack it")
        seen: dict[str, str] = {}
        for clip in self.clips:
            if seen.setdefault(clip.group, clip.split) != clip.split:
                both = f"{seen[clip.group]} and {clip.split}"
                raise ConfigError(f"{self.folder}: {clip.group} is in {both}; mend the lists of splits")


def held_out(group: str, share: float = 0.1) -> bool:
    """Whether a group is among a share of all that a hash of their names chooses: the same on every machine."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") < share * 2**32
