"""One run, from sources to results: starts the actors, and reports how far they are and how it ended.

All that must survive a crash lies in the run's work folder: a run that was killed, driver and all, goes on when the
same command is given again. The folder is deleted when all results are in place.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from engines import FacewardenError, StreamError
from pipeline.brokers import INGEST, Broker, BrokerError, BrokerRefused, open_broker, require_entry
from pipeline.config import Config
from pipeline.live.actors import Actors, here, wanted_workers
from pipeline.live.claims import NameClaims
from pipeline.live.cluster import require_answer
from pipeline.live.event_report import insert_events
from pipeline.live.events import Event, EventKind, EventLog, Show, how_many, unseen
from pipeline.live.outputs import (
    PlannedStream,
    UnfinishedRun,
    add_reports,
    output_folder,
    plan,
    require_reports,
    store_whole,
    unwritable,
)
from pipeline.live.preview import PreviewWindow
from pipeline.live.progress import TICK_S, ProgressWatch, StreamProgress
from pipeline.live.ray_session import start_ray, stop_ray
from pipeline.live.sealer import require_sealable
from pipeline.live.sink_state import state_names
from pipeline.live.sources import LIVE, absolute, filled, shown_name
from pipeline.live.stall import StallWatch
from pipeline.live.step_order import require_covers, shortcomings
from pipeline.live.steps import check, with_absolute_files
from pipeline.live.work_folder import WorkFolder
from pipeline.live.written import Written
from pipeline.wire import End, IngestState, Ledger

log = logging.getLogger(__name__)

FILES_RETENTION_MS = str(30 * 86_400_000)
"""For so long Kafka keeps what was masked of files, if a run makes the topics and nothing else is asked for."""
PLAN = "plan.json"
"""In the work folder: which names of results are this run's own, for its next life."""


@dataclass(slots=True)
class StreamOutcome:
    """How one stream ended.

    Attributes:
        reason: empty when its source was read to the end and all frames were accounted for.
        denied: a camera let nobody in at the first try, so that nothing of it was ever read.
        notes: what of its source is not carried as it is, a sentence each.
        kept: what could not be written of it waits in the work folder.
    """

    job: PlannedStream
    files: tuple[str, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    reason: str = ""
    denied: bool = False
    notes: tuple[str, ...] = ()
    kept: bool = False

    @property
    def balanced(self) -> bool:
        ledger = self.ledger
        return bool(ledger.packets == ledger.shown + ledger.discarded + sum(ledger.withheld.values()))

    @property
    def blank(self) -> bool:
        """Nothing of it can be seen: every frame that was shown is one cover."""
        return bool(self.ledger.shown) and self.ledger.covered_whole >= self.ledger.shown

    def take(self, kind: str, result: object) -> bool:
        """What a call has brought; true if it says how the stream ended."""
        if kind == "ingest" and result:
            self.denied = True
        if kind != "sink" or not isinstance(result, Written):
            return False
        end = End.FromString(result.end)
        self.files, self.ledger = result.files, end.ledger
        self.reason = self.reason or end.reason or result.reason
        return True

    def fail(self, kind: str, cause: StreamError) -> bool:
        """As `take`, of a call that failed."""
        self.reason = self.reason or str(cause)
        self.kept |= kind == "sink"
        return True

    @property
    def summary(self) -> str:
        """The end of the stream in a line."""
        ledger = self.ledger
        words = f"{ledger.packets} packets, {ledger.shown} shown, {sum(ledger.withheld.values())} withheld"
        return f"{words}; {self.words}" if self.reason else words

    @property
    def words(self) -> str:
        """The reason, after the name of its source."""
        source = self.job.source
        return self.reason.removeprefix(f"{source.url}: ").removeprefix(f"{source.shown}: ")


class Run:
    """A run that has been planned and checked, and can be driven.

    Args:
        sources: files and URLs, expanded.
        output: a file, a folder, an rtsp:// URL, or None for a file next to each source.
        broker: URL; None is a SQLite file in the work folder.
        ray_address: of a cluster; None starts Ray on this machine.
        verdicts: the file that reports are added to; None is `verdicts.jsonl` next to the output.
        overwrite: results may replace files that have their names.
        preview: open a window with the first stream's masked video.
        show: gets the line of each event.

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
        overwrite: bool = False,
        preview: bool = False,
        show: Show = unseen,
    ) -> None:
        check(config)
        require_covers([step.use for step in config.steps])
        if ray_address is None:
            wanted_workers(config, len(sources), here())
        # Actors have a folder of their own, on other machines too: nothing is named from here.
        named = [absolute(source) for source in sources]
        output = None if output is None else absolute(output)
        sources = [filled(source) for source in named]
        target = None if output is None else filled(output)
        plan(sources, target, "", overwrite=True)
        self.config = config = with_absolute_files(config)
        require_sealable(config, target)
        folder = output_folder(sources, target)
        self.folder = WorkFolder(folder, named, output, config)
        planned = self.folder.path / PLAN
        own = json.loads(planned.read_text()) if self.folder.resumed and planned.exists() else {}
        self.jobs = plan(sources, target, self.folder.run_id, overwrite=overwrite, own=own, sealed=config.seal.active)
        self._overwrite = overwrite
        self.verdicts = Path(verdicts).absolute() if verdicts else folder / "verdicts.jsonl"
        require_reports(self.verdicts, sources, self.jobs)
        live = any(job.source.live for job in self.jobs)
        self._url, self._options, self._alone = broker_for(self.folder, broker, broker_options or {}, live=live)
        self._ray_address = ray_address
        self._stopping = False
        self._stall = StallWatch(live=live)
        self._preview = preview
        self.startup_s = 0.0
        names = {job.source.stream: job.source.shown for job in self.jobs}
        self.events = EventLog(self.folder.path / "events.jsonl", names, show)

    def drive(self) -> Iterator[list[StreamProgress]]:
        """Runs to the end, yielding several times a second how far the streams are; then `outcomes` is filled.

        Closing this generator stops the run; what was committed stays, and the same command goes on from it.
        """
        began = time.monotonic()
        require_entry(self._url, **self._options)
        if self._ray_address is not None:
            require_answer(self._ray_address)
        self.outcomes = [StreamOutcome(job) for job in self.jobs]
        opened = working = False
        try:
            with contextlib.ExitStack() as ends:
                self.events.add(Event(EventKind.START, how_many(len(self.jobs), "stream")))
                for words in shortcomings([step.use for step in self.config.steps]):
                    self.events.add(Event(EventKind.NOTE, words))
                ends.callback(stop_ray)
                start_ray(self._ray_address)
                self.folder.make()  # not before: where Ray does not start, nothing is left
                targets = [Path(job.output) for job in self.jobs if job.is_result]
                claims = NameClaims(target for target in targets if not unwritable(target.parent))
                ends.callback(claims.release)
                outputs = {job.source.stream: job.output for job in self.jobs if job.is_result}
                store_whole(self.folder.path / PLAN, json.dumps(outputs))
                broker = open_broker(self._url, **self._options)
                opened = True
                ends.callback(broker.close)
                watch = ProgressWatch(broker, self.jobs, self._emit)
                if self._preview:
                    first = self.jobs[0].source
                    window = PreviewWindow(self._url, self._options, first.stream, first.shown)
                    ends.callback(window.close)
                group = f"facewarden.{self.folder.run_id}"
                actors = Actors(
                    self._url,
                    self._options,
                    group,
                    self.config,
                    streams=len(self.jobs),
                    named=f"{self.folder.run_id}.",
                    calls=self._width,
                    emit=self._emit,
                )
                for _ in actors.begin():
                    yield []
                working = True
                self.startup_s = time.monotonic() - began
                with watch:
                    yield from self._drive(actors, watch)
                actors.last_events()
                for outcome in self.outcomes:
                    outcome.notes = notes_of(broker, outcome.job.source.stream)
                if not self.denied:
                    self._report()
        except (RayError, StreamError) as error:
            raise failure_of(error, working=working) from error
        finally:
            if not working and not self.folder.resumed:
                if opened:
                    erase(self._url, self._options, self.jobs, alone=self._alone)
                self.folder.abandon()
        if not any(outcome.kept for outcome in self.outcomes):
            erase(self._url, self._options, self.jobs, alone=self._alone)
            self.folder.remove()

    def _drive(self, actors: Actors, watch: ProgressWatch) -> Iterator[list[StreamProgress]]:
        """Until all streams have ended."""
        queue = deque(range(len(self.jobs)))
        calls: dict[Any, tuple[str, int]] = {}
        ended = 0
        while queue or calls:
            while queue and len({number for _, number in calls.values()}) < self._width:
                calls |= self._begin(actors.io, queue.popleft())
            if not calls:  # what was next could not be begun
                continue
            finished, _ = ray.wait(list(calls), num_returns=len(calls), timeout=TICK_S)
            for call in finished:
                self._collect(call, *calls.pop(call))
                ended += 1
            if self._stopping:
                actors.io.stop.remote()  # again and again: an actor that was started anew does not know
            progress = watch.progress(sorted({number for _, number in calls.values()}))
            self._stall.look(progress, ended)
            yield progress
            actors.attend()

    def _emit(self, event: Event) -> None:
        self._stall.hear(event)
        self.events.add(event)

    def _part(self, number: int) -> Path:
        """The reports of one stream, until they are added to those of all."""
        return self.folder.path / f"{number:04d}.jsonl"

    def _report(self) -> None:
        """Adds the reports of all streams to what other runs have reported."""
        parts = [self._part(number) for number in range(len(self.jobs))]
        journal = self.folder.path / "reported"
        if not journal.exists():
            for outcome, part in zip(self.outcomes, parts, strict=True):
                insert_events(part, self.events.of(outcome.job.source.stream), outcome.files)
        add_reports(parts, self.verdicts, journal)

    def stop(self) -> None:
        """Ends live sources in an orderly way: their files are completed."""
        self._stopping = True

    @property
    def denied(self) -> bool:
        """No source let anybody in: nothing came of this run, and nothing is written."""
        return all(outcome.denied for outcome in self.outcomes)

    @property
    def _width(self) -> int:
        """How many jobs are under way at once: all cameras, and a few files."""
        return self.config.ingest_limit + sum(job.source.live for job in self.jobs)

    def _begin(self, io_actor: Any, number: int) -> dict[Any, tuple[str, int]]:
        job, part = self.jobs[number], self._part(number)
        if not LIVE.match(job.output) and (refused := unwritable(Path(job.output).parent)):
            self.outcomes[number].reason = refused
            part.touch()
            return {}
        asked = calls_for(io_actor, job, str(part), overwrite=self._overwrite)
        return {call: (kind, number) for kind, call in asked.items()}

    def _collect(self, call: Any, kind: str, number: int) -> None:
        outcome = self.outcomes[number]
        try:
            ended = outcome.take(kind, ray.get(call))
        except RayError as error:
            cause = getattr(error, "cause", None)
            if not isinstance(cause, StreamError) or isinstance(cause, BrokerRefused):
                raise
            ended = outcome.fail(kind, cause)
        if ended:
            self.events.add(Event(EventKind.END, outcome.summary, outcome.job.source.stream))


def failure_of(error: RayError | StreamError, *, working: bool) -> FacewardenError:
    """What ends a run, after something in it failed for good.

    Args:
        working: sources were read, so that there is something to go on from.

    >>> failure_of(BrokerRefused("Kafka refuses a right"), working=True)
    UnfinishedRun('Kafka refuses a right; what is done is kept, the same command goes on')
    """
    cause = getattr(error, "cause", None) if isinstance(error, RayError) else error
    if not isinstance(cause, FacewardenError):
        return UnfinishedRun(f"an actor failed for good: {error}; run the same command again to go on")
    if isinstance(cause, UnfinishedRun):
        return UnfinishedRun(str(cause))
    return UnfinishedRun(f"{cause}; what is done is kept, the same command goes on") if working else cause


def broker_for(
    folder: WorkFolder, broker: str | None, options: Mapping[str, str], *, live: bool
) -> tuple[str, dict[str, str], bool]:
    """URL and options of a run's broker, and whether nobody else uses it, or its topics.

    Args:
        live: a camera is among the sources, so that the run may last for ever.
    """
    if broker is None:
        return f"sqlite://{folder.path.resolve()}/facewarden.db", dict(options), True
    if not broker.startswith("kafka://"):
        return broker, dict(options), False
    alone = "topic_prefix" not in f"{broker}{options}"
    # A topic set of its own keeps runs apart, and can be deleted as a whole when the run is done.
    own = {"topic_prefix": f"facewarden.{folder.run_id}."}
    if not live and "masked_retention_ms" not in f"{broker}{options}":
        own["masked_retention_ms"] = FILES_RETENTION_MS  # a sink of files that is started anew begins at the first
    return broker, own | dict(options), alone


def calls_for(io_actor: Any, job: PlannedStream, part: str, *, overwrite: bool) -> dict[str, Any]:
    """What is asked of the actor that reads and writes, for one stream: its answers, by what they are about.

    Args:
        part: the file for its reports.
    """
    stream = job.source.stream
    if LIVE.match(job.output):
        sink = io_actor.push.remote(stream, job.output, shown_name(job.output))
    elif job.is_result:
        sink = io_actor.write_file.remote(stream, job.output, overwrite=overwrite)
    else:
        sink = io_actor.record.remote(stream, job.output)
    return {
        "ingest": io_actor.ingest.remote(job.source),
        "sink": sink,
        "verdicts": io_actor.write_verdicts.remote(stream, part, job.source.shown),
    }


def erase(url: str, options: Mapping[str, str], jobs: Sequence[PlannedStream], *, alone: bool) -> None:
    """Deletes what was stored on the way.

    Args:
        alone: nobody else uses this broker, or these topics.
    """
    try:
        with contextlib.closing(open_broker(url, **options)) as broker:
            if alone:
                broker.erase()
            else:
                for job in jobs:
                    for name in (job.source.stream, *state_names(job.source.stream)):
                        broker.drop(name)
    except BrokerError as error:
        log.warning("what was stored on the way could not be deleted: %s", error)


def notes_of(broker: Broker, stream: str) -> tuple[str, ...]:
    """What ingest found in a source that is not carried, a sentence each."""
    read = broker.latest(INGEST, stream)
    return tuple(IngestState.FromString(read).head.notes) if read else ()
