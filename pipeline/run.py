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
import itertools
import json
import logging
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

import psutil
import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from engines import ConfigError, FacewardenError, StreamError
from pipeline.brokers import INGEST, STATE, Broker, BrokerError, open_broker
from pipeline.config import Config
from pipeline.engine_actor import start_devices
from pipeline.ingest import Source
from pipeline.live.steps import check
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
LIVE = re.compile(r"^(rtsps?://|/dev/video\d+$)", re.IGNORECASE)
ANONYMIZED = "_anonymized"
TICK_S = 0.2
OBJECT_STORE_BYTES, OBJECT_STORE_BYTES_GPU = 80 << 20, 512 << 20
"""Ray's least, more or less: what actors are told and answer is small, but for batches on their way to a GPU."""
IDLE_SERVANTS = ("autoscaler/_private/monitor.py", "_private/log_monitor.py", "dashboard/dashboard.py")

log = logging.getLogger(__name__)


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
        elif "://" in argument:
            raise ConfigError(f"{shown_name(argument)}: expected a file, folder, glob, rtsp:// URL or /dev/videoN")
        elif path.is_dir():
            videos = (p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
            inside = sorted(str(p) for p in videos if not p.stem.endswith(ANONYMIZED))
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


def shown_name(source: str) -> str:
    """What people and files may see of a source or an output: a URL without user, password and query."""
    scheme, separator, rest = source.partition("://")
    if not separator:
        return source
    address, slash, path = rest.partition("/")
    if "@" in rest:  # a password may hold both @ and /
        address, slash, path = rest.rpartition("@")[2].partition("/")
    path = re.split(r"[?&;]", path)[0]
    return f"{scheme}://{address}{slash}{'' if '=' in path else path}"


def plan(sources: Sequence[str], output: str | None, run_id: str) -> list[Job]:
    """Gives each source its stream name and its output.

    Raises:
        ConfigError: one output file for several sources, or an output that would overwrite a source.
    """
    single = output is not None and is_single(output)
    if single and len(sources) > 1:
        raise ConfigError(f"{shown_name(str(output))}: one output for {len(sources)} sources; give a folder")
    read = {Path(url).resolve() for url in sources if not LIVE.match(url)}
    jobs: list[Job] = []
    taken: set[Path] = set()
    for number, url in enumerate(sources):
        live = bool(LIVE.match(url))
        shown = shown_name(url) if live else Path(url).name
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", shown.partition("://")[2] or shown) if live else Path(url).stem
        target = str(output) if single else str(_free_name(url, stem, live, output, taken))
        if Path(target).resolve() in read:
            raise ConfigError(f"{target}: would overwrite a source; choose another output")
        taken.add(Path(target))
        stream = f"{run_id}.{number:04d}.{re.sub(r'[^A-Za-z0-9_-]+', '_', stem)[:40]}"
        jobs.append(Job(Source(stream, url, live, shown), target))
    return jobs


def is_single(output: str) -> bool:
    """A file or a URL, and not a folder."""
    return Path(output).suffix.lower() in VIDEO_SUFFIXES or bool(LIVE.match(output))


def _free_name(url: str, stem: str, live: bool, output: str | None, taken: set[Path]) -> Path:
    folder = Path(output) if output is not None else Path.cwd() if live else Path(url).parent
    suffix = Path(url).suffix.lower()
    suffix = suffix if suffix in (".mp4", ".mov", ".mkv") else ".mp4"
    names = (folder / f"{stem}{f'_{n}' if n > 1 else ''}{ANONYMIZED}{suffix}" for n in itertools.count(1))
    return next(name for name in names if name not in taken)


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
        plan(sources, output, "")
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
        self._stopping = False
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
                if self._stopping:
                    desk.stop.remote()  # again and again, for a desk that was started anew does not know
                yield self._all_progress(broker, sorted({number for _, number in calls.values()}))
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
        self._stopping = True

    def _start_actors(self) -> tuple[Any, list[Any]]:
        workers = self.config.workers or max(1, min(len(self.jobs), os.cpu_count() or 1))
        endless = {"max_restarts": -1, "max_task_retries": -1}
        arguments = (self._url, self._options)
        desk = (
            ray.remote(Desk)
            .options(
                num_cpus=0,
                max_concurrency=3 * self._width + 2,
                # Sources, results and the work folder are on this very machine.
                scheduling_strategy=NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False),
                **endless,
            )
            .remote(*arguments, self.config)
        )
        engines = self.config.engines
        # Kept here, for an actor ends with its last handle.
        self._devices = start_devices(engines.device, max_batch=engines.max_batch, max_wait_ms=engines.max_wait_ms)
        devices = self._devices or [None]
        group = f"facewarden.{self.folder.run_id}"
        stages = [
            ray.remote(Stage)
            .options(num_cpus=0.5, **endless)
            .remote(*arguments, group, f"{group}.{number}", self.config, devices[number % len(devices)])
            for number in range(workers)
        ]
        return desk, stages

    @property
    def _width(self) -> int:
        """How many jobs are under way at once: all cameras, and a few files."""
        return self.config.ingest_limit + sum(job.source.live for job in self.jobs)

    def _submit(self, desk: Any, number: int) -> dict[Any, tuple[str, int]]:
        job = self.jobs[number]
        stream = job.source.stream
        pushed = bool(LIVE.match(job.output))
        if not pushed:
            Path(job.output).parent.mkdir(parents=True, exist_ok=True)
        part = str(self.folder.path / f"{number:04d}.jsonl")
        sink = (
            desk.push.remote(stream, job.output, shown_name(job.output))
            if pushed
            else desk.write_file.remote(stream, job.output)
        )
        return {
            desk.ingest.remote(job.source): ("ingest", number),
            sink: ("sink", number),
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
            outcome.reason = outcome.reason or end.reason or result.reason

    def _all_progress(self, broker: Broker, numbers: list[int]) -> list[Progress]:
        try:
            return [self._progress(broker, number) for number in numbers]
        except BrokerError as error:
            log.warning("%s", error)  # the actors wait for it too, and go on when it is back
            return []

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
        try:
            with contextlib.closing(open_broker(self._url, **self._options)) as broker:
                if self._alone:
                    broker.erase()
                else:
                    for job in self.jobs:
                        broker.drop(job.source.stream)
        except BrokerError as error:
            log.warning("all results are in place, but what was stored on the way could not be deleted: %s", error)
        self.folder.remove()


def _output_folder(sources: Sequence[str], output: str | None) -> Path:
    if output is None or LIVE.match(output):
        first = sources[0]
        return Path.cwd() if LIVE.match(first) else Path(first).parent
    path = Path(output)
    return path.parent if is_single(output) else path


def _start_ray(address: str | None) -> None:
    """Starts Ray on this machine, or joins a cluster; dashboard and telemetry off.

    Ray turns its token authentication on by itself; naming RAY_AUTH_MODE here would be too late for its core,
    which has read it when it was imported.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address is None:
            ray.init(
                include_dashboard=False,
                num_cpus=max(2, os.cpu_count() or 1),
                object_store_memory=OBJECT_STORE_BYTES_GPU if Path("/dev/nvidiactl").exists() else OBJECT_STORE_BYTES,
                # Batches hold clear pictures, which must not end up on a disk.
                _system_config={"automatic_object_spilling_enabled": False},
                **quiet,
            )
            _end_idle_servants()
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise StreamError(f"Ray cannot be started or reached at {address or 'this machine'}: {error}") from error


def _end_idle_servants() -> None:
    """Ends what Ray starts for clusters and their users: together 150 MB, and work several times a second.

    Nothing is scaled, no log is passed on and no page is shown here; Ray neither needs nor restarts them.
    """
    scripts = {str(Path(ray.__file__).parent / name) for name in IDLE_SERVANTS}
    ended = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if not scripts.isdisjoint(child.cmdline()):
                child.kill()
                ended.append(child)
    psutil.wait_procs(ended, timeout=5)


__all__ = ["Job", "Outcome", "Progress", "Run", "find_sources", "plan"]
