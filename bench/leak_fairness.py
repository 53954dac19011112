"""Whether covers hide some groups worse than others: FairFace's validation split, as many of each race and gender.

FairFace has no identities: a probe is a track of the very picture that is in the gallery, clear. That is the easiest
case for the attacker, so groups are compared, and the figures are no rank-1 of re-identification.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from bench import leak_faceres
from bench.bench_keep import middle_face
from bench.data import data_folder
from bench.leak_figures import alike, found_first, share
from bench.leak_stages import KeptArrays, Stages, chunks
from bench.leak_styles import CoverStyle
from bench.leak_tracks import PersonPicture, estimates_of
from bench.leak_views import Views
from engines import open_engine
from operators.arrays import Array
from operators.detect.centerface import CenterFace
from operators.stills import decode_image, read_images
from pipeline.models.catalog import find_model

EACH, CHUNK = 25, 35
FACE_PX, BORDER_PX = 100.0, 48
"""Pictures are enlarged or reduced until a face is so high, as in LFW; FairFace cuts so tightly that a border helps."""
NUMBER = 30_000


@dataclass(frozen=True, eq=False, slots=True)
class GroupedFaces:
    """Pictures, and of each its group, as `Black, Female`."""

    people: Sequence[PersonPicture]
    groups: Sequence[str]


def fairness(views: Views, styles: Sequence[CoverStyle], most: int = EACH) -> list[dict[str, object]]:
    """Rank-1 by style and group, with intervals; groups are races, genders, and both together."""
    faces = grouped_faces(views.stages, most)
    rows: list[dict[str, object]] = []
    for style in styles:
        parts = views.stages.of_each(
            chunks(range(len(faces.people)), CHUNK),
            partial(_name, faces, style),
            partial(_described, views, faces, style),
            f"fairness: {style.name}",
        )
        clear, seen = (np.concatenate([part[name] for part in parts]) for name in ("clear", "seen"))
        hits = found_first(alike(clear, seen, "cosine"))
        rows += [
            {"style": style.name, "group": name, **shares} for name, shares in by_group(hits, faces.groups).items()
        ]
    return rows


def by_group(hits: Array, groups: Sequence[str]) -> dict[str, dict[str, float]]:
    """Shares with intervals of every group, of each of its parts, and of all.

    >>> found = by_group(np.array([True, False, False]), ["A, f", "A, m", "B, m"])
    >>> {name: (each["rank1"], each["faces"]) for name, each in found.items() if name in ("all", "A", "B, m")}
    {'all': (0.3333333333333333, 3), 'A': (0.5, 2), 'B, m': (0.0, 1)}
    """
    names = sorted({part for group in groups for part in (group, *group.split(", "))})
    members = {"all": np.ones(len(groups), bool)}
    members |= {name: np.array([name in (group, *group.split(", ")) for group in groups]) for name in names}
    return {name: {**share(hits[mine]), "faces": int(mine.sum())} for name, mine in members.items()}


def grouped_faces(stages: Stages, most: int) -> GroupedFaces:
    """Pictures in which a face is found, up to so many of each race and gender."""
    found = stages.kept(f"fairface-{most}", partial(_find, most))
    images = read_images(data_folder() / "faces_fairface" / "val-00.tar")
    people = [
        _sized(decode_image(images[str(name)]), box) for name, box in zip(found["names"], found["boxes"], strict=True)
    ]
    return GroupedFaces(people, [str(group) for group in found["groups"]])


def _find(most: int) -> KeptArrays:
    detector = CenterFace(open_engine(find_model("centerface")), min_px=48)
    folder = data_folder() / "faces_fairface"
    images = read_images(folder / "val-00.tar")
    found: dict[str, list[tuple[str, Array]]] = {}
    with (folder / "labels.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            mine = found.setdefault(f"{line['race']}, {line['gender']}", [])
            if line["file"] not in images or len(mine) == most:
                continue
            px = BORDER_PX
            image = cv2.copyMakeBorder(decode_image(images[line["file"]]), px, px, px, px, cv2.BORDER_REPLICATE)
            box = middle_face(detector, np.asarray(image, np.uint8))
            if box is not None:
                mine.append((line["file"], box.astype(np.float64) - BORDER_PX))
    rows = [(group, name, box) for group, mine in sorted(found.items()) for name, box in mine]
    groups, names, boxes = zip(*rows, strict=True)
    return {"groups": np.array(groups), "names": np.array(names), "boxes": np.array(boxes)}


def _sized(image: Array, box: Array) -> PersonPicture:
    scale = FACE_PX / float(box[3] - box[1])
    sized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return PersonPicture(np.asarray(sized, np.uint8), box * scale)


def _name(faces: GroupedFaces, style: CoverStyle, rows: Sequence[int]) -> str:
    return f"fairness/{style.name}-{style.digest}/{len(faces.people)}-{rows[0]}-{rows[-1]}"


def _described(views: Views, faces: GroupedFaces, style: CoverStyle, rows: Sequence[int]) -> KeptArrays:
    hide, jitter = style.make(views.files, views.seed), views.cast.jitter
    chips, clear = [], []
    for row in rows:
        own = jitter[np.random.default_rng((views.seed, row)).integers(len(jitter))]
        person = faces.people[row].cropped()
        made = estimates_of(person, hide, own, (1,), NUMBER + row, stretch=style.stretch)
        chips.append(made[1].chip)
        clear.append(faces.people[row].chip())
    return {"seen": leak_faceres.describe(chips), "clear": leak_faceres.describe(clear)}
