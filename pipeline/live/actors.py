"""The actors of a run: started, waited for with a limit, and asked for what happens in them.

Not here: what they do (`io_actor`, `worker`), and Ray's own session (`ray_session`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from engines import ConfigError, StreamError
from pipeline.config import Config
from pipeline.live.cluster import cpus_of, require_shared_broker
from pipeline.live.devices import start_devices
from pipeline.live.events import Emit, Event, EventKind, Taken
from pipeline.live.io_actor import IoActor
from pipeline.live.worker import Worker

CPUS_A_WORKER = 0.5
READY_S, SAY_S, TICK_S = 900.0, 30.0, 0.2
"""How long workers may take to open their networks, since a plan for a GPU is built meanwhile; how often it is said."""
LISTEN_S, LAST_S = 2.0, 3.0
"""How long one question for events waits in an actor; and how long all may take for the last of them."""
CALLS_A_STREAM, SPARE_CALLS = 3, 3


def here() -> int:
    """CPUs that Ray is given on this machine."""
    return max(2, os.cpu_count() or 1)


def wanted_workers(config: Config, streams: int, cpus: float) -> int:
    """How many workers a run gets.

    Raises:
        ConfigError: more were asked for than fit; they would never start.

    >>> wanted_workers(Config(steps=[]), streams=3, cpus=2.0)
    2
    """
    most = int(cpus / CPUS_A_WORKER)
    if most < 1 or config.workers > most:
        raise ConfigError(f"workers: at most {most} fit on {cpus:g} CPUs, got {config.workers or 1}")
    return config.workers or max(1, min(streams, int(cpus), most))


class Actors:
    """The actor that reads and writes, and the workers.

    Args:
        broker: URL and options of the broker.
        group: of the workers.
        calls: how many streams the first actor reads and writes at once.
        emit: gets events of all actors.

    Raises:
        ConfigError: more workers than fit, or a file as the broker of several machines.
        EngineError: a GPU is demanded where there is none.
    """

    def __init__(
        self,
        broker: str,
        options: Mapping[str, str],
        group: str,
        config: Config,
        *,
        streams: int,
        named: str,
        calls: int,
        emit: Emit,
    ) -> None:
        self._emit = emit
        endless = {"max_restarts": -1, "max_task_retries": -1}
        own = ray.get_runtime_context().get_node_id()
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        require_shared_broker(broker, nodes)
        here_only = NodeAffinitySchedulingStrategy(own, soft=False)
        # A machine that joins later sees another file.
        elsewhere = not broker.startswith("sqlite://")
        resources: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus = resources.get("CPU", 0.0) if elsewhere else cpus_of(own, nodes)
        count = wanted_workers(config, streams, cpus)
        self.io: Any = (
            ray.remote(IoActor)
            .options(
                num_cpus=0,
                max_concurrency=CALLS_A_STREAM * calls + SPARE_CALLS,
                # Sources, results and the work folder are on this very machine.
                scheduling_strategy=here_only,
                **endless,
            )
            .remote(broker, options, config)
        )
        engines = config.engines
        # Kept here: an actor ends with its last handle.
        self._devices = start_devices(engines.device, max_batch=engines.max_batch, max_wait_ms=engines.max_wait_ms)
        devices = self._devices or [None]
        self._workers: list[Any] = [
            ray.remote(Worker)
            .options(
                num_cpus=CPUS_A_WORKER,
                max_concurrency=SPARE_CALLS,
                scheduling_strategy=None if elsewhere else here_only,
                **endless,
            )
            .remote(broker, options, group, f"{group}.{number}", config, devices[number % len(devices)], streams=named)
            for number in range(count)
        ]
        self._working: list[Any] = []
        self._questions: dict[Any, Any] = {}
        self._lives: dict[Any, int] = {}

    def begin(self) -> Iterator[None]:
        """Lets all work as soon as they are ready; yields several times a second until then.

        Raises:
            StreamError: they were not ready in time.
            RayError: what one of them cannot open.
        """
        waiting = [worker.ready.remote() for worker in self._workers]
        count, began, said = len(waiting), time.monotonic(), time.monotonic()
        self._questions = {actor.events.remote(LISTEN_S): actor for actor in (self.io, *self._workers)}
        while waiting:
            ready, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=TICK_S)
            ray.get(ready)
            now = time.monotonic()
            words = f"for {len(waiting)} of {count} workers, which start and open their networks"
            if now - began > READY_S:
                raise StreamError(f"waited {READY_S:g} s {words}; take fewer workers, or see the cluster's state")
            if now - said > SAY_S:
                said = now
                self._emit(Event(EventKind.WAITING, words))
            yield
        self._working = [worker.work.remote() for worker in self._workers]

    def attend(self) -> None:
        """Hands on what has happened in them, and notices one that ended.

        Raises:
            RayError: a worker ended for good.
        """
        heard, _ = ray.wait(list(self._questions), num_returns=len(self._questions), timeout=0)
        for question in heard:
            actor = self._questions.pop(question)
            self._hear(actor, ray.get(question))
            self._questions[actor.events.remote(LISTEN_S)] = actor
        dead, self._working = ray.wait(self._working, timeout=0)
        ray.get(dead)

    def last_events(self) -> None:
        """Hands on what has happened until now, and asks no more."""
        heard, _ = ray.wait(list(self._questions), num_returns=len(self._questions), timeout=LAST_S)
        for question in heard:
            self._hear(self._questions.pop(question), ray.get(question))

    def _hear(self, actor: Any, taken: Taken) -> None:
        before = self._lives.setdefault(actor, taken.life)
        if before != taken.life:
            self._lives[actor] = taken.life
            self._emit(Event(EventKind.RESTARTED, "a process had ended and was started again; nothing is lost by it"))
        for event in taken.events:
            self._emit(event)
