"""What a pass costs: ours, bare decode + encode, and deface, on the same clips in one run.

    python -m bench.bench_pass

CPU-ms per frame of a whole process tree, as the slope between a short and a long run of the same clip, so that
start-up (its own column) does not count. All encode by x264 on one thread with the same preset and CRF. Peak memory is
the largest sum of proportional set sizes over the tree, sampled.

    codec      decode + encode in one process, nothing between: the floor
    carried    ours with nothing to find: what jail, broker, Ray and Python cost above the floor
    ours       the whole pass
    deface     the peer
    n workers  ours on two copies of a clip, by as many workers; per frame of both
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import psutil
from rich.console import Console
from rich.table import Table

from bench.clips import SIZES
from bench.data import data_folder
from pipeline.provenance import write_report

console = Console()

KINDS = ("codec", "carried", "ours", "deface", "workers")
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


def measure(command: list[str]) -> Cost:
    """Runs a command and adds up what its whole process tree used, as sampled every 50 ms.

    Raises:
        SystemExit: it failed.
    """
    with tempfile.TemporaryFile() as log:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=log, stderr=log)
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
        "deface": [*deface, "--ffmpeg-config", ffmpeg],
    }


def cost_of(
    what: str, source: Path, lengths: tuple[int, int], *, copies: int = 1, workers: int = 0
) -> dict[str, float]:
    """What a frame costs, and what the start does, computed from a short and a long run of the clip."""
    costs, counts = [], []
    for frames in lengths:
        with tempfile.TemporaryDirectory(prefix="facewarden-bench-") as name:
            folder = Path(name)
            clips = [folder / f"clip{number}.mp4" for number in range(copies)]
            counts.append(sum(cut(source, clip, frames) for clip in clips))
            costs.append(measure(commands(clips, folder, workers)[what]))
    (short, long), span = costs, counts[1] - counts[0]
    cpu_ms = (long.cpu_s - short.cpu_s) / span * 1000
    return {
        "cpu_ms": cpu_ms,
        "startup_cpu_s": short.cpu_s - cpu_ms * counts[0] / 1000,
        "wall_ms": (long.wall_s - short.wall_s) / span * 1000,
        "peak_mb": long.peak_mb,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", type=int, default=100, help="frames of the short run")
    parser.add_argument("--long", type=int, default=500, help="frames of the long run")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="leave out the rest")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    videos = data_folder() / "videos"

    figures: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    lengths = (given.short, given.long)
    for size in given.sizes:
        source = videos / SIZES[size]
        found = {}
        for what in (what for what in KINDS[:-1] if what in given.only):
            found[what] = cost_of(what, source, lengths)
            rows.append({"clip": size, "what": what, **found[what]})
            figures[f"{what}_cpu_ms_{size}"] = found[what]["cpu_ms"]
            figures[f"{what}_peak_mb_{size}"] = found[what]["peak_mb"]
        figures |= ratios(found, size)
    if "workers" in given.only:
        source = videos / SIZES[SCALED]
        walls = {}
        for workers in (1, 2):
            cost = cost_of("ours", source, lengths, copies=2, workers=workers)
            rows.append({"clip": SCALED, "what": f"{workers} worker{'s' * (workers > 1)}", **cost})
            walls[workers] = cost["wall_ms"]
        figures[f"speedup_of_2_workers_{SCALED}"] = walls[1] / walls[2]
    print_table(rows, figures)
    if given.json:
        write_report(given.json, figures, rows, seed=0)


def ratios(found: dict[str, dict[str, float]], size: str) -> dict[str, float]:
    """Each with its floor and its peer, as far as they were measured."""
    cpu = {what: cost["cpu_ms"] for what, cost in found.items()}
    figures = {}
    if {"codec", "ours"} <= cpu.keys():
        figures[f"ours_over_codec_{size}"] = cpu["ours"] / cpu["codec"]
    if {"codec", "carried"} <= cpu.keys():
        figures[f"carrying_cpu_ms_{size}"] = cpu["carried"] - cpu["codec"]
    if {"deface", "ours"} <= cpu.keys():
        figures[f"deface_over_ours_{size}"] = cpu["deface"] / cpu["ours"]
    return figures


def print_table(rows: list[dict[str, Any]], figures: dict[str, float]) -> None:
    table = Table("clip", "what", "CPU-ms/frame", "start-up CPU-s", "wall ms/frame", "peak MB", title="cost of a pass")
    for row in rows:
        table.add_row(*(f"{value:.1f}" if isinstance(value, float) else str(value) for value in row.values()))
    console.print(table)
    for name, value in figures.items():
        if not name.startswith(KINDS) or "_over_" in name:
            console.print(f"{name}: {value:.2f}")


if __name__ == "__main__":
    main()
