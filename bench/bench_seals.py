"""What sealing costs: `python -m bench.bench_seals`.

The very work of a run, on one clip in this process, with covers alone and with seals of each tier, in turn: CPU time of
a frame with the start of its decoder, of it the sealing of a face, and the size of seals. And what comes back of
PRO-Face S seals, in luma, against the samples that escrow gives back.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.bench_video_recall import read_frames
from bench.clips import SIZES
from bench.data import data_folder
from bench.report import PASS, SPREAD, merged
from operators import Operator
from operators.arrays import Array
from operators.fidelity import psnr
from operators.frame import Cover, Frame
from operators.paint.plan import groups_in
from pipeline.config import Config, load
from pipeline.live.dry_run import PacketClip, Trial, read_clip, try_out
from pipeline.live.sealer import NewestKeys
from pipeline.live.steps import open_steps
from pipeline.models.fetch import pull
from pipeline.provenance import write_report
from pipeline.sealing.carrier import CarrierNetworks
from pipeline.sealing.keyring import new_keyring
from pipeline.sealing.keys import MasterKey
from pipeline.sealing.seal import SealedFace, open_seal, seal_face

TIERS = ("escrow", "proface_s")
KINDS = ("cover", *TIERS)
RATE = 25
MB = 1e6


def configs(config: Config, folder: Path) -> dict[str, Config]:
    """By kind: that config with covers alone, and with seals of each tier by a new key in that folder."""
    master = MasterKey.new()
    master.write(folder / "key")
    new_keyring(folder / "ring", master)
    seal = {"keyring": str(folder / "ring"), "key_file": str(folder / "key"), "weights_private": True}
    whole = config.model_dump()
    sealed = {tier: Config.model_validate({**whole, "seal": {**seal, "tier": tier}}) for tier in TIERS}
    return {"cover": Config.model_validate({**whole, "seal": {}}), **sealed}


def one_round(
    clip: PacketClip, by_kind: Mapping[str, Config], operators: Mapping[str, Operator], order: Iterable[str] = KINDS
) -> dict[str, Trial]:
    """Each kind once."""
    return {kind: try_out(by_kind[kind], operators, clip) for kind in order}


def figures_of(trials: Mapping[str, Trial]) -> dict[str, float]:
    """Of one round."""
    # By stages: frames that wait in the look-ahead are sealed after the last packet, which `Trial.cpu_ms` ends with.
    figures = {f"{kind}_cpu_ms": sum(trials[kind].stages.values()) for kind in KINDS}
    for tier in TIERS:
        trial = trials[tier]
        faces = max(1, len(trial.seal_bytes))
        figures[f"{tier}_cpu_ms_per_face"] = trial.stages.get("seal", 0.0) * trial.shown / faces
        figures[f"{tier}_over_cover"] = figures[f"{tier}_cpu_ms"] / figures["cover_cpu_ms"]
        figures[f"{tier}_mb_per_face_minute"] = sum(trial.seal_bytes) / faces * RATE * 60 / MB
    return figures


def decibels(config: Config, frames: Iterable[Frame]) -> list[float]:
    """PSNR in luma of each face that a carrier gives back, of what lies under the covers of these frames.

    Args:
        config: with seals of tier PRO-Face S.
    """
    keys = NewestKeys(config.seal, "trial")()
    networks = CarrierNetworks.open(config.seal.networks, weights_private=True)
    found = []
    for frame in frames:
        for placed in (each for group in groups_in(frame) for each in group.covers):
            x1, y1, x2, y2 = map(float, placed.region.outer)
            face, box = SealedFace(0, frame.index, 0, 1, "blur"), (x1, y1, x2, y2)
            wanted = open_seal(keys, seal_face(keys, frame.picture, box, face))[0]
            given = networks.open_seal(keys, networks.seal_face(keys, frame.picture, box, face))
            grey = [plane[None, ..., None].repeat(3, -1) for plane in (wanted, *(given or ())[:1])]
            found.append(float(psnr(grey[0], grey[1])[0]) if given is not None else 0.0)
    return found


def covered(source: Path, covers: Mapping[int, Array], most: int = 12) -> Iterator[Frame]:
    """Some frames of a video with these covers, spread over it.

    Args:
        covers: by frame index, `(n, 4)` boxes.
    """
    with_some = sorted(index for index, boxes in covers.items() if len(boxes))
    chosen = set(with_some[:: max(1, len(with_some) // most)])
    for frame in read_frames(source):
        if frame.index > max(chosen, default=-1):
            return
        if frame.index in chosen:
            yield replace(frame, covers=tuple(Cover((a, b, c, d)) for a, b, c, d in covers[frame.index].tolist()))


def print_table(figures: Mapping[str, float]) -> None:
    table = Table("figure", "median", "spread", title="what sealing costs")
    for name, value in figures.items():
        if not name.endswith(SPREAD):
            spread = figures.get(f"{name}{SPREAD}")
            table.add_row(name, f"{value:.3f}", "" if spread is None else f"{spread:.3f}")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, nargs="?", help="a video; the 720p one of the data sets if not given")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    pull(["centerface", "yunet"])
    source = given.clip or data_folder() / "videos" / SIZES["720p"]
    clip = read_clip(source, frames=given.frames)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="facewarden-bench-") as folder:
        by_kind = configs(load(), Path(folder))
        operators = open_steps(by_kind["cover"])
        one_round(read_clip(source, frames=8), by_kind, operators)  # networks open, and memory is there
        trials: dict[str, Trial] = {}
        for number in range(given.rounds):
            trials = one_round(clip, by_kind, operators, KINDS[:: -1 if number % 2 else 1])
            rows.append(figures_of(trials))
        back = decibels(by_kind["proface_s"], covered(source, trials["cover"].covers))
    figures = {**merged(rows), "seals": len(trials["escrow"].seal_bytes), "frames": trials["escrow"].shown}
    figures |= {"proface_s_db": float(np.mean(back)), "proface_s_db_worst": min(back)}
    print_table(figures)
    code = ("bench/bench_seals.py", "pipeline/sealing", "operators/reversible/proface_s", *PASS)
    write_report(given.json, figures, rows, code=code)


if __name__ == "__main__":
    main()
