"""Workers and brokers that stall, die, and come back: each packet comes out once, in order, by whole units."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pipeline.brokers import INGEST, MASKED, STATE, Broker, BrokerError, Message, Record
from tests.pipeline.brokers import copier
from tests.pipeline.brokers.conftest import Place, collect, messages, numbered, values

ROOT = Path(__file__).parents[3]


@contextmanager
def working(
    place: Place, name: str, last: int, *, seed: int = 0, pause_s: float = 0
) -> Iterator[subprocess.Popen[str]]:
    """A copier in a process of its own, killed in the end if it still lives."""
    options = [json.dumps(place.options), name, str(last), str(seed), str(pause_s)]
    command = [sys.executable, copier.__file__, place.url, *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], word: str, times: int = 1) -> bool:
    """Waits until the process has said the word so many times; False if it ended before."""
    assert process.stdout is not None
    found = (line for line in process.stdout if line.strip() == word)
    return len(list(itertools.islice(found, times))) == times


def check_output(place: Place, last: int) -> None:
    found = [value.split() for value in values(collect(place.reader(MASKED).read, last + 1))]
    assert [int(number) for number, _ in found] == list(range(last + 1))
    for (_, here), (_, behind) in zip(found, [*found[1:], (b"", b"0/")], strict=True):
        index, count = map(int, here.split(b"/"))
        assert index + 1 == count or behind == b"%d/%d" % (index + 1, count)
        assert index + 1 < count or behind.startswith(b"0/")


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_workers_lose_and_double_nothing(place: Place, seed: int) -> None:
    rng = random.Random(seed)
    last, kills, commit_s = (1499, 5, 0.05) if place.is_kafka else (1999, 6, 0.005)
    writer = place.writer()
    for first in range(0, last + 1, 50):
        writer.write("cam", messages(*[b"%d " % n + bytes(5000) for n in range(first, first + 50)]), b"")
    reader = place.reader(MASKED)
    seen: list[Record] = []
    for kill in range(kills):
        # The same name takes over at once; another has to wait until the dead one's time is over.
        name = "two" if (seed, kill) == (1, kills // 2) else "one"
        with working(place, name, last, seed=seed + kill) as process:
            assert said(process, "commits", rng.randint(1, 12))
            time.sleep(rng.uniform(0, commit_s))
        seen += reader.read(0.1)
        if seen:
            index, count = map(int, seen[-1].value.split()[1].split(b"/"))
            assert index + 1 == count, "half a unit can be read"
    assert 0 < len(seen) <= last
    with working(place, "one", last) as process:
        assert process.wait(60) == 0
    check_output(place, last)


def test_a_stalled_owner_is_fenced_and_stores_nothing(place: Place) -> None:
    last = 29
    place.writer().write("cam", messages(*numbered(0, last + 1)), b"")
    with working(place, "stalled", last, pause_s=0.5) as stalled:
        assert said(stalled, "commits")
        stalled.send_signal(signal.SIGSTOP)
        heir = place.member("heir")
        found = collect(heir.poll, last + 1)
        assert values(found) == numbered(0, last + 1)
        stalled.send_signal(signal.SIGCONT)
        assert said(stalled, "fenced")
        assert place.reader(MASKED).read(0.2) == []
        assert place.broker().latest(STATE, "cam") is None
        unit = [Message(MASKED, b"%d %d/30" % (n, n)) for n in range(30)]
        heir.commit("cam", unit, b"30", resume_offset=found[-1].next_offset, ended=True)
        assert stalled.wait(30) == 0
    check_output(place, last)


@pytest.mark.timeout(150)
def test_a_broker_that_is_gone_for_seconds_loses_nothing(place: Place) -> None:
    if place.is_kafka and place.node is None:
        pytest.skip("only a node of our own is killed")
    last = 399
    copying = copier.Copier(place.broker(), "one", last)
    threads = [
        threading.Thread(target=_write_all, args=(place.broker(), last)),
        threading.Thread(target=lambda: copying.run(patient=True)),
    ]
    for thread in threads:
        thread.start()
    time.sleep(2 if place.is_kafka else 0.3)
    with _outage(place):
        time.sleep(4 if place.is_kafka else 2)
    for thread in threads:
        thread.join(100)
        assert not thread.is_alive()
    check_output(place, last)


def _write_all(broker: Broker, last: int) -> None:
    """Writes as ingest does: after an error a new writer goes on from what the old one is known to have stored."""
    while True:
        try:
            done = int(broker.latest(INGEST, "cam") or 0)
            with closing(broker.writer("ingest")) as writer:
                while done <= last:
                    packets = [b"%d " % n + bytes(1000) for n in range(done, done + 4)]
                    writer.write("cam", messages(*packets), b"%d" % (done + 4))
                    done += 4
                    while writer.backlog("cam") > 100:
                        time.sleep(0.01)
                    time.sleep(0.02)
            return
        except BrokerError:
            time.sleep(0.2)


@contextmanager
def _outage(place: Place) -> Iterator[None]:
    if place.node is not None:
        place.node.kill()
        yield
        place.node.start()
    else:
        with closing(sqlite3.connect(place.url.removeprefix("sqlite://"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
