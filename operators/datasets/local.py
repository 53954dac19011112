"""Small sets as this project keeps them: images in tar archives, labels in a CSV file next to them.

FairFace (Karkkainen and Joo 2021) holds genuine faces alone; forgeries are made of them. Its training archives give
`train`, and `val` by a tenth of the pictures; its validation archive is `test`.
`side_by_side` and `stylegan2_vs_photo` are for evaluation alone.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path

from operators.datasets.clips import REAL, Clip, DataSet, Split, held_out
from operators.datasets.footage import Archived

SAME_HOST = {"Matilda_Bobbie": "David_Kovalniy", "Yohanna_Coralson": "Emily_Winston", "Tim_Chrys": "Kim_Jarrey"}
"""A clip of `side_by_side` is named after the face that is swapped in. Who sits before the camera differs from clip to
clip of that name, and of three people there is a clip under each of two names, by the distance of dlib's descriptors of
the genuine faces: at most 0.1, while all others lie 0.58 and more apart."""
FAIRFACE_COLUMNS = {"file", "archive", "age", "gender", "race"}


def has_fairface(folder: Path) -> bool:
    return _columns(folder / "labels.csv") >= FAIRFACE_COLUMNS


def read_fairface(folder: Path) -> DataSet:
    """Genuine faces, one still each, in the archives that are there."""
    clips = []
    for row in _rows(folder / "labels.csv"):
        file, archive = row["file"], folder / row["archive"]
        if archive.is_file():
            clips.append(Clip(file, Archived(archive, (file,)), 0, _fairface_split(file), file, cropped=True))
    return DataSet("fairface", folder, clips)


def _fairface_split(file: str) -> Split:
    if file.startswith("train/"):
        return "val" if held_out(file) else "train"
    return "test"


def has_side_by_side(folder: Path) -> bool:
    return {"file", "label", "clip", "frame"} <= _columns(folder / "frames.csv")


def read_side_by_side(folder: Path) -> DataSet:
    """Each clip before and after a live swap; no person, swapped in or before the camera, is in two groups."""
    frames: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for row in _rows(folder / "frames.csv"):
        frames[row["label"], row["clip"]].append((int(row["frame"]), row["file"]))
    archive = folder / "frames.tar"
    clips = []
    for (label, name), files in sorted(frames.items()):
        footage = Archived(archive, tuple(file for _, file in sorted(files)))
        swapped_in = re.sub(r"_\d+$", "", name)
        people, kind = SAME_HOST.get(swapped_in, swapped_in), _kind(label, "DeepFaceLive")
        clips.append(Clip(f"{label}/{name}", footage, int(label == "fake"), "test", people, kind))
    return DataSet("side_by_side", folder, clips)


def has_stylegan2(folder: Path) -> bool:
    return _columns(folder / "labels.csv") == {"file", "label"} and (folder / "images.tar").is_file()


def read_stylegan2(folder: Path) -> DataSet:
    """Faces that were generated whole, and photos."""
    clips = []
    for row in _rows(folder / "labels.csv"):
        file, label = row["file"], row["label"]
        footage = Archived(folder / "images.tar", (file,))
        clips.append(Clip(file, footage, int(label == "fake"), "test", file, _kind(label, "StyleGAN2")))
    return DataSet("stylegan2_vs_photo", folder, clips)


def _kind(label: str, fake: str) -> str:
    return fake if label == "fake" else REAL


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def _columns(file: Path) -> set[str]:
    if not file.is_file():
        return set()
    with file.open(newline="") as lines:
        return set(next(csv.reader(lines), []))
