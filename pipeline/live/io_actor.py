"""The Ray actor that reads sources and writes results.

It exchanges nothing with workers but over the broker, so Ray may start it again at any instant.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pipeline.brokers import Broker, open_broker
from pipeline.brokers.retry import retry_on_broker_error
from pipeline.config import Config
from pipeline.jail import confinement
from pipeline.live import sinks
from pipeline.live.events import Event, EventKind, EventQueue, Taken, of_broker_error
from pipeline.live.ingest import ingest
from pipeline.live.recorder import Recorder
from pipeline.live.sources import VideoSource
from pipeline.live.written import Tell, Written

T = TypeVar("T")


class IoActor:
    """Reads sources into the broker and writes what comes out of it; each call in a thread of its own."""

    def __init__(self, broker: str, options: Mapping[str, str], config: Config) -> None:
        confinement.guard()
        logging.basicConfig(level=logging.WARNING)
        self._url, self._options, self._config = broker, dict(options), config
        self._stop = threading.Event()
        self._events = EventQueue()

    def events(self, timeout_s: float) -> Taken:
        """What has happened here, or what happens first within that time."""
        return self._events.take(timeout_s)

    def stop(self) -> None:
        """Ends live sources, as if their cameras had been switched off for good."""
        self._stop.set()

    def ingest(self, source: VideoSource) -> str:
        """As the function of that name."""
        return self._with_broker(lambda broker: ingest(broker, source, self._config, self._stop, self._events.put))

    def write_file(self, stream: str, path: str, *, overwrite: bool = False) -> Written:
        settings = self._config.seal
        return self._with_broker(lambda broker: sinks.write_file(broker, stream, path, settings, overwrite=overwrite))

    def record(self, stream: str, path: str) -> Written:
        tell, settings = self._teller(EventKind.FULL, stream), self._config.seal
        return self._with_broker(
            lambda broker: Recorder(broker, stream, Path(path), self._stop.is_set, tell, settings).record()
        )

    def push(self, stream: str, url: str, shown: str) -> Written:
        tell = self._teller(EventKind.NOT_PUSHED, stream)
        return self._with_broker(lambda broker: sinks.push(broker, stream, url, shown, tell))

    def write_verdicts(self, stream: str, path: str, shown: str) -> str:
        tell = self._teller(EventKind.FULL, stream)
        return self._with_broker(lambda broker: sinks.write_verdicts(broker, stream, path, shown, tell))

    def _teller(self, kind: EventKind, stream: str) -> Tell:
        return lambda line: self._events.put(Event(kind, line, stream))

    def _with_broker(self, work: Callable[[Broker], T]) -> T:
        def once() -> T:
            broker = open_broker(self._url, **self._options)
            try:
                return work(broker)
            finally:
                broker.close()

        return retry_on_broker_error(once, lambda error: self._events.put(of_broker_error(error)))
