"""What a pass costs: ours, bare decode + encode, and deface, on the same clips in one run.

    python -m bench.bench_pass

CPU-ms per frame of a whole process tree, as the slope between a short and a long run of the same clip, so that
start-up (its own column) does not count. All three encode by x264 with the same preset and CRF. Peak memory is the
largest sum of proportional set sizes over the tree, sampled.
"""

from __future__ import annotations

import argparse
import json
import os
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

from bench.report import write_report

console = Console()

CLIPS = {
    "360p": "stage_performance_audio.mp4",
    "720p": "cafe_conversation_occluded.mp4",
    "1080p": "street_crowd_1080p_audio.mp4",
}
PRESET, CRF = "veryfast", 23
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
                end = 0
                packet: Any
                for packet in container.demux(stream):
                    if packet.dts is None or count >= frames:
                        continue
                    end = max(end, packet.pts + packet.duration)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = copy
                    out.mux(packet)
                    count += 1
                shift += end
    return count


def commands(source: Path, folder: Path) -> dict[str, list[str]]:
    python = sys.executable
    ours = [python, "-m", "pipeline", "run", str(source), "-o", str(folder / "ours")]
    options = ["-preset", PRESET, "-crf", str(CRF), "-threads", "1"]
    ffmpeg = json.dumps({"codec": "libx264", "quality": None, "ffmpeg_params": options})
    deface = [python, "-m", "deface.deface", str(source), "-o", str(folder / "deface.mp4"), "--backend", "onnxrt"]
    return {
        "codec": [python, "-c", CODEC, str(source), str(folder / "codec.mp4"), PRESET, str(CRF)],
        "ours": [*ours, "--encode", f"preset={PRESET}", "--encode", f"crf={CRF}"],
        "deface": [*deface, "--ffmpeg-config", ffmpeg],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--short", type=int, default=50, help="frames of the short run")
    parser.add_argument("--long", type=int, default=200, help="frames of the long run")
    parser.add_argument("--sizes", nargs="+", choices=CLIPS, default=list(CLIPS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    data = os.environ.get("FACEWARDEN_DATA")
    if not data:
        raise SystemExit("set FACEWARDEN_DATA to the folder with the test data")

    table = Table("clip", "what", "CPU-ms/frame", "start-up CPU-s", "wall ms/frame", "peak MB", title="cost of a pass")
    figures: dict[str, float] = {}
    rows: list[dict[str, object]] = []
    for size in given.sizes:
        slopes: dict[str, float] = {}
        for what in ("codec", "ours", "deface"):
            costs, counts = [], []
            for frames in (given.short, given.long):
                with tempfile.TemporaryDirectory(prefix="facewarden-bench-") as folder:
                    clip = Path(folder) / "clip.mp4"
                    counts.append(cut(Path(data) / "videos" / CLIPS[size], clip, frames))
                    costs.append(measure(commands(clip, Path(folder))[what]))
            span = counts[1] - counts[0]
            slope = (costs[1].cpu_s - costs[0].cpu_s) / span * 1000
            row = {
                "clip": size,
                "what": what,
                "cpu_ms": slope,
                "startup_cpu_s": costs[0].cpu_s - slope * counts[0] / 1000,
                "wall_ms": (costs[1].wall_s - costs[0].wall_s) / span * 1000,
                "peak_mb": costs[1].peak_mb,
            }
            slopes[what] = slope
            rows.append(row)
            table.add_row(*(f"{value:.1f}" if isinstance(value, float) else str(value) for value in row.values()))
            figures[f"{what}_cpu_ms_{size}"] = slope
            figures[f"{what}_peak_mb_{size}"] = costs[1].peak_mb
        figures[f"deface_over_ours_{size}"] = slopes["deface"] / slopes["ours"]
        figures[f"ours_over_codec_{size}"] = slopes["ours"] / slopes["codec"]
    console.print(table)
    for name, value in figures.items():
        if "_over_" in name:
            console.print(f"{name}: {value:.2f}")
    if given.json:
        write_report(given.json, figures, rows, seed=0)


if __name__ == "__main__":
    main()
