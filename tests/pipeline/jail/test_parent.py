"""The parent hears all a child says, waits for nothing without a limit, and says what became of it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import psutil
import pytest

from engines import FrameError, StreamError
from pipeline.jail.parent import Jail
from pipeline.jail.protocol import Received
from tests.pipeline.jail.acting import LIMITS, ROLE, answer, jail


def test_messages_come_back_as_they_went() -> None:
    messages = [(1, b""), (2, b"x"), (255, bytes(range(256)) * 9000)]

    with jail("echo") as child:
        for kind, payload in messages:
            child.send(kind, payload[:10], payload[10:])
        back = [child.receive(5) for _ in messages]

    assert back == messages


def test_two_full_pipes_do_not_block_each_other() -> None:
    with jail("echo") as child:
        for _ in range(50):
            child.send(1, bytes(100_000))
        back = [child.receive(5) for _ in range(50)]

    assert all(message is not None and len(message.payload) == 100_000 for message in back)


@pytest.mark.parametrize("act", ["hang", "spin"])
def test_a_silent_child_is_not_waited_for(act: str) -> None:
    with jail(act, replace(LIMITS, timeout_s=0.5)) as child:
        began = time.monotonic()
        assert child.receive(0.1) is None
        assert time.monotonic() - began < 1

        with pytest.raises(FrameError, match=r"within 0\.5 s"):
            child.send(1, bytes(4 << 20))


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("chatter", r"clip: its child process ended with code 1"),
        ("raise", r"clip: its child process ended with code 1 \(LookupError: a bug\)"),
        ("exit", "clip: its child process ended with code 7$"),
        ("give up", r"clip: not for  \[31mme \[0m"),  # no control characters reach a terminal
        ("allocate", "clip: needs more memory than its child process may have"),
        ("boast", "clip: its child process sent a message of 2147483648 bytes"),
    ],
)
def test_the_cause_of_death_is_reported(act: str, reason: str) -> None:
    with jail(act) as child, pytest.raises(FrameError, match=reason):
        child.receive(5)

    assert child.closed


def test_what_a_child_said_before_it_died_is_heard() -> None:
    with jail("crash") as child:
        assert child.receive(5) == (1, b"last words")
        with pytest.raises(FrameError, match="clip: its child process was killed by SIGSEGV"):
            child.receive(5)


def test_a_reason_that_waits_in_the_inbox_counts_more_than_the_cause_of_death() -> None:
    with jail("hang") as child:
        child._inbox += [Received(1, b"a picture"), Received(0, b"broken extradata")]

        with pytest.raises(FrameError, match="clip: broken extradata"):
            child.fail()


def test_a_child_that_prints_a_lot_is_not_held_up() -> None:
    assert answer("print") == "printed"


def test_a_killed_child_is_noticed_by_both_methods() -> None:
    with jail("echo") as child:
        os.kill(child.pid, signal.SIGKILL)

        with pytest.raises(FrameError, match="SIGKILL"):
            child.receive(5)
        with pytest.raises(FrameError, match="closed"):
            child.send(1, b"x")


def test_a_flood_is_stopped() -> None:
    with jail("flood") as child, pytest.raises(FrameError, match="sends more than it was asked for"):
        for _ in range(1000):
            child.send(1, bytes(1 << 20))


def test_it_can_be_closed_twice_and_leaves_no_process() -> None:
    child = jail("hang")
    process = psutil.Process(child.pid)

    child.close()
    child.close()

    assert not process.is_running()


def test_the_error_is_the_one_that_was_asked_for() -> None:
    child = Jail(ROLE, {"act": "raise"}, LIMITS, error=StreamError, subject="clip")

    with child, pytest.raises(StreamError):
        child.receive(5)
