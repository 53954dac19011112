"""What a child process may not do, and what it leaves outside."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pipeline.jail import call_filter
from pipeline.jail.parent import Jail
from pipeline.jail.protocol import FAILED, pack
from tests.pipeline.jail.acting import LIMITS, ROLE, answer, jail

ROOT = Path(__file__).parents[3]


def test_no_program_gives_it_new_privileges_and_it_has_none() -> None:
    with jail("echo") as child:
        status = _status(child)

    assert status["NoNewPrivs"] == "1"
    assert {status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {""}
    assert status["Threads"] == "1"
    assert status["Seccomp"] == ("2" if call_filter.program("closed") else "0")


def test_nobody_looks_into_it() -> None:
    """Files of a process that is not to be dumped are root's, and shut to all who may not debug everybody."""
    with jail("echo") as child:
        _status(child)
        owner = Path(f"/proc/{child.pid}/maps").stat().st_uid

    assert owner == 0


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        ("Max core file size", 0),
        ("Max file size", 0),
        ("Max open files", 48),
        ("Max processes", 0),
        ("Max address space", 300 << 20),
    ],
)
def test_limits_are_set_and_cannot_be_raised(limit: str, most: int) -> None:
    with jail("echo", replace(LIMITS, memory_bytes=300 << 20)) as child:
        _status(child)
        limits = Path(f"/proc/{child.pid}/limits").read_text()

    (line,) = [line for line in limits.splitlines() if line.startswith(limit)]

    assert line.removeprefix(limit).split()[:2] == [str(most)] * 2  # soft and hard


def _status(child: Jail) -> dict[str, str]:
    """What the kernel says of a child that has begun to serve."""
    child.send(1)
    assert child.receive(10) is not None
    lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_its_environment_holds_the_way_to_its_modules_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEWARDEN_TOKEN", "secret")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/cuda::lib")  # two of them are the current folder's
    monkeypatch.setenv("PYTHONPATH", "/opt/more")

    given = dict(pair.split("=", 1) for pair in answer("environment").split())

    needed = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    given.pop("LC_CTYPE", None)  # set by Python itself where there is no locale
    assert given == {**needed, "LD_LIBRARY_PATH": "/opt/cuda"}


def test_it_stands_in_no_folder_of_anybody() -> None:
    with jail("echo") as child:
        _status(child)
        assert Path(f"/proc/{child.pid}/cwd").readlink() == Path("/")


def test_ctrl_c_is_for_its_parent() -> None:
    with jail("hang") as child:
        assert os.getsid(child.pid) == child.pid != os.getsid(0)


def test_children_die_with_a_killed_parent() -> None:
    code = (
        "import time; from pipeline.jail.parent import DEFAULT_LIMITS, Jail; from engines import StreamError\n"
        f"child = Jail('{ROLE}', {{'act': 'hang'}}, DEFAULT_LIMITS, error=StreamError, subject='x')\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.stdout.close()

    parent.kill()
    parent.wait()

    child.wait(5)
    assert not child.is_running()


def test_a_child_whose_parent_died_before_it_began_does_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(_given("give up"))
        command = [sys.executable, "-m", "pipeline.jail.child", ROLE, str(theirs.fileno()), "1", str(1 << 30)]
        done = subprocess.run(command, cwd=ROOT, pass_fds=(theirs.fileno(),), timeout=30, check=True)
        theirs.close()

        assert done.returncode == 0
        with pytest.raises(ConnectionResetError):  # what was sent to it has not been read
            ours.recv(1)


def test_a_role_ends_quietly_when_its_parent_closes_the_channel() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(_given("echo"))
        command = [sys.executable, "-m", "pipeline.jail.child", ROLE]
        command += [str(theirs.fileno()), str(os.getpid()), str(1 << 30)]
        child = subprocess.Popen(command, cwd=ROOT, pass_fds=(theirs.fileno(),), stderr=subprocess.PIPE, text=True)
        theirs.close()
        ours.shutdown(socket.SHUT_WR)
        _, complaints = child.communicate(timeout=30)

    assert (child.returncode, complaints) == (0, "")


def _given(act: str) -> bytes:
    allowed = {"profile": "closed", "address": 0, "landlock": 0, "filter": ""}
    return pack(FAILED, json.dumps({"settings": {"act": act}, "allowed": allowed}).encode())
