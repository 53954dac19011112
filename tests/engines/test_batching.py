"""Requests of many streams to one device: what runs together, in which turn, and what comes of failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines import EngineError
from engines.batching import Batching, Request, RequestQueue, join, split

WAIT_S = 0.01


def request(stream: str, rows: int = 1, *, at: float = 0.0, size: int = 3, network: str = "net") -> Request:
    return Request(network, stream, {"x": np.zeros((rows, size), np.float32)}, at)


def waiting(*requests: Request, max_batch: int = 4) -> RequestQueue:
    made = RequestQueue(max_batch=max_batch, max_wait_s=WAIT_S, max_pending=100)
    for one in requests:
        made.put(one)
    return made


def names(batch: list[Request]) -> str:
    return " ".join(one.stream for one in batch)


def test_a_request_waits_for_others_but_not_for_long() -> None:
    requests = waiting(request("a", at=1.0), request("b", at=1.005))

    assert requests.due_s() == 1.0 + WAIT_S
    assert requests.take(1.009) == []
    assert names(requests.take(1.0 + WAIT_S)) == "a b"
    assert requests.due_s() is None


def test_a_full_batch_does_not_wait() -> None:
    requests = waiting(*(request(stream, rows=2, at=1.0) for stream in "abc"))

    assert names(requests.take(1.0)) == "a b"
    assert requests.take(1.0) == []
    assert names(requests.take(2.0)) == "c"


def test_streams_take_turns() -> None:
    requests = waiting(*(request(stream) for stream in "aaaaaaabc"))

    assert names(requests.take(1)) == "a b c a"
    requests.put(request("b"))
    assert names(requests.take(1)) == "a b a a"


def test_a_large_request_is_not_passed_over() -> None:
    requests = waiting(request("a"), request("large", rows=9), request("b"), request("a"))

    assert [names(requests.take(1)) for _ in range(3)] == ["a", "large", "b a"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(request("b", size=4), id="shape"),
        pytest.param(request("b", network="other"), id="network"),
        pytest.param(Request("net", "b", {"x": np.zeros((1, 3))}, 0.0), id="dtype"),
        pytest.param(Request("net", "b", {"y": np.zeros((1, 3), np.float32)}, 0.0), id="name"),
    ],
)
def test_only_like_runs_with_like(other: Request) -> None:
    requests = waiting(request("a", at=0.5), other)

    assert [names(requests.take(1)) for _ in range(2)] == ["b", "a"]  # the older one first


def test_a_stream_may_have_only_so_many_waiting() -> None:
    requests = RequestQueue(max_batch=4, max_wait_s=WAIT_S, max_pending=2)
    for one in (request("a"), request("a", size=9)):
        requests.put(one)

    assert (requests.has_room("a"), requests.has_room("b")) == (False, True)
    requests.take(1)
    assert requests.has_room("a")


@pytest.mark.parametrize("shapes", [{"x": (2, 3), "y": (1, 3)}, {"x": ()}, {}], ids=["rows", "scalar", "nothing"])
def test_a_request_needs_rows(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(EngineError, match="one batch size on axis 0"):
        Request("net", "a", {name: np.zeros(shape) for name, shape in shapes.items()}, 0.0)


SENT = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 6), st.sampled_from([3, 4])), max_size=30)


@given(sent=SENT, max_batch=st.integers(1, 8))
def test_all_are_served_in_turn(sent: list[tuple[str, int, int]], max_batch: int) -> None:
    requests = [request(stream, rows, at=float(i), size=size) for i, (stream, rows, size) in enumerate(sent)]
    queue = waiting(*requests, max_batch=max_batch)

    batches = []
    while batch := queue.take(100.0):
        batches.append(batch)

    served = [one for batch in batches for one in batch]
    assert set(served) == set(requests)
    assert len(served) == len(requests)
    for batch in batches:
        assert len({one.kind for one in batch}) == 1
        assert len(batch) == 1 or sum(one.rows for one in batch) <= max_batch
    for kind in {one.kind for one in requests}:
        order = [one for one in served if one.kind == kind]
        for stream in "abc":
            own = [one for one in order if one.stream == stream]
            assert [one.arrived_s for one in own] == sorted(one.arrived_s for one in own)
            for before, after in pairwise(own):
                between = [one.stream for one in order[order.index(before) + 1 : order.index(after)]]
                assert len(between) == len(set(between))  # never a second of another stream before the next of this


@given(rows=st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_joined_and_split_is_as_before(rows: list[int]) -> None:
    first = np.cumsum([0, *rows])
    requests = [
        Request("net", "a", {"x": np.arange(start, start + count)}, 0.0)
        for start, count in zip(first, rows, strict=False)
    ]

    parts = split(requests, join(requests))

    assert [part["x"].tolist() for part in parts] == [one.inputs["x"].tolist() for one in requests]


def test_an_output_without_rows_is_named() -> None:
    with pytest.raises(EngineError, match=r"output 'y': expected 2 rows, got shape \(1,\)"):
        split([request("a"), request("b")], {"y": np.zeros(1)})


class Doubling:
    """An engine: y = 2 x; it fails on a negative number, and keeps the sizes of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.running, self.may_run = threading.Event(), threading.Event()
        self.may_run.set()

    def __call__(self, **inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        self.running.set()
        assert self.may_run.wait(10)
        self.batches.append(len(inputs["x"]))
        if (inputs["x"] < 0).any():
            raise EngineError("negative")
        return {"y": 2 * inputs["x"]}


@contextmanager
def batching(engine: Doubling, **options: Any) -> Iterator[Batching]:
    made = Batching(lambda _: engine, **options)
    try:
        yield made
    finally:
        made.close()


def wait_until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.001)


def ask(device: Batching, number: float) -> Callable[[], Any]:
    return lambda: device("net", f"stream {number}", {"x": np.full((1, 1), number)})["y"].item()


def test_callers_share_a_batch_and_get_their_own() -> None:
    engine = Doubling()
    with batching(engine, max_batch=8, max_wait_s=10) as device, ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda number: ask(device, number)(), range(8)))

    assert answers == [2 * number for number in range(8)]
    assert engine.batches == [8]


def test_what_comes_while_the_device_is_busy_runs_next_as_one() -> None:
    engine = Doubling()
    engine.may_run.clear()
    with batching(engine, max_wait_s=0) as device, ThreadPoolExecutor(4) as callers:
        first = callers.submit(ask(device, 1))
        assert engine.running.wait(10)
        others = [callers.submit(ask(device, number)) for number in (2, 3, 4)]
        wait_until(lambda: device.pending == 3)
        engine.may_run.set()

        assert [call.result(10) for call in (first, *others)] == [2, 4, 6, 8]
    assert engine.batches == [1, 3]


def test_a_stream_that_sends_too_much_is_held_back() -> None:
    engine = Doubling()
    engine.may_run.clear()
    with batching(engine, max_wait_s=0, max_pending=1) as device, ThreadPoolExecutor(5) as callers:
        calls = [callers.submit(ask(device, 1))]
        assert engine.running.wait(10)
        calls += [callers.submit(ask(device, 1)) for _ in range(3)]
        calls += [callers.submit(ask(device, 2))]
        wait_until(lambda: device.pending == 2)
        engine.may_run.set()

        assert [call.result(10) for call in calls] == [2, 2, 2, 2, 4]
    assert engine.batches == [1, 2, 1, 1]


def test_one_bad_request_fails_alone() -> None:
    engine = Doubling()
    with batching(engine, max_batch=3, max_wait_s=10) as device, ThreadPoolExecutor(3) as callers:
        good, bad, fine = (callers.submit(ask(device, number)) for number in (1, -1, 2))

        assert (good.result(10), fine.result(10)) == (2, 4)
        with pytest.raises(EngineError, match="negative"):
            bad.result(10)
    assert device.failures <= 1


def test_failures_in_a_row_are_counted_until_one_succeeds() -> None:
    counts = []
    with batching(Doubling(), max_wait_s=0) as device:
        for number in (-1, -1, 1):
            with suppress(EngineError):
                ask(device, number)()
            counts.append(device.failures)

    assert counts == [1, 2, 0]


def test_a_network_that_does_not_open_says_so_to_its_callers() -> None:
    def no_network(name: str) -> Doubling:
        raise EngineError(f"{name}: no such file")

    device = Batching(no_network, max_wait_s=0)

    with pytest.raises(EngineError, match="net: no such file"):
        device.open("net")
    with pytest.raises(EngineError, match="net: no such file"):
        ask(device, 1)()
    device.close()
