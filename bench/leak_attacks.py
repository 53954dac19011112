"""Every attack on a style, each a matrix of scores that is worked out once and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from bench import leak_faceres
from bench.leak_attackers import Case, TrackView, attack, principal
from bench.leak_figures import alike
from bench.leak_learners import restored, retrained
from bench.leak_people import under_the_cover
from bench.leak_stages import KeptArrays
from bench.leak_styles import CoverStyle
from bench.leak_tracks import SMALL_PX
from bench.leak_views import OTHER, PROBE, RECOGNISERS, Views
from operators import fidelity
from operators.arrays import Array, Image
from pipeline.provenance import ROOT, content_hash

CODE = ("bench/leak_attackers.py", "bench/leak_learners.py", "bench/leak_faceres.py", "bench/leak_attacks.py")
METRICS = {"dlib": "euclidean", "faceres": "cosine"}
"""By which its makers compare what each recogniser says."""

AttackJob = tuple[CoverStyle, int, str]
"""Style, number of frames, and kind of attack."""


@dataclass(frozen=True, slots=True)
class Attacked:
    """Scores `(n, n)` of an attacker on so many frames of tracks under a style."""

    style: str
    frames: int
    attacker: str
    scores: Array


def attacks(views: Views, styles: Sequence[CoverStyle]) -> list[Attacked]:
    """All of them, the slow ones on all cores."""
    jobs = [job for style in styles for job in _jobs(style)]
    for style in styles:
        _prepare(views, style)
    made = views.stages.of_each(jobs, partial(_name, views), partial(_scores, views), "attacking")
    found = []
    for (style, count, _), scores in zip(jobs, made, strict=True):
        found += [
            Attacked(style.name, count, attacker, scores[attacker]) for attacker in scores if "psnr" not in attacker
        ]
    return found


def restorer_psnr(views: Views, style: CoverStyle) -> Mapping[str, Array]:
    """dB `(n,)` against the clear face, of what the restorer saw and of what it made of it."""
    job = style, max(style.described), "restorer"
    made = views.stages.kept(_name(views, job), partial(_scores, views, job))
    return {name: made[name] for name in ("psnr_seen", "psnr_restored")}


def _jobs(style: CoverStyle) -> list[AttackJob]:
    count = max(style.described)
    slow = [(style, count, kind) for kind in ("restorer", "cnn", "parrot")]
    return slow + [(style, number, "quick") for number in style.counts]


def _prepare(views: Views, style: CoverStyle) -> None:
    """What recognisers say of it, chunk by chunk on all cores."""
    rows, gallery = views.cast.rows, views.cast.gallery
    for picture in (PROBE, OTHER):
        views.work_out(style, picture, rows)
        views.clear("faceres", picture, rows)
        if style.thorough:
            views.covered_alone("faceres", style, picture, gallery)
    if style.thorough:
        views.clear("dlib", OTHER, gallery)
    for count in style.described:
        views.covered("faceres", style, PROBE, count, rows)
        if style.thorough:
            views.covered("dlib", style, PROBE, count, gallery)


def _name(views: Views, job: AttackJob) -> str:
    style, count, kind = job
    code = "".join(content_hash(ROOT / name)[:3] for name in CODE)
    size = f"{len(views.cast.gallery)}-{len(views.cast.learners)}"
    return f"scores/{style.name}-{style.digest}/{kind}-{count}-{size}-{code}"


def _scores(views: Views, job: AttackJob) -> KeptArrays:
    style, count, kind = job
    make = {"quick": _quick, "cnn": _cnn, "restorer": _restorer, "parrot": _parrot}[kind]
    return {name: found.astype(np.float32) for name, found in make(views, style, count).items()}


def _quick(views: Views, style: CoverStyle, count: int) -> KeptArrays:
    """Recognisers as they are, and what learns from the quick one's numbers and from pixels."""
    gallery, learners = views.cast.gallery, views.cast.learners
    described = count in style.described

    def seen(rows: Sequence[int]) -> TrackView:
        numbers = views.covered("faceres", style, PROBE, count, rows) if described else None
        return TrackView(numbers, views.estimates(style, PROBE, count, rows)["pixels"])

    clear = [views.clear("faceres", OTHER, rows) for rows in (learners, gallery)]
    found = attack(Case(seen(learners), clear[0], seen(gallery), clear[1]))
    for recogniser in style.recognisers if described else ():
        probes = views.covered(recogniser, style, PROBE, count, gallery)
        found[recogniser] = alike(views.clear(recogniser, OTHER, gallery), probes, METRICS[recogniser])
    return dict(found)


def _learned_chips(views: Views, style: CoverStyle, count: int) -> tuple[list[Image], list[Image]]:
    """Of learners, both pictures: covered chips, and the same clear."""
    covered: list[Image] = []
    clear: list[Image] = []
    for picture in (PROBE, OTHER):
        covered += list(views.estimates(style, picture, count, views.cast.learners)["chips"])
        clear += [views.cast.people[row][picture].chip() for row in views.cast.learners]
    return covered, clear


def _cnn(views: Views, style: CoverStyle, count: int) -> KeptArrays:
    gallery, learners = views.cast.gallery, views.cast.learners
    covered, _ = _learned_chips(views, style, count)
    wanted = [views.clear("faceres", picture, learners) for picture in (OTHER, PROBE)]
    probes = list(views.estimates(style, PROBE, count, gallery)["chips"])
    who = np.tile(np.arange(len(learners)), 2)
    guesses = retrained(leak_faceres.network(), covered, who, (wanted[0] + wanted[1]) / 2, probes, seed=views.seed)
    centre = (wanted[0] + wanted[1]).mean(axis=0) / 2
    return {"cnn": alike(views.clear("faceres", OTHER, gallery) - centre, guesses, "cosine")}


def _restorer(views: Views, style: CoverStyle, count: int) -> KeptArrays:
    gallery = views.cast.gallery
    covered, clear = _learned_chips(views, style, count)
    probes = list(views.estimates(style, PROBE, count, gallery)["chips"])
    made = restored(covered, clear, probes, seed=views.seed)
    own = np.stack([views.cast.people[row][PROBE].chip() for row in gallery])
    found = {"psnr_seen": fidelity.psnr(np.stack(probes), own), "psnr_restored": fidelity.psnr(made, own)}
    for recogniser in style.recognisers:
        metric = METRICS[recogniser]
        numbers = RECOGNISERS[recogniser](list(made))
        found[f"restored {recogniser}"] = alike(views.clear(recogniser, OTHER, gallery), numbers, metric)
    return found


def _parrot(views: Views, style: CoverStyle, count: int) -> KeptArrays:
    """The gallery is covered too, by an attacker who has the program: covers are compared with covers.

    What lies around the cover is made grey: two pictures of LFW are often of one occasion.
    """
    gallery = views.cast.gallery
    alone = []
    for picture in (OTHER, PROBE):
        pixels = views.estimates(style, picture, count, gallery)["pixels"][:, : 3 * SMALL_PX**2]
        masks = [under_the_cover(views.cast.people[row][picture]) for row in gallery]
        small = [cv2.resize(mask, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA) for mask in masks]
        alone.append(128 + (pixels.reshape(-1, 3, SMALL_PX, SMALL_PX) - 128) * np.stack(small)[:, None])
    found = {"parrot pixels": parrot(*alone)}
    if style.thorough:
        numbers = [views.covered_alone("faceres", style, picture, gallery) for picture in (OTHER, PROBE)]
        found["parrot faceres"] = alike(numbers[0], numbers[1], "cosine")
    return found


def parrot(known: Array, asked: Array) -> Array:
    """Scores `(n, n)` of covered faces `(n, ...)` against others of the same people, by principal components."""
    gallery, probes = principal(*(np.asarray(each_, np.float64).reshape(len(each_), -1) for each_ in (known, asked)))
    return alike(gallery, probes, "cosine") if gallery.shape[1] else np.full((len(asked), len(known)), -np.inf)
