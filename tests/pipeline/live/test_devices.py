"""A device that streams share, through Ray: it answers, it is lost, it comes back; no call ends without an answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from numpy.typing import NDArray

from engines import Engine, EngineError, FrameError, open_engine
from engines.runtime import OpenEngine
from pipeline.live import devices
from pipeline.live.devices import (
    FATAL_FAILURES,
    DeviceEngines,
    SharedEngine,
    open_shared,
    serving,
    start_device,
    start_devices,
)
from tests.engines.small_network import write_onnx


def open_on_device(path: str) -> Engine:
    """y = x, and the rows of the batch. The file says what the device suffers from: it fails, hangs, or nothing."""
    if not Path(path).exists():
        raise EngineError(f"{path}: no such file")

    def run(**inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        trouble = Path(path).read_text()
        if trouble == "fails" or np.isnan(inputs["x"]).any():
            raise EngineError("the device failed")
        if trouble == "hangs":
            time.sleep(60)
        return {"y": inputs["x"], "batch": np.full(len(inputs["x"]), len(inputs["x"]))}

    return run


def run_here(**inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
    """The same on the CPU; batch 0 tells that it ran here."""
    if np.isnan(inputs["x"]).any():
        raise EngineError("not a number")
    return {"y": inputs["x"], "batch": np.zeros(len(inputs["x"]))}


@pytest.fixture(scope="module")
def device() -> Iterator[Any]:
    """One device for all tests: each of them leaves it working."""
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield start_device(open_on_device, max_batch=4, max_wait_ms=200, gpus=0)
    ray.shutdown()


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "network.plan"
    path.write_text("")
    return path


def call(engine: SharedEngine, number: float = 1.0) -> tuple[float, float]:
    """What came, and the rows of the batch in which it ran: 0 where the CPU ran it."""
    outputs = engine(x=np.full(1, number))
    return outputs["y"].item(), outputs["batch"].item()


def back(engine: SharedEngine) -> bool:
    """Calls until the device answers again."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        if call(engine)[1]:
            return True
        time.sleep(0.05)
    return False


def test_a_device_runs_what_it_is_asked_and_says_what_it_cannot(network: Path) -> None:
    engines = DeviceEngines(open_on_device, max_batch=4, max_wait_ms=0)

    engines.open(str(network))
    outputs = engines.run(str(network), "door", {"x": np.array([3.0, 4.0])})

    assert outputs["y"].tolist() == [3, 4]
    with pytest.raises(EngineError, match=r"none\.plan: no such file"):
        engines.open(str(network.with_name("none.plan")))
    with pytest.raises(EngineError, match="the device failed"):
        engines.run(str(network), "door", {"x": np.array([np.nan])})


class Ended(BaseException):
    """Stands for the end of the process."""


def test_a_device_that_only_fails_is_begun_again(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = DeviceEngines(open_on_device, max_batch=4, max_wait_ms=0)
    good, bad = {"x": np.array([1.0])}, {"x": np.array([np.nan])}

    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr("os._exit", end)

    for _ in range(2):  # what works in between shows that the device is not broken
        for _ in range(FATAL_FAILURES - 1):
            with pytest.raises(EngineError):
                engines.run(str(network), "door", bad)
        engines.run(str(network), "door", good)
    with pytest.raises(Ended, match="1"):
        for _ in range(FATAL_FAILURES):
            with pytest.raises(EngineError):
                engines.run(str(network), "door", bad)


def test_a_stream_is_served_until_the_one_around_it_is_again() -> None:
    seen = [devices._stream.get()]
    with serving("outer"):
        with pytest.raises(FrameError), serving("inner"):
            seen.append(devices._stream.get())
            raise FrameError("a frame fails")
        seen.append(devices._stream.get())
    seen.append(devices._stream.get())

    assert seen == ["", "inner", "outer", ""]


def test_a_network_that_no_device_runs_is_opened_here(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"net\.txt: no backend for '\.txt'"):
        open_shared(None, True, tmp_path / "net.txt")  # no device is asked


def test_streams_run_in_one_batch(device: Any, network: Path) -> None:
    def of_stream(number: int) -> tuple[float, float]:
        with serving(f"stream {number}"):
            return call(SharedEngine(device, network, run_here), number)

    with ThreadPoolExecutor(4) as streams:
        answers = list(streams.map(of_stream, range(4)))

    assert answers == [(number, 4) for number in range(4)]


def break_by_errors(_: Any, network: Path) -> None:
    network.write_text("fails")


def break_by_hanging(_: Any, network: Path) -> None:
    network.write_text("hangs")


def break_by_killing(device: Any, _: Path) -> None:
    ray.kill(device, no_restart=False)


@pytest.mark.parametrize("break_it", [break_by_errors, break_by_hanging, break_by_killing])
def test_the_cpu_takes_over_until_the_device_is_back(
    break_it: Callable[[Any, Path], None], device: Any, network: Path
) -> None:
    engine = SharedEngine(device, network, run_here, timeout_s=2, retry_s=0.1)
    assert call(engine, 1) == (1, 1)

    break_it(device, network)
    began = time.monotonic()
    answers = [call(engine, number) for number in (2, 3)]
    took_s = time.monotonic() - began
    network.write_text("")

    assert answers == [(2, 0), (3, 0)]
    assert took_s < 4
    assert back(engine)
    assert not engine.lost


def test_what_the_cpu_cannot_run_either_is_no_result(device: Any, network: Path) -> None:
    engine = SharedEngine(device, network, run_here)

    with pytest.raises(FrameError, match=r"neither the device nor the CPU.*not a number"):
        call(engine, np.nan)

    assert not engine.lost
    assert call(engine) == (1, 1)


def test_a_worker_may_open_a_network_while_the_device_is_lost(device: Any, network: Path) -> None:
    ray.kill(device, no_restart=False)

    engine = SharedEngine(device, network, run_here, retry_s=0.1)

    assert call(engine)[0] == 1
    assert back(engine)


def test_a_model_the_device_has_no_plan_for_runs_here_unless_that_is_refused(device: Any, tmp_path: Path) -> None:
    model = write_onnx(tmp_path)

    assert isinstance(open_shared(device, False, model), OpenEngine)
    with pytest.raises(EngineError, match=r"the device cannot run it.*small\.plan: no such file"):
        open_shared(device, True, model)

    model.with_suffix(".plan").write_text("")
    assert isinstance(open_shared(device, True, model), SharedEngine)


def test_operators_find_the_card_of_a_shared_network(device: Any, network: Path, tmp_path: Path) -> None:
    local = open_engine(write_onnx(tmp_path))
    assert SharedEngine(device, network, local).file == local.file == tmp_path / "small.onnx"


@pytest.mark.usefixtures("device")
def test_without_a_gpu_workers_run_their_networks() -> None:
    if ray.cluster_resources().get("GPU"):  # type: ignore[no-untyped-call]
        pytest.skip("there is a GPU")

    assert start_devices("auto", max_batch=8, max_wait_ms=2) == []
    assert start_devices("cpu", max_batch=8, max_wait_ms=2) == []
    with pytest.raises(EngineError, match="Ray finds none; use 'auto' or 'cpu'"):
        start_devices("cuda", max_batch=8, max_wait_ms=2)
