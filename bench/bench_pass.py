"""What a pass costs: ours, bare decode + encode, and deface, on the same clips in one run.

    python -m bench.bench_pass

CPU-ms per frame of a whole process tree, as the slope between a short and a long run of the same clip, so that start-up
(its own column) does not count. All encode by x264 on one thread with the same preset and CRF. Peak memory is the
largest sum of proportional set sizes over the tree, sampled. All take turns over some rounds, forth and back: figures
are medians, with the smallest and the largest beside them. A part, which is one cost less another, is left out unless
it is above zero in every round and larger than its own spread.

    codec      decode + encode in one process, nothing between: the floor
    carried    ours with nothing to find: what jail, broker, Ray and Python cost above the floor
    ours       the whole pass
    former     the whole pass of another checkout, which `--against FOLDER` names
    deface     the peer, on fewer frames
    n workers  ours on two copies of a clip, by as many workers; per frame of both

Clips are real ones of several people, and `corridor`: a drawn room in 720p, with a sensor's noise, through which
somebody walks in 5 % of the frames.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import psutil
from rich.console import Console
from rich.table import Table

from bench import corridor
from bench.clips import SIZES
from bench.data import data_folder
from bench.report import PASS, merged
from pipeline.models.fetch import pull
from pipeline.provenance import ROOT, write_report

console = Console(width=120)

KINDS = ("codec", "carried", "ours", "former", "deface", "workers")
EMPTY = "corridor"
CLIPS = (*SIZES, EMPTY)
PEER_SHARE = 5
"""deface gets so many times fewer frames: it costs ten to twenty times as much, and the same for each."""
SCALED = "720p"
PRESET, CRF = "veryfast", 23
NOTHING = "steps: [{use: detect.zones, options: {boxes: []}}]\n"
CODEC = """
import sys, av
source, target, preset, crf = sys.argv[1:]
with av.open(source) as container, av.open(target, "w") as out:
    stream = container.streams.video[0]
    stream.thread_count = 1
    coded = out.add_stream("libx264", rate=stream.average_rate, options={"preset": preset, "crf": crf})
    coded.width, coded.height, coded.pix_fmt = stream.width, stream.height, stream.pix_fmt
    coded.time_base, coded.thread_count = stream.time_base, 1
    for frame in container.decode(stream):
        frame.pict_type = 0
        out.mux(coded.encode(frame))
    out.mux(coded.encode())
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU-seconds, wall seconds and peak MB of one process tree."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def measure(command: list[str], checkout: Path = ROOT) -> Cost:
    """Runs a command and adds up what its whole process tree used, as sampled every 50 ms.

    Args:
        checkout: whose code it runs.

    Raises:
        SystemExit: it failed.
    """
    with tempfile.TemporaryFile() as log:
        began = time.monotonic()
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=checkout, env=environment)
        cpu: dict[tuple[int, float], float] = {}
        peak, ticks = 0.0, 0
        while process.poll() is None:
            memory = 0.0
            for child in _tree(process.pid):
                try:
                    times = child.cpu_times()
                    cpu[child.pid, child.create_time()] = times.user + times.system
                    if ticks % 10 == 0:
                        memory += child.memory_full_info().pss
                except psutil.Error:
                    continue
            peak = max(peak, memory)
            ticks += 1
            time.sleep(0.05)
        wall_s = time.monotonic() - began
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"{' '.join(command[:4])}: failed\n{log.read().decode()[-2000:]}")
    return Cost(sum(cpu.values()), wall_s, peak / 2**20)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cut(source: Path, target: Path, frames: int) -> int:
    """Copies the first frames (looping as often as needed) without audio; returns how many there are."""
    with av.open(str(target), "w") as out:
        copy = None
        count = 0
        shift = 0
        while count < frames:
            with av.open(str(source)) as container:
                stream = container.streams.video[0]
                copy = copy or out.add_stream_from_template(stream)
                begins, ends = [], []
                packet: Any
                for packet in container.demux(stream):
                    if packet.dts is None or count >= frames:
                        continue
                    begins.append(packet.pts)
                    ends.append(packet.pts + packet.duration)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = copy
                    out.mux(packet)
                    count += 1
                shift += max(ends) - min(begins)
    return count


def commands(sources: list[Path], folder: Path, workers: int = 0) -> dict[str, list[str]]:
    """How each of them is started; only ours takes several sources."""
    source, python = str(sources[0]), sys.executable
    ours = [python, "-m", "pipeline", "run", *map(str, sources), "-o", str(folder / "ours")]
    ours += ["--encode", f"preset={PRESET}", "--encode", f"crf={CRF}", "--workers", str(workers)]
    nothing = folder / "nothing.yaml"
    nothing.write_text(NOTHING)
    options = ["-preset", PRESET, "-crf", str(CRF), "-threads", "1"]
    ffmpeg = json.dumps({"codec": "libx264", "quality": None, "ffmpeg_params": options})
    deface = [python, "-m", "deface.deface", source, "-o", str(folder / "deface.mp4"), "--backend", "onnxrt"]
    return {
        "codec": [python, "-c", CODEC, source, str(folder / "codec.mp4"), PRESET, str(CRF)],
        "carried": [*ours, "--config", str(nothing)],
        "ours": ours,
        "former": ours,
        "deface": [*deface, "--ffmpeg-config", ffmpeg],
    }


def cost_of(
    what: str,
    source: Path,
    lengths: tuple[int, int],
    *,
    copies: int = 1,
    workers: int = 0,
    checkout: Path = ROOT,
) -> dict[str, float]:
    """What a frame costs, and what the start does, computed from a short and a long run of the clip."""
    costs, counts = [], []
    for frames in lengths:
        with tempfile.TemporaryDirectory(prefix="facewarden-bench-") as name:
            folder = Path(name)
            clips = [folder / f"clip{number}.mp4" for number in range(copies)]
            counts.append(sum(cut(source, clip, frames) for clip in clips))
            costs.append(measure(commands(clips, folder, workers)[what], checkout))
    (short, long), span = costs, counts[1] - counts[0]
    cpu_ms = (long.cpu_s - short.cpu_s) / span * 1000
    return {
        "cpu_ms": cpu_ms,
        "startup_cpu_s": short.cpu_s - cpu_ms * counts[0] / 1000,
        "wall_ms": (long.wall_s - short.wall_s) / span * 1000,
        "peak_mb": long.peak_mb,
    }


def lengths_of(clip: str, what: str, given: tuple[int, int]) -> tuple[int, int]:
    """Frames of the short and of the long run; in the corridor the long one is longer by the whole clip.

    >>> lengths_of("corridor", "ours", (100, 500)), lengths_of("720p", "deface", (100, 500))
    ((100, 1100), (20, 100))
    """
    if what == "deface":
        return given[0] // PEER_SHARE, given[1] // PEER_SHARE
    return (given[0], given[0] + corridor.FRAMES) if clip == EMPTY else given


Rounds = Sequence[Mapping[str, Mapping[str, float]]]
"""Of each round, by what was run, its costs."""


def ratios(found: Mapping[str, Mapping[str, float]], clip: str) -> dict[str, float]:
    """Each with its floor, its peer and its former self in one round, as far as they were measured."""
    cpu = {what: cost["cpu_ms"] for what, cost in found.items()}
    pairs = {"ours_over_codec": ("ours", "codec"), "deface_over_ours": ("deface", "ours"),
             "ours_over_former": ("ours", "former")}  # fmt: skip
    figures = {f"{name}_{clip}": cpu[a] / cpu[b] for name, (a, b) in pairs.items() if {a, b} <= cpu.keys()}
    if {"1 worker", "2 workers"} <= found.keys():
        figures[f"speedup_of_2_workers_{clip}"] = found["1 worker"]["wall_ms"] / found["2 workers"]["wall_ms"]
    return figures


def part(values: Sequence[float]) -> float | None:
    """The median of a difference over rounds; None where it is lost in the noise.

    >>> part([4.0, 5.0, 4.5]), part([4.0, -0.5, 9.0]), part([1.0, 4.0, 2.0])
    (4.5, None, None)
    """
    middle = statistics.median(values)
    return middle if min(values) > 0 and middle > max(values) - min(values) else None


def figures_of(rounds: Rounds, clip: str) -> dict[str, float]:
    """Medians and spreads of costs and ratios by stable names, such as `ours_over_codec_720p`; parts above noise."""
    costs = [
        {
            f"{what}_{name}_{clip}": cost[name]
            for what, cost in each.items() if "worker" not in what
            for name in ("cpu_ms", "peak_mb")
        }
        for each in rounds
    ]  # fmt: skip
    figures = merged([{**cost, **ratios(each, clip)} for cost, each in zip(costs, rounds, strict=True)])
    if all({"carried", "codec"} <= each.keys() for each in rounds):
        carrying = part([each["carried"]["cpu_ms"] - each["codec"]["cpu_ms"] for each in rounds])
        if carrying is not None:
            figures[f"carrying_cpu_ms_{clip}"] = carrying
    return figures


def rows_of(rounds: Rounds, clip: str) -> list[dict[str, Any]]:
    """The table: for each that was run medians, and the smallest and the largest of what a frame costs.

    A median that the noise has brought below zero is not a number.
    """
    rows = []
    for what in rounds[0]:
        costs = [each[what] for each in rounds]
        row: dict[str, Any] = {"clip": clip, "what": what}
        middle = {name: statistics.median(cost[name] for cost in costs) for name in costs[0]}
        row |= {name: value if value > 0 else math.nan for name, value in middle.items()}
        spent = [cost["cpu_ms"] for cost in costs]
        rows.append({**row, "least_cpu_ms": min(spent), "most_cpu_ms": max(spent), "rounds": len(rounds)})
    return rows


def runs_of(clip: str, only: Sequence[str], against: Path | None) -> list[str]:
    """What is run on a clip in each round.

    >>> runs_of("corridor", KINDS, None)
    ['codec', 'carried', 'ours', 'deface']
    """
    found = [what for what in KINDS[:-1] if what in only and (what != "former" or against)]
    return found + (["1 worker", "2 workers"] if clip == SCALED and "workers" in only else [])


def one_round(
    clip: str, source: Path, runs: Sequence[str], lengths: tuple[int, int], against: Path | None
) -> dict[str, dict[str, float]]:
    """Runs everything once, in the order given."""
    found = {}
    for what in runs:
        if "worker" in what:
            found[what] = cost_of("ours", source, lengths, copies=2, workers=int(what[0]))
            continue
        checkout = against if what == "former" and against is not None else ROOT
        found[what] = cost_of(what, source, lengths_of(clip, what, lengths), checkout=checkout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", type=int, default=100, help="frames of the short run")
    parser.add_argument("--long", type=int, default=500, help="frames of the long run")
    parser.add_argument("--sizes", nargs="+", choices=CLIPS, default=list(CLIPS), metavar="CLIP", help=", ".join(CLIPS))
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="leave out the rest")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is run")
    parser.add_argument("--against", type=Path, help="a checkout whose pass is measured as `former`")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    videos, against = data_folder() / "videos", given.against and given.against.resolve()
    if against and not (against / "pipeline" / "__main__.py").is_file():
        raise SystemExit(f"--against {given.against}: expected a checkout of Facewarden; there is no pipeline in it")
    pull(["centerface", "yunet"])

    figures: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="facewarden-bench-") as folder:
        for clip in given.sizes:
            source = Path(folder) / f"{EMPTY}.mp4" if clip == EMPTY else videos / SIZES[clip]
            if clip == EMPTY:
                corridor.write(source, videos)
            runs, rounds = runs_of(clip, given.only, against), []
            for number in range(given.rounds):
                order = runs[:: -1 if number % 2 else 1]
                found = one_round(clip, source, order, (given.short, given.long), against)
                rounds.append({what: found[what] for what in runs})
            rows += rows_of(rounds, clip)
            figures |= figures_of(rounds, clip)
    print_table(rows, figures)
    write_report(given.json, figures, rows, seed=0, code=("bench/bench_pass.py", "bench/corridor.py", *PASS))


def print_table(rows: Sequence[Mapping[str, Any]], figures: Mapping[str, float]) -> None:
    columns = ("clip", "what", "CPU-ms/frame", "start-up CPU-s", "wall ms/frame", "peak MB", "least", "most", "rounds")
    table = Table(*columns, title="cost of a pass: medians, and the least and the most CPU-ms per frame")
    for row in rows:
        table.add_row(*(f"{value:.1f}" if isinstance(value, float) else str(value) for value in row.values()))
    console.print(table)
    for name, value in figures.items():
        if not name.startswith(KINDS) or "_over_" in name:
            console.print(f"{name}: {value:.2f}")


if __name__ == "__main__":
    main()
