"""What masking adds to the way of a live frame, and what overload does: `python -m bench latency`.

RTSP cameras of 1080p30 (GStreamer's server, a real clip that runs to and fro) play in real time into a whole run, Ray
and all, with `delivery: low_latency` and an encoder that holds no picture back. A frame's added latency goes from the
arrival of its packet at ingest to the moment at which its masked packet can be read by a sink. An observer of the
broker sees both, as any sink sees them. Ingest may hold packets together for a moment, and that counts: a frame's
arrival is its time stamp, put where the least delayed of the packets around it came in.

Beside it: the look-ahead, whose wait is chosen, and the time that encoding the same pictures takes alone, one after the
other, which no frame can be spared.

Then the same cameras with the most thorough detector on every frame, which no two cores can keep up with: how far the
frames lag, what is withheld, and whether anything leaves unmasked. The config is the default one. In each clip somebody
more wanders about, whose place no config names; every output is decoded, and that face must be seen nowhere.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.clips import SIZES, camera_clip, unmasked
from bench.data import data_folder
from bench.floors import encode_times_ms
from bench.report import PASS
from engines import StreamError
from pipeline.brokers import MASKED, PACKETS, open_broker
from pipeline.config import Config, EncodeSection, Step, load
from pipeline.live.run import Run
from pipeline.models.catalog import models_of
from pipeline.models.fetch import pull
from pipeline.provenance import write_report
from pipeline.wire import Head, StreamRecord, fraction
from tests.rtsp_server import RtspServer

NEAR_S = 1.0
"""Packets this close in time tell how little one can be delayed."""
PERCENTILES = (50, 90, 99)
POLL_S = 0.05
THOROUGH = Step(use="detect.centerface", engines={"detector": "centerface"})


@dataclass
class Sighting:
    """When frames of one stream were seen at the broker, by their time stamps in seconds: raw, and masked."""

    packets: dict[tuple[int, float], float] = field(default_factory=dict)
    masked: dict[tuple[int, float], float] = field(default_factory=dict)


class Observer:
    """Follows the topics `packets` and `masked` of some streams, in threads, until it is closed."""

    def __init__(self, url: str, streams: Sequence[str]) -> None:
        self.sightings = {stream: Sighting() for stream in streams}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(url, topic, stream, seen), daemon=True)
            for stream, sighting in self.sightings.items()
            for topic, seen in ((PACKETS, sighting.packets), (MASKED, sighting.masked))
        ]
        for thread in self._threads:
            thread.start()

    def _follow(self, url: str, topic: str, stream: str, seen: dict[tuple[int, float], float]) -> None:
        broker = open_broker(url)
        reader, heads = broker.reader(topic, stream), dict[int, Head]()
        epochs = 0
        while not self._stop.is_set():
            for record in reader.read(POLL_S):
                now = time.monotonic()
                body = StreamRecord.FromString(record.value)
                if body.WhichOneof("body") == "head":
                    epochs += body.head.epoch not in heads
                    heads[body.head.epoch] = body.head
                elif body.WhichOneof("body") == "packet" and body.packet.track == 0 and body.packet.epoch in heads:
                    at = float(body.packet.pts * fraction(heads[body.packet.epoch].time_base))
                    seen.setdefault((epochs, round(at, 4)), now)
        reader.close()
        broker.close()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def latencies(sighting: Sighting, *, warm_up_s: float) -> list[tuple[float, float]]:
    """Of each masked frame when it arrived, in seconds since the first, and its added latency in ms.

    Only the source's first epoch counts, and of it what comes after the warm-up.
    """
    keys = [key for key in sorted(sighting.packets) if key[0] == 1]
    shown = np.array([at for _, at in keys])
    seen = np.array([sighting.packets[key] for key in keys])
    found = []
    for key, at in zip(keys, shown, strict=True):
        near = np.abs(shown - at) <= NEAR_S
        arrived = at + float((seen[near] - shown[near]).min())
        if key in sighting.masked and at - shown[0] >= warm_up_s:
            found.append((float(at - shown[0]), 1000 * (sighting.masked[key] - arrived)))
    return found


def config_of(given: str | None, encode: Sequence[str], *, thorough: bool) -> Config:
    """The config in low latency, encoding as given.

    Args:
        thorough: have the most thorough detector look at every frame, instead of its own.
    """
    config = load(given)
    steps = [step for step in config.steps if not (thorough and step.use.startswith("detect."))]
    if thorough:
        steps = [THOROUGH, *steps]
    pairs = dict(pair.split("=", 1) for pair in encode)
    chosen = {name: pairs.pop(name) for name in ("encoder", "preset", "crf") if name in pairs}
    coded = config.encode.model_dump() | chosen | {"options": config.encode.options | pairs}
    return config.model_copy(
        update={
            "steps": steps,
            "delivery": "low_latency",
            "encode": EncodeSection.model_validate(coded),
        }
    )


@contextmanager
def cameras(clip: Path, count: int) -> Iterator[list[str]]:
    """URLs of so many cameras that show the clip."""
    with RtspServer(play={f"camera{number}": clip for number in range(count)}) as server:
        yield [server.url(f"camera{number}") for number in range(count)]


def drive(urls: Sequence[str], config: Config, *, seconds: float, warm_up_s: float) -> dict[str, Any]:
    """Runs the cameras through Facewarden for so long, and reports what came out.

    Raises:
        SystemExit: a stream ended by itself, or nothing came out.
    """
    with tempfile.TemporaryDirectory(prefix="facewarden-bench-") as folder:
        url = f"sqlite://{folder}/broker/facewarden.db"
        run = Run(urls, f"{folder}/out", config, broker=url)
        observer = Observer(url, [job.source.stream for job in run.jobs])
        until = None
        try:
            for _ in run.drive():
                if until is None and all(sighting.packets for sighting in observer.sightings.values()):
                    until = time.monotonic() + seconds
                if until is not None and time.monotonic() >= until:
                    run.stop()
        except StreamError as error:
            raise SystemExit(f"the run failed: {error}") from error
        finally:
            observer.close()
        found = [latencies(sighting, warm_up_s=warm_up_s) for sighting in observer.sightings.values()]
        if not all(found):
            raise SystemExit(f"no frame came out after {warm_up_s} s: {[o.reason for o in run.outcomes]}")
        looked = [unmasked(Path(file)) for outcome in run.outcomes for file in outcome.files]
        ledgers = [outcome.ledger for outcome in run.outcomes]
    waits = [wait for stream in found for _, wait in stream]
    ends = [np.median([wait for at, wait in stream if at >= stream[-1][0] - 1]) for stream in found]
    return {
        "streams": len(urls),
        "frames": len(waits),
        **{f"p{percent}_ms": float(np.percentile(waits, percent)) for percent in PERCENTILES},
        "last_second_ms": float(max(ends)),
        "cpu_ms": sum(sum(each.cpu_ms.values()) for each in ledgers) / max(1, sum(each.shown for each in ledgers)),
        "withheld": sum(sum(each.withheld.values()) for each in ledgers),
        "decoded": sum(frames for frames, _ in looked),
        "unmasked": sum(seen for _, seen in looked),
    }


def table_of(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("", *(str(row["what"]) for row in rows), title="live, in real time")
    for name in dict.fromkeys(name for row in rows for name in row if name != "what"):
        values = (row.get(name, "-") for row in rows)
        table.add_row(name, *(f"{value:.1f}" if isinstance(value, float) else str(value) for value in values))
    return table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", choices=SIZES, default="1080p")
    parser.add_argument("--streams", type=int, default=2)
    parser.add_argument("--rate", type=int, default=30, help="frames per second of a camera")
    parser.add_argument("--seconds", type=float, default=30, help="of the run that is to keep up")
    parser.add_argument("--overload-seconds", type=float, default=6, help="of the one that is not to; 0 leaves it out")
    parser.add_argument("--warm-up", type=float, default=5, help="seconds that do not count")
    parser.add_argument("--config", help="YAML file, or the name of a packaged one")
    parser.add_argument("--encode", nargs="*", default=["tune=zerolatency"], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path)


def run(given: argparse.Namespace) -> None:
    console = Console()
    if missing := RtspServer.missing():
        console.print(f"nothing measured: {missing}; CONTRIBUTING.md names the packages")
        return
    config = config_of(given.config, given.encode, thorough=False)
    overload = config_of(given.config, given.encode, thorough=True)
    pull(models_of([*config.steps, THOROUGH]))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="facewarden-bench-") as folder:
        clip = Path(folder) / "camera.mp4"
        longest_s = max(given.seconds, given.overload_seconds) + 5
        frames = round(given.rate * longest_s)
        camera_clip(data_folder() / "videos" / SIZES[given.size], clip, frames=frames, rate=given.rate, marked=True)
        alone = encode_times_ms(clip, config.encode, frames=10 * given.rate)
        rows.append(
            {
                "what": "encoder alone",
                "frames": len(alone),
                **{f"p{percent}_ms": float(np.percentile(alone, percent)) for percent in PERCENTILES},
            }
        )
        with cameras(clip, given.streams) as urls:
            row = drive(urls, config, seconds=given.seconds, warm_up_s=given.warm_up)
        rows.append({"what": "added", **row})
        if given.overload_seconds:
            with cameras(clip, given.streams) as urls:
                row = drive(urls, overload, seconds=given.overload_seconds, warm_up_s=0)
            rows.append({"what": "overload", **row})
    lookahead_ms = config.wait_ms(live=True)
    console.print(table_of(rows))
    console.print(f"of the added time {lookahead_ms:.0f} ms are look-ahead")
    write_report(given.json, figures_of(rows, lookahead_ms), rows, code=("bench/bench_latency.py", *PASS))
    if any(row.get("unmasked") for row in rows):
        raise SystemExit("frames left unmasked")


def figures_of(rows: Sequence[Mapping[str, Any]], lookahead_ms: float) -> dict[str, float]:
    """Single numbers by stable names, such as `added_p99_ms`."""
    figures = {
        f"{str(row['what']).replace(' ', '_')}_{name}": float(value)
        for row in rows
        for name, value in row.items()
        if name not in ("what", "streams", "frames")
    }
    added, floor = figures["added_p99_ms"], figures["encoder_alone_p99_ms"]
    return {**figures, "lookahead_ms": lookahead_ms, "added_over_encoder_floor": (added - lookahead_ms) / floor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
