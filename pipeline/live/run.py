"""One run, from sources to results: starts the actors, and reports how far they are and how it ended.

All that must survive a crash lies in the run's work folder: a run that was killed, driver and all, goes on when the
same command is given again. The folder is deleted when all results are in place.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from engines import FacewardenError, StreamError
from pipeline.brokers import INGEST, STATE, Broker, BrokerError, open_broker
from pipeline.config import Config
from pipeline.live.devices import start_devices
from pipeline.live.io_actor import IoActor
from pipeline.live.outputs import PlannedStream, merge_reports, output_folder, plan
from pipeline.live.preview import PreviewWindow
from pipeline.live.ray_session import start_ray
from pipeline.live.sources import LIVE, shown_name
from pipeline.live.steps import check
from pipeline.live.work_folder import WorkFolder
from pipeline.live.worker import Worker
from pipeline.live.written import Written
from pipeline.wire import End, IngestState, Ledger, StreamState

TICK_S = 0.2

log = logging.getLogger(__name__)


@dataclass(slots=True)
class StreamOutcome:
    """How one stream ended.

    Attributes:
        reason: empty when its source was read to the end and all frames were accounted for.
    """

    job: PlannedStream
    files: tuple[str, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    reason: str = ""

    @property
    def balanced(self) -> bool:
        ledger = self.ledger
        return bool(ledger.packets == ledger.shown + ledger.discarded + sum(ledger.withheld.values()))


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """How far a stream is: frames shown, frames expected (0 where unknown), and what its camera suffers from."""

    number: int
    name: str
    shown: int
    expected: int
    trouble: str


class Run:
    """A run that has been planned and checked, and can be driven.

    Args:
        sources: files and URLs, expanded.
        output: a file, a folder, an rtsp:// URL, or None for a file next to each source.
        broker: URL; None is a SQLite file in the work folder.
        ray_address: of a cluster; None starts Ray on this machine.
        verdicts: the file for the reports; None is `verdicts.jsonl` next to the output.
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
        folder = output_folder(sources, output)
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

    def drive(self) -> Iterator[list[StreamProgress]]:
        """Runs to the end, yielding several times a second how far the streams are; then `outcomes` is filled.

        Closing this generator stops the run; what was committed stays, and the same command goes on from it.
        """
        began = time.monotonic()
        broker = open_broker(self._url, **self._options)
        self.outcomes = [StreamOutcome(job) for job in self.jobs]
        first = self.jobs[0].source
        window = PreviewWindow(self._url, self._options, first.stream, first.shown) if self._preview else None
        try:
            start_ray(self._ray_address)
            io_actor, stages = self._start_actors()
            ray.get([stage.ready.remote() for stage in stages])
            working = [stage.work.remote() for stage in stages]
            self.startup_s = time.monotonic() - began
            queue = deque(range(len(self.jobs)))
            calls: dict[Any, tuple[str, int]] = {}
            while queue or calls:
                while queue and len({number for _, number in calls.values()}) < self._width:
                    calls |= self._submit(io_actor, queue.popleft())
                finished, _ = ray.wait(list(calls), num_returns=len(calls), timeout=TICK_S)
                for call in finished:
                    self._collect(call, *calls.pop(call))
                if self._stopping:
                    io_actor.stop.remote()  # again and again: an actor that was started anew does not know
                yield self._all_progress(broker, sorted({number for _, number in calls.values()}))
                dead, working = ray.wait(working, timeout=0)
                ray.get(dead)
            merge_reports([self.folder.path / f"{number:04d}.jsonl" for number in range(len(self.jobs))], self.verdicts)
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
        io_actor = (
            ray.remote(IoActor)
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
        # Kept here: an actor ends with its last handle.
        self._devices = start_devices(engines.device, max_batch=engines.max_batch, max_wait_ms=engines.max_wait_ms)
        devices = self._devices or [None]
        group = f"facewarden.{self.folder.run_id}"
        stages = [
            ray.remote(Worker)
            .options(num_cpus=0.5, **endless)
            .remote(*arguments, group, f"{group}.{number}", self.config, devices[number % len(devices)])
            for number in range(workers)
        ]
        return io_actor, stages

    @property
    def _width(self) -> int:
        """How many jobs are under way at once: all cameras, and a few files."""
        return self.config.ingest_limit + sum(job.source.live for job in self.jobs)

    def _submit(self, io_actor: Any, number: int) -> dict[Any, tuple[str, int]]:
        job = self.jobs[number]
        stream = job.source.stream
        pushed = bool(LIVE.match(job.output))
        if not pushed:
            Path(job.output).parent.mkdir(parents=True, exist_ok=True)
        part = str(self.folder.path / f"{number:04d}.jsonl")
        sink = (
            io_actor.push.remote(stream, job.output, shown_name(job.output))
            if pushed
            else io_actor.write_file.remote(stream, job.output)
        )
        return {
            io_actor.ingest.remote(job.source): ("ingest", number),
            sink: ("sink", number),
            io_actor.write_verdicts.remote(stream, part, job.source.shown): ("verdicts", number),
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

    def _all_progress(self, broker: Broker, numbers: list[int]) -> list[StreamProgress]:
        try:
            return [self._progress(broker, number) for number in numbers]
        except BrokerError as error:
            log.warning("%s", error)  # the actors wait for it too, and go on when it is back
            return []

    def _progress(self, broker: Broker, number: int) -> StreamProgress:
        job = self.jobs[number]
        stored = broker.latest(STATE, job.source.stream)
        state = StreamState.FromString(stored) if stored else StreamState()
        read = broker.latest(INGEST, job.source.stream)
        source = IngestState.FromString(read) if read else IngestState()
        return StreamProgress(number, job.source.shown, state.ledger.shown, source.head.frames_expected, source.trouble)

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
