"""Kills processes of a run at random and looks at what came out: `python -m bench.chaos --kills 200`.

A run anonymizes clips with the default config. Every frame carries its number in a bar code, and somebody wanders
about, comes and goes, whose place no config names (`bench.numbered`). While it runs, one of its processes after the
other is killed with SIGKILL: workers and I/O actors, jailed children, the driver itself (then the same command is given
again) and, with Kafka, the broker's node. Between these the driver is ended by SIGTERM and started again, the wall
clock is set, the disk is full for a while, Kafka's node says nothing, or the wire to it is cut, one way or both, as far
as the machine lets us (`bench.faults`). At the end every output is decoded: each number exactly once, in order,
and the face, by pixels and by `facewarden verify`, to be seen nowhere; what lay in the folder before lies there still.
Prints the seed; the same seed kills at the same instants, as far as the machine repeats itself.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from bench.faults import WallClock, Wire, fill, mounted, processes_of, unmounted
from bench.numbered import CODE_HEIGHT, Wanderer, draw_number, encode, is_legible, lumas, read_number
from bench.report import PASS
from bench.rooms import SensorNoise, room
from bench.sealed import check_sealed, frame_lines
from operators.arrays import Array
from pipeline.config import load
from pipeline.judging.document import judge
from pipeline.judging.panel import MODELS as JUDGES
from pipeline.models.fetch import pull
from pipeline.provenance import write_report
from pipeline.sealing.keyring import new_keyring
from pipeline.sealing.keys import MasterKey
from tests.kafka_node import KafkaNode

console = Console()

WIDTH, HEIGHT, RATE = 160, 120, 25
SQUARE = (104, 64, 152, 112)
"""x1 y1 x2 y2 of the white square in clips that show nobody, for tests that have no detector."""
GOPS = (12, 48, 250)
MODELS = ("centerface", "yunet")
UNFINISHED = 1
TERMINATED = 128 + signal.SIGTERM
"""How a run ends that was asked to; the same command goes on."""
DISK_MB, FAULT_S = 512, 4.0
"""Of the disk with work folder and results, where one can be mounted; and how long it is full, or a broker silent."""
CLOCK_S = (-86_400, -3_600, -60, 5, 3_600, 86_400)
"""How far the wall clock is set from the true one."""
CUT_S = (1.0, 12.0)
"""How long the wire to Kafka is cut: from less to more than what its clients wait for."""
BYSTANDER = b"what lay here before"


def make_clip(path: Path, frames: int, gop: int) -> None:
    """A clip whose frame k shows k as 16 black or white blocks, and a white square."""
    rng = np.random.default_rng(frames)
    background = rng.integers(60, 140, (HEIGHT // 8, WIDTH // 8), np.uint8).repeat(8, 0).repeat(8, 1)
    x1, y1, x2, y2 = SQUARE

    def pictures() -> Iterator[Array]:
        for number in range(frames):
            stacked = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
            stacked[:HEIGHT] = np.roll(background, number, 1)
            draw_number(stacked, number)
            stacked[y1:y2, x1:x2] = 235
            yield stacked

    _encode(path, pictures(), gop)


def somebody(seed: int) -> Wanderer:
    """Who wanders through the clips of `make_inhabited_clip`, below the number."""
    return Wanderer(2 * WIDTH, 2 * HEIGHT, face_px=56, below=CODE_HEIGHT + 4, seed=seed)


def make_inhabited_clip(path: Path, frames: int, gop: int, who: Wanderer) -> None:
    """A clip whose frame k shows k, and somebody who wanders about in a room before a camera that stands."""
    empty = np.asarray(cv2.cvtColor(room(who.width, who.height, who.seed), cv2.COLOR_BGR2YUV_I420))
    noise = SensorNoise(who.width, who.height, who.seed)

    def pictures() -> Iterator[Array]:
        for number in range(frames):
            stacked = noise.on(empty)
            who.draw(stacked, number)
            for corner in corners(stacked[: who.height]):
                draw_number(corner, number)
            yield stacked

    _encode(path, pictures(), gop)


def corners(luma: Array) -> tuple[Array, ...]:
    """The plane as seen from each of its corners: covers may lie over a number there, but hardly over all four."""
    return luma, luma[::-1], luma[:, ::-1], luma[::-1, ::-1]


def number_in(luma: Array) -> int:
    """The number of a picture, from the first corner where it can be read."""
    return read_number(next((corner for corner in corners(luma) if is_legible(corner)), luma))


def _encode(path: Path, pictures: Iterator[Array], gop: int) -> None:
    encode(path, pictures, rate=RATE, options={"g": str(gop), "preset": "ultrafast", "bf": "2"})


@dataclass
class Seen:
    """What decoding the outputs showed."""

    frames: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    unmasked: int = 0
    masks_unsealed: int = 0
    seals_unmasked: int = 0
    judged: int = 0  # face-frames that `facewarden verify` sees in an original
    leaking: int = 0  # of these, in clear or reversible in the output
    replaced: int = 0  # files that lay where an output might be written


def shows_the_square(luma: Array, number: int) -> bool:  # noqa: ARG001
    """Whether a picture shows the white square of `make_clip`."""
    x1, y1, x2, y2 = SQUARE
    return bool(luma[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].max() > 90)


def look(path: Path, frames: int, seen: Seen, is_shown: Callable[[Array, int], bool] = shows_the_square) -> None:
    """Decodes one output and counts what is wrong with it.

    Args:
        is_shown: whether a picture, `(h, w)` luma, of a frame of that number shows what should be hidden.
    """
    numbers: list[int] = []
    for luma in lumas(path):
        numbers.append(number_in(luma))
        seen.unmasked += is_shown(luma, numbers[-1])
    seen.frames += len(numbers)
    seen.lost += len(set(range(frames)) - set(numbers))
    seen.doubled += len(numbers) - len(set(numbers))
    seen.disordered += sum(b <= a for a, b in itertools.pairwise(numbers))


def verify(original: Path, output: Path, seen: Seen) -> None:
    """Counts what an independent judge sees of one output."""
    pull(JUDGES)
    report, _ = judge(original, output)
    seen.judged += report.face_frames
    seen.leaking += report.clear + report.reversible


@dataclass
class Chaos:
    """One run under fire.

    Attributes:
        delivery: transactional or low_latency.
        kills: how many processes are killed.
        pause_s: mean time between two kills, exponentially distributed.
        judges: each output is judged by `facewarden verify` as well, with its source as the original.
        seals: what is hidden is sealed, and each output is compared with its seals.
    """

    folder: Path
    delivery: str
    kills: int
    frames: int
    clips: int
    rng: random.Random
    pause_s: float
    kafka_home: Path | None = None
    judges: bool = False
    seals: bool = False
    small_disk: bool = False
    was_full: bool = False
    clock: WallClock | None = None
    wire: Wire | None = None
    killed: dict[str, int] = field(default_factory=dict)

    def go(self) -> Seen:
        with contextlib.ExitStack() as ends:
            seen = self._go(ends)
            if self.seals:
                self._check_seals(seen)
            return seen

    def _sealing(self) -> dict[str, object]:
        """What a config says of it, with new keys."""
        if not self.seals:
            return {}
        key, keyring, master = self.folder / "key", self.folder / "keyring", MasterKey.new()
        master.write(key)
        new_keyring(keyring, master)
        return {"seal": {"key_file": str(key), "keyring": str(keyring)}}

    def _check_seals(self, seen: Seen) -> None:
        videos = [seals.with_suffix("") for seals in sorted((self.folder / "out").glob("*.seal"))]
        seen.masks_unsealed += abs(self.clips - len(videos))
        for video in videos:
            source = f"{video.name.partition('_')[0]}.mp4"
            lines = frame_lines(self.folder / "out" / "verdicts.jsonl", source)
            found = check_sealed(video, lines, self.folder / "in" / source)
            console.print("\n".join(found.faults[:10]), highlight=False)
            seen.masks_unsealed += found.masks_unsealed + found.unreported
            seen.seals_unmasked += found.seals_unmasked

    def _go(self, ends: contextlib.ExitStack) -> Seen:
        sources, out = self.folder / "in", self.folder / "out"
        sources.mkdir(parents=True)
        self.small_disk = mounted(out, DISK_MB)
        if self.small_disk:
            ends.callback(unmounted, out)
        pull(MODELS)
        people = [somebody(number) for number in range(self.clips)]
        for number, who in enumerate(people):
            make_inhabited_clip(sources / f"clip{number}.mp4", self.frames, GOPS[number % len(GOPS)], who)
        config = self.folder / "chaos.yaml"
        chosen = {**load().model_dump(exclude_unset=True), "delivery": self.delivery, **self._sealing()}
        config.write_text(yaml.safe_dump(chosen))
        command = [sys.executable, "-m", "pipeline", "run", str(sources), "-o", str(out), "--config", str(config)]
        self.clock = WallClock(self.folder)
        bystander = out / "clip0_anonymized.mp4"
        bystander.write_bytes(BYSTANDER)
        if self.kafka_home is None:
            self._fire(command, None)
        else:
            (self.folder / "kafka").mkdir()
            node = KafkaNode(self.kafka_home, self.folder / "kafka")
            self.wire = Wire(int(node.servers.rsplit(":", 1)[1])) if Wire.is_possible() else None
            try:
                self._fire([*command, "--broker", f"kafka://{node.servers}"], node)
            finally:
                node.kill()
        seen = Seen(replaced=int(bystander.read_bytes() != BYSTANDER))
        results = [out / f"clip{number}{'' if number else '_2'}_anonymized.mp4" for number in range(self.clips)]
        for number, who in enumerate(people):
            look(results[number], self.frames, seen, who.is_shown)
            if self.judges:
                verify(sources / f"clip{number}.mp4", results[number], seen)
        return seen

    def _fire(self, command: list[str], node: KafkaNode | None) -> None:
        with (self.folder / "log").open("ab") as log:
            self._fire_at(command, node, log)

    def _fire_at(self, command: list[str], node: KafkaNode | None, log: IO[bytes]) -> None:
        left = self.kills
        driver = self._start(command, log)
        due = time.monotonic() + 4
        while True:
            code = driver.poll()
            if code == UNFINISHED and self.was_full:
                code, self.was_full = TERMINATED, False  # it says so, keeps what it has, and goes on when asked again
            if code is not None and code not in (-signal.SIGKILL, TERMINATED):
                if code != 0:
                    words = (self.folder / "log").read_text(errors="replace")[-6000:]
                    raise SystemExit(f"the run ended with {code} after kills of {self.killed}:\n{words}")
                if left:
                    console.print(f"[yellow]the run was over before {left} of its kills[/yellow]")
                return
            if code is not None:
                driver = self._start(command, log)
                due = max(due, time.monotonic() + 3)
            if left and time.monotonic() >= due and self._kill(driver, node):
                left -= 1
                due = time.monotonic() + self.rng.expovariate(1 / self.pause_s)
            time.sleep(0.01)

    def _start(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        environment = None if self.clock is None else self.clock.environment
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def _kill(self, driver: subprocess.Popen[bytes], node: KafkaNode | None) -> bool:
        by_kind = processes_of(driver.pid)
        if "worker" not in by_kind:
            return False  # still starting: or the driver would be killed again and again, and never come to work
        weights = {"worker": 6, "io_actor": 4, "jail": 4, "driver": 1, "stop": 1}
        weights |= {"disk": 1} if self.small_disk else {}
        weights |= {"clock": 2} if self.clock is not None and self.clock.is_possible else {}
        weights |= {"broker": 3, "silence": 1} if node is not None else {}
        weights |= {"wire": 2} if self.wire is not None else {}
        kind = self.rng.choices(list(weights), list(weights.values()))[0]
        if kind == "driver":
            driver.kill()
            driver.wait()
        elif kind == "stop":
            driver.terminate()
            driver.wait()
        elif kind == "disk":
            self.was_full = True
            fill(self.folder / "out", FAULT_S)
        elif kind == "clock" and self.clock is not None:
            self.clock.set(self.rng.choice(CLOCK_S))
        elif kind == "wire" and self.wire is not None:
            self.wire.cut(self.rng.uniform(*CUT_S), self.rng.choice(Wire.DIRECTIONS))
        elif kind == "broker" and node is not None:
            node.kill()
            time.sleep(1)
            node.start()
        elif kind == "silence" and node is not None:
            node.pause(FAULT_S)
        else:
            if kind not in by_kind:
                return False
            victim = self.rng.choice(by_kind[kind])
            try:
                os.kill(victim.pid, signal.SIGKILL)
            except ProcessLookupError:
                return False
        self.killed[kind] = self.killed.get(kind, 0) + 1
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--kafka-kills", type=int, default=20, help="how many of these with a real Kafka")
    parser.add_argument("--frames", type=int, default=4000, help="of each clip; a third of it with Kafka")
    parser.add_argument("--clips", type=int, default=3, help="of each run (one for each delivery and broker)")
    parser.add_argument("--pause", type=float, default=1.0, help="mean seconds between kills")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--no-verify", action="store_true", help="outputs are judged by their pixels alone")
    parser.add_argument("--seals", action="store_true", help="what is hidden is sealed, and outputs compared with it")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1 << 30)
    console.print(f"seed {seed}")
    kafka = os.environ.get("FACEWARDEN_KAFKA_HOME")
    with_kafka = given.kafka_kills if kafka else 0
    table = Table(
        "broker",
        "delivery",
        "kills",
        "frames",
        "lost",
        "doubled",
        "out of order",
        "unmasked",
        "masks unsealed",
        "seals unmasked",
        "judged",
        "leaking",
        "replaced",
        "minutes",
    )
    rows: list[dict[str, object]] = []
    total, kills = Seen(), 0
    for broker, share in (("sqlite", given.kills - with_kafka), ("kafka", with_kafka)):
        for number, delivery in enumerate(("transactional", "low_latency")):
            if not share:
                continue
            with tempfile.TemporaryDirectory(prefix="facewarden-chaos-") as folder:
                began = time.monotonic()
                chaos = Chaos(
                    Path(folder),
                    delivery,
                    (share + 1 - number) // 2,
                    given.frames // 3 if broker == "kafka" else given.frames,
                    given.clips,
                    random.Random(f"{seed}.{broker}.{delivery}"),
                    given.pause,
                    Path(kafka).resolve() if kafka and broker == "kafka" else None,
                    judges=not given.no_verify,
                    seals=given.seals,
                )
                seen = chaos.go()
                minutes = (time.monotonic() - began) / 60
            done = sum(chaos.killed.values())
            kills += done
            for name in vars(seen):
                setattr(total, name, getattr(total, name) + getattr(seen, name))
            row = {"broker": broker, "delivery": delivery, "kills": done, **vars(seen), "minutes": minutes}
            rows.append({**row, "killed": chaos.killed})
            table.add_row(*(f"{value:.1f}" if isinstance(value, float) else str(value) for value in row.values()))
    console.print(table)
    if given.json:
        code = ("bench/chaos.py", "bench/faults.py", "bench/wall_clock.c", "bench/numbered.py", *PASS)
        write_report(given.json, {"kills": kills, **vars(total)}, rows, seed=seed, code=code)
    if total.lost or total.doubled or total.disordered or total.unmasked or total.leaking or total.replaced:
        raise SystemExit(f"failed with seed {seed}")
    if total.masks_unsealed or total.seals_unmasked:
        raise SystemExit(f"masks and seals do not fit with seed {seed}")
    console.print(f"{kills} kills over {total.frames} frames: nothing lost, doubled or unmasked (seed {seed})")


if __name__ == "__main__":
    main()
