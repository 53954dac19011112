"""The blind restorer: who has PRO-Face S's weights, and neither key nor pair, on faces that nobody learned from.

`lossless` is the 8-bit carrier as it was made; `public` is it after H.264 at the CRF of a run, alone and not scaled,
which suits the attacker better than a video does. What is restored is compared with what everybody sees in the same
place: the cover itself, after the same codec. The attack is `operators/reversible/proface_s/attacks.py`, the faces and
covers are those of `bench_reversible`.
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import torch

from bench.bench_reversible import HiddenFaces, db, held_out, mean_of, shown, signed, through, trial
from bench.data import data_folder
from bench.leak_stages import KeptArrays, Stages
from bench.leak_tracks import CHIP_PX, CRF
from bench.leak_views import RECOGNISERS
from engines import open_engine
from operators.arrays import Array
from operators.reversible.proface_s import attacks
from operators.reversible.proface_s.attacks import AttackStrength
from operators.reversible.proface_s.carriers import eight_bits
from pipeline.training.export import networks
from pipeline.training.scoring import committed

FACES, MIDDLE_PX = 6, 80
"""The attack takes long: it is tried on the middles of crops, from brow to chin."""
PUBLIC = f"h264_{CRF}"
STRENGTH = AttackStrength(steps=200)


def blind_figures(stages: Stages, seed: int, count: int = FACES) -> tuple[dict[str, float], list[dict[str, object]]]:
    """Means with intervals over faces, and the table: PSNR in dB and cosines with the clear face, seen and restored.

    `gain` is what is restored above the cover: the attack gains nothing where its interval reaches below 0.
    """
    files = networks(committed("reversible.proface_s", "small"))
    protect = open_engine(files["protect"])
    made = _middles(trial(protect, held_out(count, int(protect.inputs["face"].shape[-1] or 0), data_folder()), seed))
    jobs = [(row, kind) for row in range(count) for kind in ("lossless", "public")]
    attacked = stages.of_each(jobs, partial(_name, count), partial(_restored, made, seed), "blind restorer")
    restored_of = {job: found["restored"] for job, found in zip(jobs, attacked, strict=True)}
    figures: dict[str, float] = {}
    rows: list[dict[str, object]] = []
    for kind in ("lossless", "public"):
        restored = np.stack([restored_of[row, kind] for row in range(count)])
        covers = made.covers if kind == "lossless" else through(PUBLIC, made.covers)
        for name, (seen, found) in _against(made, covers, restored).items():
            parts = {"seen": seen, "restored": found, "gain": found - seen}
            for part, values in parts.items():
                figure = mean_of(values, seed)
                key = f"blind_{kind}_{name}_{part}"
                figures |= {key: figure.value, f"{key}_low": figure.low, f"{key}_high": figure.high}
                ends = {"value": figure.value, "low": figure.low, "high": figure.high}
                rows.append({"carrier": kind, "measure": name, "of": part, **ends})
    return figures, rows


def _middles(made: HiddenFaces) -> HiddenFaces:
    start = (made.side - MIDDLE_PX) // 4 * 2
    part = slice(start, start + MIDDLE_PX)
    crops = {name: getattr(made, name)[..., part, part] for name in ("faces", "covers", "maps", "exact", "carriers")}
    return HiddenFaces(**crops)


def _name(count: int, job: tuple[int, str]) -> str:
    row, kind = job
    return f"blind/{kind}-{row}-{count}-{MIDDLE_PX}-{STRENGTH.steps}"


def _restored(made: HiddenFaces, seed: int, job: tuple[int, str]) -> KeptArrays:
    row, kind = job
    network = attacks.network_of(networks(committed("reversible.proface_s", "small"))["recover"])
    carrier = made.carriers[row : row + 1]
    given = signed(carrier if kind == "lossless" else through(PUBLIC, carrier))
    found = attacks.blind(network, torch.from_numpy(given), STRENGTH, seed=seed).numpy()
    return {"restored": eight_bits(found)[0]}


def _against(made: HiddenFaces, covers: Array, restored: Array) -> dict[str, tuple[Array, Array]]:
    """By measure what the cover and what the restored face has of the clear one, `(n,)` each."""
    found = {"psnr": (db(covers, made.faces), db(restored, made.faces))}
    for recogniser, describe in RECOGNISERS.items():
        clear, seen, given = (
            describe(
                [
                    np.asarray(cv2.resize(np.ascontiguousarray(crop), (CHIP_PX, CHIP_PX)), np.uint8)
                    for crop in shown(crops)
                ]
            )
            for crops in (made.faces, covers, restored)
        )
        found[f"cos_{recogniser}"] = (_cosines(clear, seen), _cosines(clear, given))
    return found


def _cosines(a: Array, b: Array) -> Array:
    return np.asarray((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))
