"""What a child process may not do, and what becomes of one that tries."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from engines import FrameError, StreamError
from pipeline.jail.parent import Jail, JailLimits
from pipeline.jail.protocol import pack, unpack

LIMITS = JailLimits(memory_bytes=512 << 20, timeout_s=10.0, max_packet_bytes=4 << 20)


def jail(act: str, limits: JailLimits = LIMITS, **settings: Any) -> Jail:
    return Jail("tests.pipeline.jail.misbehaving", {"act": act, **settings}, limits, error=FrameError, subject="clip")


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


def test_a_silent_child_is_not_waited_for() -> None:
    with jail("hang", replace(LIMITS, timeout_s=0.5)) as child:
        began = time.monotonic()
        assert child.receive(0.1) is None
        assert time.monotonic() - began < 1

        with pytest.raises(FrameError, match=r"within 0\.5 s"):
            child.send(1, bytes(4 << 20))


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("crash", "clip: its child process was killed by SIGSEGV"),
        ("raise", r"clip: its child process ended with code 1 \(LookupError: a bug\)"),
        ("give up", r"clip: not for  \[31mme \[0m"),  # no control characters reach a terminal
        ("allocate", "clip: needs more memory than its child process may have"),
        ("boast", "clip: its child process sent a message of 2147483648 bytes"),
    ],
)
def test_the_cause_of_death_is_told(act: str, reason: str) -> None:
    with jail(act) as child, pytest.raises(FrameError, match=reason):
        child.receive(5)


def test_a_killed_child_is_noticed_by_both_methods() -> None:
    with jail("echo") as child:
        os.kill(child.pid, signal.SIGKILL)

        with pytest.raises(FrameError, match="SIGKILL"):
            child.receive(5)
        with pytest.raises(FrameError, match="closed"):
            child.send(1, b"x")


def test_a_flood_is_stopped() -> None:
    with jail("flood") as child, pytest.raises(FrameError):
        for _ in range(1000):
            child.send(1, bytes(1 << 20))


def test_files_cannot_be_written(tmp_path: Path) -> None:
    with jail("write", path=str(tmp_path / "stolen")) as child:
        message = child.receive(5)

    assert message is not None
    assert message.payload == b"File too large"


def test_descriptors_are_few() -> None:
    with jail("open") as child:
        message = child.receive(5)

    assert message is not None
    assert message.payload == b"Too many open files"


def test_secrets_in_the_environment_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEWARDEN_TOKEN", "secret")

    with jail("environment") as child:
        message = child.receive(5)

    assert message is not None
    assert b"TOKEN" not in message.payload


def test_it_can_be_closed_twice_and_leaves_no_process() -> None:
    child = jail("hang")
    process = psutil.Process(child.pid)

    child.close()
    child.close()

    assert not process.is_running()


def test_children_die_with_a_killed_parent() -> None:
    code = (
        "import time; from pipeline.jail.parent import Jail, JailLimits; from engines import StreamError\n"
        "role, act = 'tests.pipeline.jail.misbehaving', {'act': 'hang'}\n"
        "child = Jail(role, act, JailLimits(), error=StreamError, subject='x')\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.stdout.close()

    parent.kill()
    parent.wait()

    child.wait(5)
    assert not child.is_running()


def test_a_message_is_whole_or_not_there() -> None:
    unread = bytearray(pack(7, b"ab", b"c"))
    last = unread.pop()

    assert unpack(unread) is None
    unread.append(last)
    assert unpack(unread) == (7, b"abc")
    assert unread == b""
    with pytest.raises(ValueError, match="5 bytes"):
        unpack(bytearray(pack(7, b"abcde")), longest=4)


def test_the_error_is_the_one_that_was_asked_for() -> None:
    child = Jail("tests.pipeline.jail.misbehaving", {"act": "raise"}, LIMITS, error=StreamError, subject="clip")

    with child, pytest.raises(StreamError):
        child.receive(5)
