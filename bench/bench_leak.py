"""Who is still recognised under a cover: `python -m bench.bench_leak`. Re-identification on LFW, ours and deface.

A probe is a covered picture of somebody of whom the gallery holds one other picture; rank-1 is the share of probes
whose nearest in the gallery is the same person. The attacker knows where the face is (the box found in the clear
picture), which cover was used, and other people's pictures, clear and covered alike.

    dlib         dlib's face descriptor, as if there were no cover; clear gallery
    ridge        kernel ridge regression from covered pixels to dlib's descriptor of the clear face; clear gallery
    parrot-pca   whitened principal components of covered pixels; the gallery is covered in the same way
    parrot-lda   the same, with what varies within a person suppressed

Scope `chip` is what the descriptor sees of a face, `face` the cover's ellipse. `around`, for comparison, is a square
twice as high as the face: hair, clothes and background, which no cover of a face hides; LFW often has two pictures of
one occasion. Attackers learn on 350 identities, the gallery has the 500 others; `--tune` splits the 350 again. First
trials of covers were looked at on the gallery as well, so that its figures are not those of unseen people; `--seed`
draws another split. Each picture is a stream of its own, with its own secret, as pictures of different cameras
are. LFW is published for research only: use it for evaluation alone.
"""

from __future__ import annotations

import argparse
import inspect
import multiprocessing
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.spatial.distance import cdist

from bench.bench_keep import middle_face
from bench.data import data_folder
from engines import open_engine
from operators.arrays import Array, Image
from operators.deidentify.cover import SECRET_BYTES, CoverFaces
from operators.detect.centerface import CenterFace
from operators.frame import Faces, to_bgr
from operators.paint import cpu as painter
from operators.stills import decode_image, frame_of, read_images
from pipeline.models.catalog import find_model
from pipeline.models.fetch import pull
from pipeline.provenance import write_report

LEARN, TUNE_LEARN = 350, 150
DEFACE_SCALE = 1.3
CHIP_PX, CHIP_PADDING = 150, 0.25
PREDICTOR_SIDE = 0.9
SIDE_PX = 32
INSIDE = 0.85
"""Of the ellipse's squared radius: farther out, pixels of a reduced view mix with what lies around it."""
SCOPES = {"chip": 0.93, "around": 2.0}
"""Sides of squares, in heights of the face; the first is what dlib's aligned chips measure on average."""
COMPONENTS, DIRECTIONS = 64, 32
HEIGHTS_PX = (100, 300, 40)
STYLES = ("blur", "mosaic", "solid", "image")
PEERS = ("none", "deface blur", "deface mosaic")
IMAGE = "cover.png"
Hide = Callable[[Image, Array, int], Image]


@dataclass(frozen=True, eq=False, slots=True)
class PersonPicture:
    """One picture of a person: `(h, w, 3)` BGR, and the box of the face `(4,)` in pixels."""

    image: Image
    box: Array

    def resized(self, height_px: int) -> PersonPicture:
        """The same with a face of about that height; LFW's have 100 pixels."""
        if height_px == 100:
            return self
        scale = height_px / 100
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = np.asarray(cv2.resize(self.image, None, fx=scale, fy=scale, interpolation=how), np.uint8)
        return PersonPicture(image, self.box * scale)

    def square(self, side: float) -> Array:
        """A box around the middle of the face, its side in heights of the face."""
        x1, y1, x2, y2 = self.box
        x, y, half = (x1 + x2) / 2, (y1 + y2) / 2 + 0.055 * (y2 - y1), side * (y2 - y1) / 2
        return np.array([x - half, y - half, x + half, y + half])

    def chip(self, image: Image) -> Image:
        """`(150, 150, 3)` RGB: `image` as dlib aligns it, by the landmarks that it finds there at this shot's face."""
        rgb = np.ascontiguousarray(image[..., ::-1])
        shape = predictor()(rgb, dlib.rectangle(*map(round, self.square(PREDICTOR_SIDE).tolist())))
        return np.asarray(dlib.get_face_chip(rgb, shape, CHIP_PX, CHIP_PADDING))

    def views(self, image: Image, scale: float) -> dict[str, Image]:
        """The scopes of `image` for a cover of that scale, each `(32, 32, 3)` BGR."""
        out = (self.box[2:] - self.box[:2]) * (scale - 1)
        under = cut(image, np.concatenate([self.box[:2] - out, self.box[2:] + out]))
        away = ((np.arange(SIDE_PX) + 0.5) / SIDE_PX * 2 - 1) ** 2
        under[np.add.outer(away, away) >= INSIDE] = 0
        return {"face": under, **{scope: cut(image, self.square(side)) for scope, side in SCOPES.items()}}


def cut(image: Image, box: Array) -> Image:
    """`(32, 32, 3)`: what is in a box, black beyond the picture."""
    x1, y1, x2, y2 = map(round, box.tolist())
    there = np.array([[1, 0, -x1], [0, 1, -y1]], np.float64)
    crop = cv2.warpAffine(image, there, (max(x2 - x1, 1), max(y2 - y1, 1)))
    return np.asarray(cv2.resize(crop, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)


@cache
def predictor() -> Any:
    return dlib.shape_predictor(str(find_model("face_points")))


# -- what hides a face ---------------------------------------------------------------------------------


def ours(style: str, folder: Path, seed: int) -> Hide:
    """A style of `deidentify.cover` with its defaults, painted in yuv420p as in a run."""
    options: dict[str, Any] = {"style": style}
    if style == "image":
        options["image"] = str(folder / IMAGE)
    operator = CoverFaces(**options)

    def hide(image: Image, box: Array, number: int) -> Image:
        frame = frame_of(image, stream=str(number))
        operator.restore(frame.stream, np.random.default_rng((seed, number)).bytes(SECRET_BYTES))
        (frame,) = operator([replace(frame, faces=Faces.of([box]))])
        painter.paint(frame)
        return to_bgr(frame.picture)

    return hide


def draw_image(path: Path) -> None:
    """A plain smiling face as a picture file, which the style `image` pastes."""
    image = np.full((256, 256, 3), (90, 200, 240), np.uint8)
    for x in (90, 166):
        cv2.circle(image, (x, 100), 14, (40, 40, 40), -1)
    cv2.ellipse(image, (128, 140), (60, 50), 0, 20, 160, (40, 40, 40), 8)
    cv2.imwrite(str(path), image)


def deface(style: str) -> Hide:
    """deface's own code at its defaults: ellipse, mask scale 1.3; its mosaic has cells of 20 pixels."""
    from deface.deface import anonymize_frame

    def hide(image: Image, box: Array, _: int) -> Image:
        rgb = np.ascontiguousarray(image[..., ::-1])
        anonymize_frame(np.array([[*box, 1.0]]), rgb, 1.3, style, True, False, None, 20)
        return np.ascontiguousarray(rgb[..., ::-1])

    return hide


def clear(image: Image, _box: Array, _number: int) -> Image:
    return image


# -- attackers -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Case:
    """What an attacker has, as rows of pixels or of dlib's 128 numbers.

    Attributes:
        learn, learn_clear: covered pixels `(2n, d)` of other people and descriptors `(2n, 128)` of the same
            pictures, clear; two rows a person, one after the other.
        gallery, gallery_clear: the same of one picture of each person to be found.
        probes: covered pixels of another picture of each.
    """

    learn: Array
    learn_clear: Array
    gallery: Array
    gallery_clear: Array
    probes: Array


def attack(case: Case) -> dict[str, NDArray[np.bool_]]:
    """For each learned attacker, which probes it finds. Nothing is found in what is the same for all."""
    mean, centre = case.learn.mean(axis=0), case.learn_clear.mean(axis=0)
    _, spread, axes = scipy.linalg.svd(case.learn - mean, full_matrices=False)
    count = min(COMPONENTS, int((spread > 1e-3 * max(spread[0], 1)).sum()))
    if count == 0:
        nothing = np.zeros(len(case.probes), np.bool_)
        return {"ridge": nothing, "parrot-pca": nothing, "parrot-lda": nothing}
    whiten = axes[:count].T / (spread[:count] / np.sqrt(len(case.learn)))
    learn, gallery, probes = ((rows - mean) @ whiten for rows in (case.learn, case.gallery, case.probes))

    pairs = learn.reshape(-1, 2, count)
    within = np.cov(np.concatenate([pairs[:, 0] - pairs[:, 1], pairs[:, 1] - pairs[:, 0]]).T).reshape(count, count)
    variance, directions = scipy.linalg.eigh(within + 0.05 * np.trace(within) / count * np.eye(count))
    even = directions / np.sqrt(variance)
    people = pairs.mean(axis=1) @ even
    best = scipy.linalg.svd(people - people.mean(axis=0), full_matrices=False)[2][:DIRECTIONS].T

    near = np.exp(-0.25 * cdist(learn, learn, "sqeuclidean") / count) + 0.5 * np.eye(len(learn))
    weights = scipy.linalg.solve(near, case.learn_clear - centre, assume_a="pos")
    guesses = np.exp(-0.25 * cdist(probes, learn, "sqeuclidean") / count) @ weights
    return {
        "ridge": nearest(case.gallery_clear - centre, guesses, "cosine"),
        "parrot-pca": nearest(gallery, probes, "cosine"),
        "parrot-lda": nearest(gallery @ even @ best, probes @ even @ best, "cosine"),
    }


def nearest(gallery: Array, probes: Array, metric: str) -> NDArray[np.bool_]:
    """Which probes have their own row of the gallery nearest."""
    return np.asarray(cdist(probes, gallery, metric).argmin(axis=1) == np.arange(len(probes)))


@cache
def descriptor() -> Any:
    return dlib.face_recognition_model_v1(str(find_model("face_descriptor")))


def describe(chips: Sequence[Image]) -> NDArray[np.float64]:
    """dlib's descriptors `(n, 128)` of aligned chips."""
    return np.array(descriptor().compute_face_descriptor(list(chips)))


# -- the bench -----------------------------------------------------------------------------------------


def load() -> list[list[PersonPicture]]:
    """Of every person two shots in which a face is found."""
    detector = CenterFace(open_engine(find_model("centerface")), min_px=32)
    images = read_images(data_folder() / "faces_lfw" / "lfw_subset.tar")
    people: dict[str, list[PersonPicture]] = {}
    for name in track(sorted(name for name in images if name.endswith(".jpg")), "finding faces"):
        shots = people.setdefault(name.split("/")[-2], [])
        if len(shots) == 2:
            continue
        image = decode_image(images[name])
        box = middle_face(detector, image)
        if box is None:
            continue
        shots.append(PersonPicture(image, box.astype(np.float64)))
    return [shots for shots in people.values() if len(shots) == 2]


_people: list[list[PersonPicture]] = []
"""What forked children work on: inherited, since it is too large to be sent to each of them."""


def describe_clear(learn: int, first: int) -> NDArray[np.float64]:
    """Of up to 50 of the clear pictures an attacker has: both of each learner, then the gallery's."""
    shots = [shot for shots in _people[:learn] for shot in shots] + [shots[0] for shots in _people[learn:]]
    return describe([shot.chip(shot.image) for shot in shots[first : first + 50]])


def look(clear_numbers: Array, learn: int, folder: Path, seed: int, kind: tuple[str, int]) -> list[dict[str, Any]]:
    """The rows of one cover at one height; the first `learn` people are for learning, the rest for the gallery."""
    name, height_px = kind
    hide = clear if name == "none" else deface(name.split()[1]) if name in PEERS else ours(name, folder, seed)
    scale = DEFACE_SCALE if name in PEERS else inspect.signature(CoverFaces).parameters["scale"].default
    pixels: defaultdict[str, list[Array]] = defaultdict(list)
    probes: list[Image] = []
    for number, original in enumerate(shot for shots in _people for shot in shots):
        shot = original.resized(height_px)
        hidden = hide(shot.image, shot.box, number)
        for scope, view in shot.views(hidden, scale).items():
            pixels[scope].append(cv2.cvtColor(view, cv2.COLOR_BGR2YCrCb).reshape(-1))
        if height_px == 100 and number >= 2 * learn and number % 2:
            probes.append(shot.chip(hidden))
    learn_clear, gallery_clear = np.split(clear_numbers, [2 * learn])
    found = {}
    if probes:
        found["chip", "dlib"] = nearest(gallery_clear, describe(probes), "euclidean")
    for scope, rows in pixels.items():
        covered = np.array(rows, np.float32)
        held_out = covered[2 * learn :]
        case = Case(covered[: 2 * learn], learn_clear, held_out[::2], gallery_clear, held_out[1::2])
        found.update({(scope, attacker): hits for attacker, hits in attack(case).items()})
    return [
        {"cover": name, "height_px": height_px, "scope": scope, "attacker": attacker, **share(hits)}
        for (scope, attacker), hits in found.items()
    ]


def share(hits: NDArray[np.bool_]) -> dict[str, float]:
    """Rank-1 with its 95 % interval (Wilson)."""
    n, p, z = len(hits), float(hits.mean()), 1.96
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return {
        "rank1": p,
        "low": float(max(middle - half, 0) / (1 + z * z / n)),
        "high": float((middle + half) / (1 + z * z / n)),
    }


def worst(rows: Sequence[dict[str, Any]], **only: Any) -> dict[str, Any]:
    return max((row for row in rows if all(row[k] == v for k, v in only.items())), key=lambda row: float(row["rank1"]))


def draw_sheet(people: Sequence[Sequence[PersonPicture]], path: Path, folder: Path, seed: int) -> None:
    """What the covers look like, a row each, to be looked at and deleted."""
    hides = [clear, *(deface(name.split()[1]) for name in PEERS[1:]), *(ours(style, folder, seed) for style in STYLES)]
    rows = [np.hstack([hide(shots[0].image, shots[0].box, 2 * i) for i, shots in enumerate(people)]) for hide in hides]
    cv2.imwrite(str(path), np.vstack(rows))


def print_table(rows: Sequence[dict[str, Any]], people: int) -> None:
    table = Table(title=f"rank-1 in % among {people} people, chance {100 / people:.2f}")
    attackers = list(dict.fromkeys((row["scope"], row["attacker"]) for row in rows))
    for column in ("cover", "face px", *(f"{scope}\n{attacker}" for scope, attacker in attackers), "worst (95 %)"):
        table.add_column(column, justify="left" if column == "cover" else "right")
    for name, height_px in dict.fromkeys((row["cover"], row["height_px"]) for row in rows):
        mine = [row for row in rows if (row["cover"], row["height_px"]) == (name, height_px)]
        by = {(row["scope"], row["attacker"]): f"{100 * row['rank1']:.1f}" for row in mine}
        top = worst([row for row in mine if row["scope"] != "around"])
        span = f"{100 * top['rank1']:.1f} ({100 * top['low']:.1f}-{100 * top['high']:.1f})"
        table.add_row(name, str(height_px), *(by.get(key, "") for key in attackers), span)
    Console(width=max(Console().width, 120)).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the split into identities, and of the covers' noise")
    parser.add_argument("--tune", action="store_true", help="only on the identities that attackers learn on otherwise")
    parser.add_argument("--sheet", type=Path, help="write a picture of some covers, and end")
    given = parser.parse_args()
    pull(["centerface", "face_descriptor", "face_points"])
    people = load()
    people = [people[i] for i in np.random.default_rng(given.seed).permutation(len(people))]
    if given.tune or given.sheet:
        people = people[:LEARN]
    learn = TUNE_LEARN if given.tune else LEARN
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_image(folder / IMAGE)
        if given.sheet:
            draw_sheet(people[:8], given.sheet, folder, given.seed)
            return
        rows = measure(people, learn, folder, given.seed)
    print_table(rows, len(people) - learn)
    figures = {f"rank1_{style}": worst(rows, cover=style, scope="chip")["rank1"] for style in STYLES}
    figures |= {f"rank1_{peer.replace(' ', '_')}": worst(rows, cover=peer, scope="chip")["rank1"] for peer in PEERS}
    figures["rank1_worst_default"] = max(figures[f"rank1_{style}"] for style in STYLES)
    figures["rank1_worst_default_100px"] = max(
        worst(rows, cover=style, scope="chip", height_px=100)["rank1"] for style in STYLES
    )
    figures["rank1_worst_any"] = max(worst(rows, cover=c, scope=s)["rank1"] for c in STYLES for s in ("chip", "face"))
    figures["rank1_chance"] = 1 / (len(people) - learn)
    figures["identities"] = len(people) - learn
    write_report(given.json, figures, rows, given.seed)


def measure(people: list[list[PersonPicture]], learn: int, folder: Path, seed: int) -> list[dict[str, Any]]:
    """All rows, on all cores. Children are forked, so that the pictures need not be sent to them."""
    cv2.setNumThreads(1)
    kinds = [(name, 100) for name in (*PEERS, *STYLES)]
    kinds += [(style, height_px) for height_px in HEIGHTS_PX[1:] for style in STYLES]
    firsts = range(0, len(people) + learn, 50)
    _people[:] = people
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork")) as pool:
        numbers = np.concatenate(
            list(track(pool.map(partial(describe_clear, learn), firsts), "describing", total=len(firsts)))
        )
        looks = pool.map(partial(look, numbers, learn, folder, seed), kinds)
        return [row for rows in track(looks, "attacking", total=len(kinds)) for row in rows]


if __name__ == "__main__":
    main()
