"""One run, from sources to results: starts the actors, shows how far they are, and tells how it ended.

All that must survive a crash lies in the run's work folder, which only its owner can read: a run that was
killed, driver and all, goes on when the same command is given again. The folder is deleted when all
results are in place, for it holds clear pictures.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from engines import ConfigError, FacewardenError, StreamError
from pipeline.brokers import INGEST, STATE, Broker, open_broker
from pipeline.config import Config, check
from pipeline.ingest import Source
from pipeline.preview import Preview
from pipeline.sink import Written
from pipeline.stage import Desk, Stage
from pipeline.wire import End, IngestState, Ledger, StreamState

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg"),
        *(".vob", ".gif", ".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg", ".mjpg"),
    }
)
LIVE = re.compile(r"^(rtsps?://|/dev/video\d+$)")
TICK_S = 0.2


@dataclass(frozen=True, slots=True)
class Job:
    """One source and where its results go."""

    source: Source
    output: str


@dataclass(slots=True)
class Outcome:
    """How one stream ended.

    Attributes:
        reason: empty when its source was read to the end and all frames were accounted for.
    """

    job: Job
    files: tuple[str, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    reason: str = ""

    @property
    def balanced(self) -> bool:
        ledger = self.ledger
        return bool(ledger.packets == ledger.shown + ledger.discarded + sum(ledger.withheld.values()))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stream is: frames shown, frames expected (0 where unknown), and what its camera suffers from."""

    number: int
    name: str
    shown: int
    expected: int
    trouble: str


def find_sources(arguments: Sequence[str]) -> list[str]:
    """Expands folders (recursively) and globs into files, in a stable order; URLs and devices stay.

    Raises:
        ConfigError: nothing matches, or a name is no file.
    """
    found: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if LIVE.match(argument):
            found.append(argument)
        elif re.match(r"^[a-z][a-z0-9+.-]+://", argument):
            raise ConfigError(f"{hide_password(argument)}: expected a file, folder, glob, rtsp:// URL or /dev/videoN")
        elif path.is_dir():
            inside = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
            if not inside:
                raise ConfigError(
                    f"{argument}: no video in this folder (looked for {', '.join(sorted(VIDEO_SUFFIXES))})"
                )
            found += inside
        elif path.exists():
            found.append(argument)
        else:
            matches = sorted(p for p in glob.glob(argument, recursive=True) if Path(p).is_file())  # noqa: PTH207
            if not matches:
                raise ConfigError(f"{argument}: no such file, folder or match")
            found += matches
    return list(dict.fromkeys(found))


def hide_password(url: str) -> str:
    return re.sub(r"://[^/@]+@", "://***@", url)


def plan(sources: Sequence[str], output: str | None, run_id: str) -> list[Job]:
    """Gives each source its stream name and its output.

    Raises:
        ConfigError: one output file for several sources, or an output that would overwrite its source.
    """
    jobs: list[Job] = []
    taken: set[str] = set()
    single_file = output is not None and (Path(output).suffix.lower() in VIDEO_SUFFIXES or LIVE.match(output))
    if single_file and len(sources) > 1:
        raise ConfigError(f"{output}: one file for {len(sources)} sources; give a folder")
    for number, url in enumerate(sources):
        live = bool(LIVE.match(url))
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", hide_password(url).removeprefix("rtsp://")) if live else Path(url).stem
        if single_file:
            target = str(output)
        else:
            folder = Path(output) if output is not None else Path(url).parent if not live else Path.cwd()
            suffix = Path(url).suffix.lower()
            name = f"{stem}_anonymized{suffix if suffix in ('.mp4', '.mov', '.mkv') else '.mp4'}"
            target = str(folder / name)
            if target in taken:
                target = str(folder / f"{stem}_{number}_anonymized{Path(name).suffix}")
        if not live and Path(target).resolve() == Path(url).resolve():
            raise ConfigError(f"{target}: would overwrite its source; choose another output")
        taken.add(target)
        stream = f"{run_id}.{number:04d}.{re.sub(r'[^A-Za-z0-9_-]+', '_', stem)[:40]}"
        jobs.append(Job(Source(stream, url, live, hide_password(url) if live else Path(url).name), target))
    return jobs


class WorkFolder:
    """The folder of one run: found again by the same command, locked while it runs, gone when it is done."""

    def __init__(self, base: Path, sources: Sequence[str], output: str | None, config: Config) -> None:
        identity = json.dumps([[str(Path(s).resolve()) for s in sources], output, config.model_dump(mode="json")])
        self.path = base / ".facewarden" / hashlib.sha256(identity.encode()).hexdigest()[:16]
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise ConfigError(f"{base}: cannot be written to ({error.strerror}); choose another output") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError("this very run is already going on in another process") from error
        marker = self.path / "run"
        self.resumed = marker.exists()
        if not self.resumed:
            marker.write_text(uuid.uuid4().hex[:12])
        self.run_id = marker.read_text()

    def remove(self) -> None:
        """Deletes all that was stored on the way."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()
        os.close(self._lock)


class Run:
    """A run that has been planned and checked, and can be driven.

    Args:
        sources: files and URLs, expanded.
        output: a file, a folder, an rtsp:// URL, or None for a file beside each source.
        broker: URL; None is a SQLite file in the work folder.
        ray_address: of a cluster; None starts Ray on this machine.
        verdicts: the file for the reports; None is `verdicts.jsonl` beside the output.
        preview: open a window with the first stream's masked video.

    Raises:
        ConfigError: it cannot be run as asked; nothing was started.
    """

    def __init__(
        self,
        sources: Sequence[str],
        output: str | None,
        config: Config,
        *,
        broker: str | None = None,
        broker_options: Mapping[str, str] | None = None,
        ray_address: str | None = None,
        verdicts: str | None = None,
        preview: bool = False,
    ) -> None:
        check(config)
        self.config = config
        folder = _output_folder(sources, output)
        self.folder = WorkFolder(folder, sources, output, config)
        self.jobs = plan(sources, output, self.folder.run_id)
        self.verdicts = Path(verdicts) if verdicts else folder / "verdicts.jsonl"
        self._options = dict(broker_options or {})
        self._alone = broker is None or (
            broker.startswith("kafka://") and "topic_prefix" not in f"{broker}{self._options}"
        )
        if broker is None:
            broker = f"sqlite://{self.folder.path.resolve()}/facewarden.db"
        elif broker.startswith("kafka://"):
            # A topic set of its own keeps runs apart, and can be deleted as a whole when the run is done.
            self._options.setdefault("topic_prefix", f"facewarden.{self.folder.run_id}.")
        self._url = broker
        self._ray_address = ray_address
        self._preview = preview
        self.startup_s = 0.0

    def drive(self) -> Iterator[list[Progress]]:
        """Runs to the end, yielding several times a second how far the streams are; then `outcomes` is filled.

        Closing this generator stops the run; what was committed stays, and the same command goes on from it.
        """
        began = time.monotonic()
        broker = open_broker(self._url, **self._options)
        self.outcomes = [Outcome(job) for job in self.jobs]
        first = self.jobs[0].source
        window = Preview(self._url, self._options, first.stream, first.shown) if self._preview else None
        try:
            _start_ray(self._ray_address)
            desk, stages = self._start_actors()
            self._desk = desk
            ray.get([stage.ready.remote() for stage in stages])
            working = [stage.work.remote() for stage in stages]
            self.startup_s = time.monotonic() - began
            queue = deque(range(len(self.jobs)))
            calls: dict[Any, tuple[str, int]] = {}
            while queue or calls:
                while queue and len({number for _, number in calls.values()}) < self._width:
                    calls |= self._submit(desk, queue.popleft())
                finished, _ = ray.wait(list(calls), num_returns=len(calls), timeout=TICK_S)
                for call in finished:
                    self._collect(call, *calls.pop(call))
                yield [self._progress(broker, number) for number in sorted({n for _, n in calls.values()})]
                dead, working = ray.wait(working, timeout=0)
                ray.get(dead)
            self._merge_verdicts()
        except RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, FacewardenError):
                raise cause from error
            raise StreamError(f"an actor failed for good: {error}; run the same command again to go on") from error
        finally:
            if window is not None:
                window.close()
            ray.shutdown()
            broker.close()
        self._clean()

    def stop(self) -> None:
        """Ends live sources in an orderly way: their files are completed."""
        self._desk.stop.remote()

    def _start_actors(self) -> tuple[Any, list[Any]]:
        workers = self.config.workers or max(1, min(len(self.jobs), os.cpu_count() or 1))
        endless = {"max_restarts": -1, "max_task_retries": -1}
        arguments = (self._url, self._options)
        desk = (
            ray.remote(Desk)
            .options(num_cpus=0, max_concurrency=3 * self._width + 2, **endless)
            .remote(*arguments, self.config)
        )
        group = f"facewarden.{self.folder.run_id}"
        stages = [
            ray.remote(Stage)
            .options(num_cpus=0.5, **endless)
            .remote(*arguments, group, f"{group}.{number}", self.config)
            for number in range(workers)
        ]
        return desk, stages

    @property
    def _width(self) -> int:
        """How many jobs are under way at once: all cameras, and a few files."""
        return max(self.config.ingest_limit, sum(job.source.live for job in self.jobs))

    def _submit(self, desk: Any, number: int) -> dict[Any, tuple[str, int]]:
        job = self.jobs[number]
        stream = job.source.stream
        pushed = bool(LIVE.match(job.output))
        if not pushed:
            Path(job.output).parent.mkdir(parents=True, exist_ok=True)
        part = str(self.folder.path / f"{number:04d}.jsonl")
        return {
            desk.ingest.remote(job.source): ("ingest", number),
            (desk.push if pushed else desk.write_file).remote(stream, job.output): ("sink", number),
            desk.write_verdicts.remote(stream, part, job.source.shown): ("verdicts", number),
        }

    def _collect(self, call: Any, kind: str, number: int) -> None:
        outcome = self.outcomes[number]
        try:
            result = ray.get(call)
        except RayError as error:
            cause = getattr(error, "cause", None)
            if not isinstance(cause, StreamError):
                raise
            outcome.reason = outcome.reason or str(cause)
            return
        if kind == "sink" and isinstance(result, Written):
            end = End.FromString(result.end)
            outcome.files, outcome.ledger = result.files, end.ledger
            outcome.reason = outcome.reason or end.reason

    def _progress(self, broker: Broker, number: int) -> Progress:
        job = self.jobs[number]
        stored = broker.latest(STATE, job.source.stream)
        state = StreamState.FromString(stored) if stored else StreamState()
        read = broker.latest(INGEST, job.source.stream)
        source = IngestState.FromString(read) if read else IngestState()
        return Progress(number, job.source.shown, state.ledger.shown, source.head.frames_expected, source.trouble)

    def _merge_verdicts(self) -> None:
        self.verdicts.parent.mkdir(parents=True, exist_ok=True)
        part = self.verdicts.with_name(f".{self.verdicts.name}.part")
        with part.open("wb") as whole:
            for number in range(len(self.jobs)):
                with (self.folder.path / f"{number:04d}.jsonl").open("rb") as lines:
                    shutil.copyfileobj(lines, whole)
            whole.flush()
            os.fsync(whole.fileno())
        part.replace(self.verdicts)

    def _clean(self) -> None:
        broker = open_broker(self._url, **self._options)
        if self._alone:
            broker.erase()
        else:
            for job in self.jobs:
                broker.drop(job.source.stream)
        broker.close()
        self.folder.remove()


def _output_folder(sources: Sequence[str], output: str | None) -> Path:
    if output is None or LIVE.match(output):
        first = sources[0]
        return Path.cwd() if LIVE.match(first) else Path(first).parent
    path = Path(output)
    return path.parent if path.suffix.lower() in VIDEO_SUFFIXES else path


def _start_ray(address: str | None) -> None:
    """Starts Ray on this machine, or joins a cluster; dashboard and telemetry off.

    Ray turns its token authentication on by itself; naming RAY_AUTH_MODE here would be too late for its core,
    which has read it when it was imported.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address is None:
            ray.init(include_dashboard=False, num_cpus=max(2, os.cpu_count() or 1), **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise StreamError(f"Ray cannot be started or reached at {address or 'this machine'}: {error}") from error


__all__ = ["Job", "Outcome", "Progress", "Run", "find_sources", "plan"]
