"""Celeb-DF v1 and v2 (Li et al. 2020).

    Celeb-real/ID_NUMBER.mp4  YouTube-real/NUMBER.mp4  Celeb-synthesis/TARGET_SOURCE_NUMBER.mp4
    List_of_testing_videos.txt        "1 Celeb-real/id0_0001.mp4", where 1 is genuine and 0 is fake

The official list names the test videos; the others are for training, and a tenth of their persons becomes `val`. The
list splits by video: a celebrity may be in `test` and in `train`. A group is a person within one of these two sides.
"""

from __future__ import annotations

from pathlib import Path

from engines import ConfigError
from operators.datasets.clips import REAL, Clip, DataSet, Split, held_out
from operators.datasets.footage import footage_in

TEST_LIST = "List_of_testing_videos.txt"
FOLDERS = {"Celeb-real": 0, "YouTube-real": 0, "Celeb-synthesis": 1}


def recognises(folder: Path) -> bool:
    return (folder / TEST_LIST).is_file() or (folder / "Celeb-synthesis").is_dir()


def read(folder: Path) -> DataSet:
    """The set.

    Raises:
        ConfigError: the list of test videos is missing or names one with the wrong label.
    """
    listed = _listed(folder / TEST_LIST)
    clips = []
    for name, label in FOLDERS.items():
        for stem, footage in footage_in(folder / name):
            known = f"{name}/{stem}"
            split: Split = "test" if known in listed else "val" if held_out(_person(stem)) else "train"
            group = f"{_person(stem)} ({'test' if split == 'test' else 'train'})"
            clips.append(Clip(known, footage, label, split, group, REAL if label == 0 else "Celeb-synthesis"))
    return DataSet("celebdf", folder, clips)


def _person(stem: str) -> str:
    """`id0` of `id0_0001` and of `id0_id1_0001`: whose video it is. YouTube's videos are each their own."""
    return stem.split("_")[0]


def _listed(file: Path) -> set[str]:
    if not file.is_file():
        raise ConfigError(f"{file}: the official list of test videos is missing; it comes with the set")
    names = set()
    for line in filter(None, map(str.strip, file.read_text().splitlines())):
        genuine, _, video = line.partition(" ")
        folder = video.split("/")[0]
        if FOLDERS.get(folder) != {"1": 0, "0": 1}.get(genuine, -1):
            raise ConfigError(f"{file}: {line!r}: expected 1 before a genuine video and 0 before a fake one")
        names.add(video.strip().removesuffix(".mp4"))
    return names
