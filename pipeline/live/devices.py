"""Networks on a device that workers share: the Ray actor that owns the device, and what stands for it in a worker.

A worker's operators call a `SharedEngine` as they call any engine. Requests of all streams meet in the actor and run as
batches. When the device is lost, the worker's own CPU runs the network until it is back: a call returns a result or
raises, so no frame passes unexamined.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import ray
from numpy.typing import NDArray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from engines import Engine, EngineError, FrameError, open_engine
from engines.batching import Arrays, Batching

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0
"""What takes the device longer than this is not waited for: the device counts as lost."""
RETRY_S = 5.0
FATAL_FAILURES = 8
CALLERS = 128

_stream: ContextVar[str] = ContextVar("stream", default="")


@contextmanager
def serving(stream: str) -> Iterator[None]:
    """Says for which stream engines are called within, so that the device serves streams in turn."""
    token = _stream.set(stream)
    try:
        yield
    finally:
        _stream.reset(token)


class DeviceEngines:
    """The actor of one device.

    Args:
        open_network: opens a model file on the device.
        max_batch: rows of a batch.
        max_wait_ms: how long a request waits for others.
    """

    def __init__(self, open_network: Callable[[str], Engine], max_batch: int, max_wait_ms: float) -> None:
        self._batching = Batching(open_network, max_batch=max_batch, max_wait_s=max_wait_ms / 1000)

    def open(self, network: str) -> None:
        """Opens a network ahead of its first call; long, where a plan has to be built.

        Raises:
            EngineError: it does not open.
        """
        self._batching.open(network)

    def run(self, network: str, stream: str, inputs: Arrays) -> Arrays:
        """Runs a network in one batch with other streams.

        Raises:
            EngineError: it does not open, or fails on these inputs.
        """
        try:
            return self._batching(network, stream, inputs)
        finally:
            if self._batching.failures >= FATAL_FAILURES:
                os._exit(1)  # a broken CUDA context never heals; Ray starts a new process, which gets a new one


def start_device(open_network: Callable[[str], Engine], *, max_batch: int, max_wait_ms: float, gpus: float = 1) -> Any:
    """Starts the actor of one device, of which it takes `gpus`; it lives as long as the caller keeps the handle."""
    actor = ray.remote(DeviceEngines)
    options = actor.options(num_cpus=0, num_gpus=gpus, max_concurrency=CALLERS, max_restarts=-1)
    return options.remote(open_network, max_batch, max_wait_ms)


def start_devices(device: str, *, max_batch: int, max_wait_ms: float) -> list[Any]:
    """Starts an actor for each GPU of the cluster; none where `device` is `cpu`, or `auto` and there is no GPU.

    Raises:
        EngineError: `device` is `cuda`, and there is no GPU.
    """
    resources: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    count = int(resources.get("GPU", 0)) if device != "cpu" else 0
    if device == "cuda" and count == 0:
        raise EngineError("engines.device: expected a GPU for 'cuda', but Ray finds none; use 'auto' or 'cpu'")
    return [start_device(open_engine, max_batch=max_batch, max_wait_ms=max_wait_ms) for _ in range(count)]


def open_shared(device: Any, required: bool, path: Path) -> Engine:
    """Opens a network on a device, with this process to stand in for it; in this process alone, where a device has no
    runtime for the file, or cannot run the network.

    Raises:
        EngineError: it does not open here; or not on the device, and that is `required`.
    """
    if path.suffix not in (".onnx", ".plan"):
        return open_engine(path)
    local = open_engine(path.with_suffix(".onnx"))
    try:
        return SharedEngine(device, path.with_suffix(".plan"), local)
    except EngineError as error:
        if required:
            raise
        log.warning("%s: runs on the CPU: %s", path.name, error)
        return local


class SharedEngine:
    """A network on a shared device while that works, else in this process. Outputs may be read-only.

    Args:
        device: handle of a `DeviceEngines`.
        path: the network's file.
        local: the same network in this process, on the CPU.
        timeout_s: how long a call may take on the device.
        retry_s: how long a lost device is left alone before it is tried again, besides the calls that run here.

    Attributes:
        file: where the network in this process lies, with its card next to it; None if it lies nowhere.
        lost: the device failed where the CPU did not, and has not answered since.

    Raises:
        EngineError: the device works, but does not open it.
    """

    def __init__(
        self, device: Any, path: Path, local: Engine, *, timeout_s: float = TIMEOUT_S, retry_s: float = RETRY_S
    ) -> None:
        self._device, self._path, self._local = device, path, local
        self.file: Path | None = getattr(local, "file", None)
        self._timeout_s, self._retry_s = timeout_s, retry_s
        self._retry_at_s = 0.0
        self._trial: Any = None  # a call that a lost device was given, and nobody waits for
        self.lost = False
        try:
            ray.get(device.open.remote(str(path)))
        except RayTaskError as error:
            raise EngineError(f"{path}: the device cannot run it: {error.cause}") from error
        except RayError as error:
            self._lose(error)

    def __call__(self, **inputs: NDArray[Any]) -> Arrays:
        """Runs the network, on the device or here.

        Raises:
            FrameError: neither can.
        """
        if self.lost:
            self._try_again(inputs)
            return self._run_here(inputs)
        try:
            return ray.get(self._send(inputs), timeout=self._timeout_s)  # type: ignore[no-any-return]
        except RayError as error:
            outputs = self._run_here(inputs)  # where this fails too, it is the inputs, and not the device
            self._lose(error)
            return outputs

    def _send(self, inputs: Arrays) -> Any:
        return self._device.run.remote(str(self._path), _stream.get(), inputs)

    def _run_here(self, inputs: Arrays) -> Arrays:
        try:
            return self._local(**inputs)
        except EngineError as error:
            raise FrameError(f"neither the device nor the CPU could run the network: {error}") from error

    def _lose(self, error: RayError) -> None:
        log.warning("%s: the device is lost, the CPU takes over: %s", self._path.name, getattr(error, "cause", error))
        self.lost, self._retry_at_s = True, time.monotonic() + self._retry_s
        if isinstance(error, GetTimeoutError):
            ray.kill(self._device, no_restart=False)  # what hangs, hangs for all

    def _try_again(self, inputs: Arrays) -> None:
        """Gives the device what runs here too; once it answers, it is back."""
        try:
            if self._trial is None and time.monotonic() >= self._retry_at_s:
                self._trial = self._send(inputs)
            if self._trial is not None and ray.wait([self._trial], timeout=0)[0]:
                trial, self._trial = self._trial, None
                ray.get(trial)
                log.warning("%s: the device is back", self._path.name)
                self.lost = False
        except RayError:
            self._retry_at_s = time.monotonic() + self._retry_s
