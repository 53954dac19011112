"""The four scenarios of MLPerf inference, on real clips, driven through the very worker of a run.

    python -m bench scenarios

A sample is one frame of a camera: a clip of `FACEWARDEN_DATA`, encoded anew so that no packet waits for a later one. It
is written to the embedded broker as ingest writes it; its latency ends when its masked packet can be read there. There
is no look-ahead, whose wait is chosen, and no Ray.

    single-stream   one camera: the next frame comes when the former is out
    multi-stream    several cameras: the next frame of each comes when the former of all are out
    server          several cameras: frames come by chance (Poisson), at a fraction of what multi-stream got done
    offline         all frames are there; only the throughput counts

CPU time is that of this process and its children, without the first frames. Each figure stands with its floor: bare
decode and encode, a bare loop of ONNX Runtime on the same inputs, bare writes and reads of the same bytes.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.bounds import Floors, Spent, advice
from bench.clips import SIZES, camera_clip
from bench.data import data_folder
from bench.floors import Codec, broker_floor, codec_floor
from bench.line import BenchLine, cpu_s
from bench.report import PASS, merged
from pipeline.config import Config, load
from pipeline.live.dry_run import PacketClip, read_clip
from pipeline.models.catalog import models_of
from pipeline.models.fetch import pull
from pipeline.provenance import write_report
from pipeline.wire import Ledger

SCENARIOS = ("single-stream", "multi-stream", "server", "offline")
PERCENTILES = (50, 90, 99)
WARM_UP = 8
"""Frames of each stream that do not count: networks allocate, the decoder's process starts."""


@dataclass
class Measured:
    """One scenario on one clip.

    Attributes:
        latencies_ms: of each query.
        wall_s, cpu_s, broker_s: from the end of the warm-up to the last frame.
        frames: in that time.
    """

    scenario: str
    streams: int
    frames: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    broker_s: float = 0.0
    engine_s: float = 0.0
    engine_floor_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    masked: list[bytes] = field(default_factory=list)


class Watched:
    """Counts what is used from here to `stop`."""

    def __init__(self, line: BenchLine, result: Measured) -> None:
        self._line, self._result = line, result
        for calls in line.networks.values():
            calls.reset()
        self._began = (time.perf_counter(), cpu_s(), line.broker_s, len(line.tap.left_s))

    def stop(self) -> None:
        line, result, (wall, cpu, broker, left) = self._line, self._result, self._began
        result.wall_s, result.cpu_s = time.perf_counter() - wall, cpu_s() - cpu
        result.broker_s, result.frames = line.broker_s - broker, len(line.tap.left_s) - left
        result.engine_s = sum(calls.total_s for calls in line.networks.values())


def measure(scenario: str, config: Config, clip: PacketClip, *, streams: int, rate: float, seed: int) -> Measured:
    """Runs one scenario.

    Args:
        rate: frames per second over all streams, for `server`.
    """
    offline = scenario == "offline"
    chosen = {"delivery": "transactional" if offline else "low_latency", "lookahead_ms": 0}
    config = Config.model_validate({**config.model_dump(exclude_unset=True), **chosen})
    result = Measured(scenario, 1 if scenario == "single-stream" else streams)
    with tempfile.TemporaryDirectory(prefix="facewarden-bench-") as folder:
        line = BenchLine(Path(folder), config, clip, streams=result.streams, live=not offline)
        try:
            {"server": _server, "offline": _offline}.get(scenario, _closed)(line, result, rate, seed)
            result.stages = _stages(line)
            result.masked = line.tap.masked[: len(clip.packets)]
        finally:
            line.close()
        result.engine_floor_s = sum(calls.floor_s() for calls in line.networks.values())
    return result


def _closed(line: BenchLine, result: Measured, rate: float, seed: int) -> None:  # noqa: ARG001
    """The next query comes when the former is answered: single-stream, multi-stream."""
    watched = None
    for number in range(len(line.clip.packets)):
        if number == WARM_UP:
            watched = Watched(line, result)
        began = time.perf_counter()
        for feed in line.feeds:
            feed.give()
        out = line.turn_until(number + 1)
        if watched is not None:
            result.latencies_ms.append(1000 * (out - began))
    assert watched is not None
    watched.stop()
    line.finish()


def _server(line: BenchLine, result: Measured, rate: float, seed: int) -> None:
    """Queries come when they come, answered or not."""
    for feed in line.feeds:
        feed.give(WARM_UP)
    line.turn_until(WARM_UP)
    watched = Watched(line, result)
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.repeat(np.arange(len(line.feeds)), len(line.clip.packets) - WARM_UP))
    due = time.perf_counter() + np.cumsum(rng.exponential(1 / rate, len(order)))
    arrived: dict[tuple[str, int], float] = {}

    def arrive() -> None:
        for number, at in zip(order.tolist(), due.tolist(), strict=True):
            time.sleep(max(0.0, at - time.perf_counter()))
            feed = line.feeds[number]
            arrived[line.streams[number], feed.given] = at
            feed.give()

    cameras = threading.Thread(target=arrive)
    cameras.start()
    line.turn_until(len(line.clip.packets))
    cameras.join()
    watched.stop()
    result.latencies_ms = [1000 * (line.tap.left_s[one] - at) for one, at in arrived.items()]
    line.finish()


def _offline(line: BenchLine, result: Measured, rate: float, seed: int) -> None:  # noqa: ARG001
    """Everything is there. The warm-up is the first unit, unless that is all."""
    for feed in line.feeds:
        feed.give(len(line.clip.packets))
        feed.end()
    watched = Watched(line, result)
    line.turn_until(WARM_UP)
    if len(line.tap.left_s) < len(line.feeds) * len(line.clip.packets):
        watched = Watched(line, result)
    line.work_off()
    watched.stop()


def _stages(line: BenchLine) -> dict[str, float]:
    """CPU-ms per frame by stage, between the first and the last commit of each stream that has frames in it."""
    spent: defaultdict[str, float] = defaultdict(float)
    frames = 0
    for states in line.tap.states.values():
        ledgers = [state.ledger for state in states if state.ledger.shown]
        first, last = ledgers[0], ledgers[-1]
        if first.shown == last.shown:
            first = Ledger()
        frames += last.shown - first.shown
        for stage, ms in last.cpu_ms.items():
            spent[stage] += ms - first.cpu_ms.get(stage, 0.0)
    return {stage: ms / max(1, frames) for stage, ms in spent.items()}


def row_of(clip: str, result: Measured, codec: Codec, broker_floor_ms: float) -> dict[str, Any]:
    """The figures of one scenario."""
    frames = max(1, result.frames)
    per_frame = 1000 / frames
    spent = Spent.of(
        per_frame * result.cpu_s,
        result.stages,
        broker=per_frame * result.broker_s,
        engine=per_frame * result.engine_s,
    )
    floors = Floors(codec.decode_ms, codec.encode_ms, per_frame * result.engine_floor_s, broker_floor_ms)
    waits = dict(zip(PERCENTILES, np.percentile(result.latencies_ms or [np.nan], PERCENTILES), strict=True))
    return {
        "clip": clip,
        "scenario": result.scenario,
        "streams": result.streams,
        "frames": result.frames,
        "fps": result.frames / result.wall_s,
        **{f"p{percent}_ms": float(wait) for percent, wait in waits.items() if result.latencies_ms},
        "cpu_ms": spent.total,
        **{f"{name.lower()}_cpu_ms": ms for name, ms in spent.by_bound().items()},
        "engine_cpu_ms": spent.engine,
        "over_pass_floor": spent.total / floors.pass_ms,
        **({"over_engine_floor": spent.engine / floors.engine} if floors.engine else {}),
        "over_broker_floor": spent.broker / floors.broker,
        "pass_floor_cpu_ms": floors.pass_ms,
        "engine_floor_cpu_ms": floors.engine,
        "broker_floor_cpu_ms": floors.broker,
        "bound": spent.bound,
        "next": advice(spent, floors, busy=result.cpu_s / result.wall_s),
    }


def figures_of(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Single numbers by stable names, such as `server_p99_ms_720p`."""
    return {
        f"{row['scenario'].replace('-', '_')}_{name}_{row['clip']}": float(value)
        for row in rows
        for name, value in row.items()
        if isinstance(value, float)
    }


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    """Figures from top to bottom, a column for each clip and scenario."""
    table = Table("", *(f"{row['clip']}\n{row['scenario']}" for row in rows), title="scenarios")
    for name in dict.fromkeys(name for row in rows for name in row if name not in ("clip", "scenario", "next")):
        values = (row.get(name, "-") for row in rows)
        table.add_row(name, *(f"{value:.2f}" if isinstance(value, float) else str(value) for value in values))
    return table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["720p"])
    parser.add_argument("--config", help="YAML file, or the name of a packaged one")
    parser.add_argument("--frames", type=int, default=240, help="of each stream")
    parser.add_argument("--streams", type=int, default=2, help="of all scenarios but single-stream")
    parser.add_argument("--load", type=float, default=0.7, help="of server: the fraction of multi-stream's throughput")
    parser.add_argument("--repeat", type=int, default=5, help="the median counts, and the spread is reported")
    parser.add_argument("--seed", type=int, default=0, help="of the arrivals")
    parser.add_argument("--json", type=Path)


def run(given: argparse.Namespace) -> None:
    config = load(given.config)
    if models := models_of(config.steps):  # none at all would be every one
        pull(models)
    # What multi-stream gets done says what server is given.
    wanted = [name for name in SCENARIOS if name in given.scenarios]
    if "server" in wanted and "multi-stream" not in wanted:
        wanted.insert(0, "multi-stream")
    console, rounds = Console(), []
    rows: list[dict[str, Any]] = []
    for number in range(given.repeat):
        rows = []
        for size in given.sizes:
            with tempfile.TemporaryDirectory(prefix="facewarden-bench-") as folder:
                path = Path(folder) / f"{size}.mp4"
                camera_clip(data_folder() / "videos" / SIZES[size], path, frames=given.frames)
                clip = read_clip(path, frames=given.frames)
                codecs = {live: codec_floor(path, config.encode, low_latency=live) for live in (False, True)}
            rate = 0.0
            for scenario in track(wanted, f"{size}, round {number + 1}", console=console, transient=True):
                result = measure(scenario, config, clip, streams=given.streams, rate=rate, seed=given.seed)
                if scenario == "multi-stream":
                    rate = given.load * result.frames / result.wall_s
                broker_ms = broker_floor(clip.packets, result.masked)
                rows.append(row_of(size, result, codecs[scenario != "offline"], broker_ms))
        rounds.append(figures_of(rows))
    console.print(table_of(rows))
    for row in rows:
        console.print(f"{row['clip']} {row['scenario']}: {row['next']}.", highlight=False)
    write_report(given.json, merged(rounds), rows, seed=given.seed, code=("bench/scenarios.py", *PASS))
