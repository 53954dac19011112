"""Batching over streams: requests to one device wait a moment for each other, and run as one batch.

`RequestQueue` decides what runs next, and is pure: it is given the time. `Batching` gives it callers,
threads and engines. Not here: how a request comes from another process (`pipeline.live.devices`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import Engine, EngineError

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Request:
    """One call of a network: named arrays `(rows, ...)`, the same number of rows in each.

    Raises:
        EngineError: there is no array, or they differ in rows.
    """

    network: str
    stream: str
    inputs: Arrays
    arrived_s: float

    def __post_init__(self) -> None:
        shapes = {name: array.shape for name, array in self.inputs.items()}
        if len({shape[:1] for shape in shapes.values()}) != 1 or () in shapes.values():
            raise EngineError(f"{self.network}: expected arrays with one batch size on axis 0, got {shapes}")

    @cached_property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))

    @cached_property
    def kind(self) -> tuple[Any, ...]:
        """Equal for requests that can be one batch: the network, names, dtypes, and shapes but for the rows.

        >>> small, large = (Request("net", "a", {"x": np.zeros((rows, 3))}, 0.0) for rows in (1, 4))
        >>> small.kind == large.kind
        True
        """
        arrays = sorted((name, array.dtype.str, array.shape[1:]) for name, array in self.inputs.items())
        return self.network, *arrays


class RequestQueue:
    """The requests that wait, in turn: a batch takes one of each stream, then a second of each, and so on.

    So a stream waits for at most one request of every other stream before its own, however many those have sent.

    Args:
        max_batch: rows of a batch. A larger request runs alone; engines split what their plan cannot hold.
        max_wait_s: how long a request waits for others.
        max_pending: how many requests of one stream may wait.
    """

    def __init__(self, *, max_batch: int, max_wait_s: float, max_pending: int) -> None:
        self._max_batch, self._max_wait_s, self._max_pending = max_batch, max_wait_s, max_pending
        self._pending: Counter[str] = Counter()
        # By kind, the queues of streams; the order of each dict is the order in which its streams are served.
        self._kinds: dict[tuple[Any, ...], dict[str, deque[Request]]] = {}

    def __len__(self) -> int:
        return self._pending.total()

    def has_room(self, stream: str) -> bool:
        """Whether the stream may send another request yet."""
        return self._pending[stream] < self._max_pending

    def put(self, request: Request) -> None:
        """Lets a request wait: after all that its stream has sent, and in turn with other streams."""
        self._kinds.setdefault(request.kind, {}).setdefault(request.stream, deque()).append(request)
        self._pending[request.stream] += 1

    def due_s(self) -> float | None:
        """When the next batch is to run; in the past where one is full; None while nothing waits."""
        return min(map(self._due_s, self._kinds.values()), default=None)

    def take(self, now_s: float) -> list[Request]:
        """The batch that is to run now, empty if none is due. Of several, the one that has waited longest."""
        due = [kind for kind, queues in self._kinds.items() if self._due_s(queues) <= now_s]
        if not due:
            return []
        kind = min(due, key=lambda kind: _oldest_s(self._kinds[kind]))
        queues, rows = self._kinds[kind], 0
        batch: list[Request] = []
        while queues:
            stream, queue = next(iter(queues.items()))
            # A request that does not fit is the first of the next batch: large ones are not passed over for ever.
            if batch and rows + queue[0].rows > self._max_batch:
                break
            batch.append(queue.popleft())
            rows += batch[-1].rows
            self._pending[stream] -= 1
            del queues[stream]
            if queue:
                queues[stream] = queue
        if not queues:
            del self._kinds[kind]
        self._pending += Counter()  # drops zeros: streams come and go
        return batch

    def _due_s(self, queues: Mapping[str, deque[Request]]) -> float:
        oldest_s = _oldest_s(queues)
        full = sum(request.rows for queue in queues.values() for request in queue) >= self._max_batch
        return oldest_s if full else oldest_s + self._max_wait_s


def _oldest_s(queues: Mapping[str, deque[Request]]) -> float:
    return min(queue[0].arrived_s for queue in queues.values())


def join(requests: Sequence[Request]) -> dict[str, NDArray[Any]]:
    """The inputs of requests of one kind as one batch."""
    if len(requests) == 1:
        return dict(requests[0].inputs)
    return {name: np.concatenate([request.inputs[name] for request in requests]) for name in requests[0].inputs}


def split(requests: Sequence[Request], outputs: Arrays) -> list[dict[str, NDArray[Any]]]:
    """Gives each request its rows of a batch's outputs.

    Raises:
        EngineError: an output has not as many rows as the batch.
    """
    if len(requests) == 1:
        return [dict(outputs)]
    ends = list(accumulate(request.rows for request in requests))
    for name, array in outputs.items():
        if array.shape[:1] != (ends[-1],):
            raise EngineError(
                f"{requests[0].network}: output {name!r}: expected {ends[-1]} rows, got shape {array.shape}; "
                f"a network without a batch axis needs max_batch 1"
            )
    return [
        {name: array[end - request.rows : end] for name, array in outputs.items()}
        for request, end in zip(requests, ends, strict=True)
    ]


Answers = list[dict[str, NDArray[Any]] | EngineError]


class Batching:
    """Runs the networks of one device for many callers, a batch at a time, in one thread: a CUDA context likes one.

    Args:
        open_network: opens the network of that name; called once for each.
        max_batch, max_wait_s, max_pending: as of `RequestQueue`.
        clock: seconds, rising.

    Attributes:
        failures: how many runs have failed in a row.
    """

    def __init__(
        self,
        open_network: Callable[[str], Engine],
        *,
        max_batch: int = 8,
        max_wait_s: float = 0.002,
        max_pending: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures = 0
        self._open_network = open_network
        self._engines: dict[str, Engine] = {}
        self._waiting = RequestQueue(max_batch=max_batch, max_wait_s=max_wait_s, max_pending=max_pending)
        self._clock = clock
        self._changed = threading.Condition()
        self._busy = False
        self._answers: dict[Request, tuple[Future[Answers], int]] = {}
        self._device = ThreadPoolExecutor(1, thread_name_prefix="device")

    @property
    def pending(self) -> int:
        """How many requests wait for their batch."""
        with self._changed:
            return len(self._waiting)

    def open(self, network: str) -> None:
        """Opens a network now, rather than at its first call.

        Raises:
            EngineError: it does not open.
        """
        self._device.submit(self._engine, network).result()

    def __call__(self, network: str, stream: str, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Runs a network; waits while `max_pending` requests of the stream wait already.

        Raises:
            EngineError: the network does not open, or fails on these inputs.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting.has_room(stream))
            request = Request(network, stream, inputs, self._clock())
            self._waiting.put(request)
            self._changed.notify_all()
            # Whoever waits starts what is due, his own or another's: so no thread is needed for that.
            while request not in self._answers:
                if not self._start_batch():
                    self._changed.wait(self._pause_s())
            answers, index = self._answers.pop(request)
        answer = answers.result()[index]
        if isinstance(answer, EngineError):
            raise answer
        return answer

    def close(self) -> None:
        """Ends the device's thread, after the batch that runs."""
        self._device.shutdown()

    def _start_batch(self) -> bool:
        batch = [] if self._busy else self._waiting.take(self._clock())
        if batch:
            self._busy = True
            answers = self._device.submit(self._run, batch)
            self._answers |= {request: (answers, index) for index, request in enumerate(batch)}
            answers.add_done_callback(self._finish)
            self._changed.notify_all()
        return bool(batch)

    def _pause_s(self) -> float | None:
        """How long there is nothing to start; None is until something changes."""
        due_s = self._waiting.due_s()
        return None if self._busy or due_s is None else max(due_s - self._clock(), 0)

    def _finish(self, _: Future[Answers]) -> None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()

    def _run(self, batch: Sequence[Request]) -> Answers:
        """Runs a batch; if it fails, each request alone, so that none suffers for another's inputs."""
        self.failures += 1
        try:
            outputs = self._engine(batch[0].network)(**join(batch))
            answers: Answers = [*split(batch, outputs)]
        except EngineError as error:
            return [error] if len(batch) == 1 else [self._run([request])[0] for request in batch]
        self.failures = 0
        return answers

    def _engine(self, network: str) -> Engine:
        if network not in self._engines:
            self._engines[network] = self._open_network(network)
        return self._engines[network]
