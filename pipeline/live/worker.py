"""The Ray actor that works on streams.

No frame passes between actors: all they exchange goes over the broker, so Ray may start any of them anew at any time.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from engines import Engine, FacewardenError, FrameError, open_engine
from operators import Operator
from pipeline.brokers import BrokerError, BrokerRefused, Fenced, Member, Record, open_broker
from pipeline.brokers.retry import retry_on_broker_error
from pipeline.config import Config
from pipeline.jail import confinement
from pipeline.live.devices import open_shared, serving
from pipeline.live.events import Event, EventKind, EventQueue, Taken, of_broker_error
from pipeline.live.steps import open_steps
from pipeline.live.stream import StreamWork
from pipeline.media.intake import FAILURES, NO_PACKET

log = logging.getLogger(__name__)

IDLE_S, BUSY_S = 0.05, 0.002
"""How long to wait for records where nothing moves; and where a decoder is at work, whose pictures nobody announces."""
FAILURE_PAUSE_S = 0.05
MOST_QUEUED = 4096
"""Records that may wait in one actor; streams that keep up are fetched for while others lag."""


class Worker:
    """One worker of a run.

    Args:
        broker: URL and options of the broker.
        group: the run's consumer group.
        name: this worker's name in it; a restarted actor takes over at once what it owned before.
        config: the run's, with every name checked.
        device: the actor of the GPU that runs its networks; None runs them here.
        streams: what the names of the run's streams begin with; those of others in the same topics are theirs.
        open_network: opens the networks that run here.

    Where an engine does not open or a detector is blind, `ready` and `work` raise what is wrong: so whoever started the
    actor hears it in a sentence, and no stream is taken.
    """

    def __init__(
        self,
        broker: str,
        options: Mapping[str, str],
        group: str,
        name: str,
        config: Config,
        device: Any = None,
        *,
        streams: str = "",
        open_network: Callable[[Path], Engine] = open_engine,
    ) -> None:
        confinement.guard()
        logging.basicConfig(level=logging.WARNING)
        self._broker_url, self._options = broker, dict(options)
        self._group, self._name, self._streams = group, name, streams
        self._config = config
        if device is not None:
            open_network = partial(open_shared, device, config.engines.device == "cuda")
        self._operators: Mapping[str, Operator] = {}
        self._unfit: FacewardenError | None = None
        try:
            self._operators = open_steps(config, open_network)
        except FacewardenError as error:
            self._unfit = error
        self._deaths: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._failed_at: dict[str, int] = {}
        self._works: dict[str, StreamWork] = {}
        self._events = EventQueue()

    def events(self, timeout_s: float) -> Taken:
        """What has happened here, or what happens first within that time; called from another thread than `work`."""
        return self._events.take(timeout_s)

    def ready(self) -> bool:
        """True once streams may come.

        Raises:
            EngineError, ConfigError: an engine does not open, or a detector is blind.
        """
        if self._unfit is not None:
            raise self._unfit
        return True

    def work(self) -> None:
        """Works until the process ends; raises as `ready`, and BrokerRefused."""
        self.ready()  # before any stream is this worker's
        retry_on_broker_error(self._serve, lambda error: self._events.put(of_broker_error(error)))

    def _serve(self) -> None:
        broker = open_broker(self._broker_url, **self._options)
        try:
            member = broker.member(self._group, self._name, streams=self._streams)
            try:
                while True:
                    self.turn(member)
            finally:
                self.drop_all()
                member.close()
        finally:
            broker.close()

    def turn(self, member: Member) -> None:
        """Lets every stream move on, then fetches more for those that can take it; raises as `ready`."""
        self.ready()
        moved = False
        for stream in list(self._works):
            moved |= self._attend(stream, member, self._pump)
        waiting = sum(work.queued for work in self._works.values())
        # What has piled up of a live stream must be known, or it cannot be seen how late it is.
        hungry = not self._works or any(work.live or not work.queued for work in self._works.values())
        if waiting < MOST_QUEUED and hungry:
            busy = any(work.busy for work in self._works.values())
            records = member.poll(0 if moved else BUSY_S if busy else IDLE_S)
            owned = member.streams()
            for stream in [s for s in self._works if s not in owned]:
                self._drop(stream)
            failed: set[str] = set()
            for record in records:
                stream = record.stream
                if stream in failed:
                    continue
                opened = stream in self._works or self._attend(stream, member, self._open)
                if not opened or not self._attend(stream, member, partial(self._feed, record)):
                    failed.add(stream)
                    member.rewind(stream)
        elif not moved:
            time.sleep(0.002)

    def _open(self, stream: str, member: Member) -> bool:
        work = StreamWork(stream, member, self._operators, self._config, self._deaths[stream])
        self._works[stream] = work
        return True

    def _feed(self, record: Record, stream: str, _: Member) -> bool:
        self._works[stream].feed(record)
        return True

    def _pump(self, stream: str, _: Member) -> bool:
        work = self._works[stream]
        moved = work.pump(0)
        if work.decodes:
            self._deaths[stream].pop(NO_PACKET, None)
        self._forgive(stream, work)
        if work.ended:
            self._drop(stream)
        return moved

    def _attend(self, stream: str, member: Member, do: Callable[[str, Member], bool]) -> bool:
        """Does one thing for one stream; if it fails, the stream begins again from what it committed last."""
        try:
            with serving(stream):
                return do(stream, member)
        except Fenced:
            self._drop(stream)
        except BrokerRefused:
            raise
        except BrokerError as error:
            log.warning("%s: %s", stream, error)
            self._events.put(of_broker_error(error))
            self._drop(stream)
        except FrameError as error:
            work = self._works.get(stream)
            suspect = work.suspect if work is not None else None
            log.warning("%s: decoder failed at packet %s: %s", stream, suspect, error)
            self._deaths[stream][NO_PACKET if suspect is None else suspect] += 1
            self._begin_again(stream, member)
        except Exception as error:
            # One stream's trouble, whatever it is, must not end the others'.
            log.exception("%s: begins again", stream)
            self._events.put(Event(EventKind.NOTE, f"work begins again after {type(error).__name__}: {error}", stream))
            self._count_failure(stream)
            self._begin_again(stream, member)
        return False

    def _count_failure(self, stream: str) -> None:
        work = self._works.get(stream)
        if work is not None:
            self._forgive(stream, work)
            self._failed_at[stream] = max(work.settled, self._failed_at.get(stream, 0))
        self._deaths[stream][FAILURES] += 1

    def _forgive(self, stream: str, work: StreamWork) -> None:
        """A failure is another one than those before, if something was accounted for in between."""
        if work.settled > self._failed_at.get(stream, 0):
            self._deaths[stream].pop(FAILURES, None)

    def _begin_again(self, stream: str, member: Member) -> None:
        self._drop(stream)
        member.rewind(stream)
        time.sleep(FAILURE_PAUSE_S)

    @property
    def streams(self) -> frozenset[str]:
        """Streams that are being worked on."""
        return frozenset(self._works)

    def drop_all(self) -> None:
        """Forgets all that was not committed."""
        for stream in list(self._works):
            self._drop(stream)

    def _drop(self, stream: str) -> None:
        work = self._works.pop(stream, None)
        if work is not None:
            work.close()
