"""What forensics cost per face: networks through our seam against a bare loop of ONNX Runtime, and whole operators.

    python -m bench.bench_forensics

CPU-ms of one thread. Both call a network in turn with the same batch and the same settings of the runtime; a ratio is
the median of the bare calls over that of ours, so 1 says that the seam costs nothing.

    acmf, gazeforensics_frame, gazeforensics_clip   the networks; a "face" of the last is a clip
    gazeforensics                                   both of its networks, a clip for every few faces as at run time
    whole                                           the operator on a picture with faces, every frame of them taken
    network, crop, quality                          of it: the networks, cutting out and preparing, reasons for silence
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.floors import Calls, Recorded
from engines import FacewardenError, open_engine
from engines.runtime import OpenEngine
from operators import Operator, crops
from operators.deepfake import quality
from operators.deepfake.acmf.operator import ForgeryScorer
from operators.deepfake.gazeforensics.data import prepared
from operators.deepfake.gazeforensics.operator import GazeJudge
from operators.frame import Faces, Frame
from operators.stills import frame_of
from pipeline.provenance import write_report
from pipeline.training.export import networks, recipe_of
from pipeline.training.recipe import load_recipe
from pipeline.training.scoring import committed

console = Console()

SYSTEMS = ("acmf", "gazeforensics")
LEAST_S = 1.0
"""So long a network is called at least, whatever the number of rounds."""
FRESH = 4
"""Faces that a track has new when a clip of it is scored, by default."""
PICTURE, SIDE_PX = (720, 1280), 160
BenchRow = dict[str, Any]
Inputs = Mapping[str, NDArray[Any]]


def files_of(models: Sequence[Path]) -> dict[str, dict[str, Path]]:
    """By system, the files of its networks: those of runs, or those that are committed.

    Raises:
        ConfigError: a folder holds no run, or there are no networks.
    """
    if models:
        recipes = {run: recipe_of(run) for run in models}
        stems = {recipe.use: run / recipe.variant for run, recipe in recipes.items()}
    else:
        every = {recipe.use: committed(recipe.use, recipe.variant) for recipe in map(load_recipe, SYSTEMS)}
        # A system may come without networks, as long as another has some.
        stems = {use: stem for use, stem in every.items() if any(stem.parent.glob(f"{stem.name}_*.onnx"))} or every
    return {use.split(".")[-1]: networks(stem) for use, stem in stems.items()}


def medians(*calls: Callable[[], object], rounds: int, least_s: float = LEAST_S) -> list[float]:
    """CPU-ms of each call, called in turn, every other time in the opposite order: whatever else the machine does, and
    whatever a call leaves in its caches, meets all of them alike."""
    for call in calls:
        call()
    taken: list[list[float]] = [[] for _ in calls]
    spent = 0.0
    while len(taken[0]) < rounds or spent < least_s:
        turn = list(zip(calls, taken, strict=True))
        for call, noted in turn if len(taken[0]) % 2 else turn[::-1]:
            began = time.process_time()
            call()
            noted.append(time.process_time() - began)
            spent += noted[-1]
    return [float(np.median(noted)) * 1000 for noted in taken]


def beside_bare(file: Path, batch: int, rounds: int, least_s: float = LEAST_S) -> tuple[float, float]:
    """CPU-ms per face of a bare session and of ours on the same batch."""
    engine, session = open_engine(file), _session(file)
    inputs = _batch(engine, batch)
    bare, ours = medians(lambda: session.run(None, inputs), lambda: engine(**inputs), rounds=rounds, least_s=least_s)
    return bare / batch, ours / batch


def _session(file: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _batch(engine: OpenEngine, batch: int) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(0)
    return {
        name: rng.random((batch, *(size or 1 for size in tensor.shape[1:]))).astype(tensor.dtype)
        for name, tensor in engine.inputs.items()
    }


def operator_of(system: str, files: Mapping[str, Path]) -> tuple[Operator, dict[str, Calls], int]:
    """A system's operator that keeps silent about nothing, what its networks are asked, and the size of its crops."""
    calls = {name: Calls(file) for name, file in files.items()}
    engines = {name: Recorded(open_engine(file), calls[name]) for name, file in files.items()}
    if system == "acmf":
        size = int(engines["detector"].inputs["face"].shape[-1])
        return ForgeryScorer(engines["detector"], size=size, limits={}), calls, size
    size, length = int(engines["frame"].inputs["face"].shape[-1]), int(engines["clip"].inputs["emb_seq"].shape[1])
    judge = GazeJudge(engines["frame"], engines["clip"], size=size, frames=length, stride=1, limits={})
    return judge, calls, size


def parts_of(system: str, files: Mapping[str, Path], *, faces: int, frames: int) -> dict[str, float]:
    """CPU-ms per face and frame of the whole operator, and of its parts."""
    operator, calls, size = operator_of(system, files)
    made = [picture(faces, index) for index in range(2 * frames)]
    operator(made[:frames])  # gaze is encoded from the first frame on, but compared only when a clip is full
    for asked in calls.values():
        asked.reset()
    began = time.process_time()
    operator(made[frames:])
    whole = time.process_time() - began
    meshes, bgr = made[0].faces.data["mesh"], made[0].bgr
    to_input = crops.to_input if system == "acmf" else lambda cut: prepared(cut, size)

    def cut() -> NDArray[np.uint8]:
        return crops.cut(bgr, crops.squares(meshes, size), size)[..., ::-1]

    shown = cut()
    (crop_ms,) = medians(lambda: to_input(cut()), rounds=frames, least_s=0)
    (quality_ms,) = medians(lambda: quality.faults(quality.measure(shown), {}), rounds=frames, least_s=0)
    per_face = 1000 / faces
    return {
        "whole": whole / frames * per_face,
        "network": sum(asked.total_s for asked in calls.values()) / frames * per_face,
        "crop": crop_ms / faces,
        "quality": quality_ms / faces,
    }


def picture(faces: int, index: int) -> Frame:
    """A frame of noise with faces in a row, which is all that the cost depends on."""
    rng = np.random.default_rng(0)
    frame = frame_of(rng.integers(0, 255, (*PICTURE, 3)).astype(np.uint8), index)
    mesh = rng.random((478, 3)) * (SIDE_PX, SIDE_PX, 0)
    step = (PICTURE[1] - SIDE_PX) / max(1, faces - 1)
    places = np.array([(number * step, SIDE_PX, 0) for number in range(faces)])
    meshes = (mesh + places[:, None]).astype(np.float32)
    boxes = np.concatenate([meshes[:, :, :2].min(axis=1), meshes[:, :, :2].max(axis=1)], axis=1)
    return replace(frame, faces=Faces.of(boxes, tracks=range(faces), data={"mesh": meshes}))


def measure(
    files: Mapping[str, Mapping[str, Path]],
    *,
    batches: Sequence[int],
    rounds: int,
    faces: int,
    frames: int,
    least_s: float = LEAST_S,
) -> tuple[dict[str, float], list[BenchRow]]:
    """Figures and rows; a ratio is that of the batch with which the seam costs most."""
    figures: dict[str, float] = {}
    rows: list[BenchRow] = []
    for system, of_it in files.items():
        for network, file in of_it.items():
            name = system if len(of_it) == 1 else f"{system}_{network}"
            for batch in batches:
                rows.append(_row(name, batch, *beside_bare(file, batch, rounds, least_s)))
        if len(of_it) > 1:
            rows += [_together(system, rows, batch) for batch in batches]
        for name in {row["what"] for row in rows if row["what"].startswith(system)}:
            figures[f"{name}_over_bare"] = min(row["over_bare"] for row in rows if row["what"] == name)
        parts = parts_of(system, of_it, faces=faces, frames=frames)
        rows += [{"what": f"{system}, {part}", "batch": faces, "ours_ms": ms} for part, ms in parts.items()]
        figures |= {f"{system}_{part}_ms": ms for part, ms in parts.items()}
    return figures, rows


def _row(what: str, batch: int, bare_ms: float, ours_ms: float) -> BenchRow:
    return {"what": what, "batch": batch, "bare_ms": bare_ms, "ours_ms": ours_ms, "over_bare": bare_ms / ours_ms}


def _together(system: str, rows: Sequence[BenchRow], batch: int) -> BenchRow:
    """What a face costs by both networks: each is encoded, and every few of them make a clip."""
    frame, clip = (
        next(row for row in rows if (row["what"], row["batch"]) == (f"{system}_{network}", batch))
        for network in ("frame", "clip")
    )
    bare, ours = (frame[name] + clip[name] / FRESH for name in ("bare_ms", "ours_ms"))
    return _row(system, batch, bare, ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, action="append", default=[], help="folder of a training run; repeatable")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32], help="faces in a call of a network")
    parser.add_argument("--rounds", type=int, default=51, help="calls of a network, at least")
    parser.add_argument("--faces", type=int, default=4, help="faces in a picture")
    parser.add_argument("--frames", type=int, default=48, help="pictures")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    try:
        figures, rows = measure(
            files_of(given.model), batches=given.batches, rounds=given.rounds, faces=given.faces, frames=given.frames
        )
    except FacewardenError as error:
        raise SystemExit(str(error)) from error
    print_table(rows)
    write_report(
        given.json, figures, rows, seed=0, code=("bench/bench_forensics.py", "operators/deepfake", "engines/ort.py")
    )


def print_table(rows: Sequence[BenchRow]) -> None:
    table = Table("what", "batch", "bare CPU-ms/face", "ours", "bare / ours", title="forensics, per face")
    for row in rows:
        numbers = (row.get(name) for name in ("bare_ms", "ours_ms", "over_bare"))
        table.add_row(row["what"], str(row["batch"]), *("" if n is None else f"{n:.3f}" for n in numbers))
    console.print(table)


if __name__ == "__main__":
    main()
