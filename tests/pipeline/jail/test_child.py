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

from pipeline.jail.protocol import FAILED, pack
from tests.pipeline.jail.acting import LIMITS, ROLE, answer, jail

ROOT = Path(__file__).parents[3]


def test_files_cannot_be_written(tmp_path: Path) -> None:
    assert answer("write", path=str(tmp_path / "stolen")) == "File too large"


def test_descriptors_are_few() -> None:
    assert answer("open") == "Too many open files"


def test_no_program_gives_it_new_privileges() -> None:
    status = dict(line.split(":", 1) for line in answer("read", path="/proc/self/status").splitlines())

    assert status["NoNewPrivs"].strip() == "1"


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        ("Max core file size", 0),
        ("Max file size", 0),
        ("Max open files", 48),
        ("Max address space", 300 << 20),
    ],
)
def test_limits_are_set_and_cannot_be_raised(limit: str, most: int) -> None:
    limits = answer("read", replace(LIMITS, memory_bytes=300 << 20), path="/proc/self/limits")

    (line,) = [line for line in limits.splitlines() if line.startswith(limit)]

    assert line.removeprefix(limit).split()[:2] == [str(most)] * 2  # soft and hard


def test_its_environment_holds_the_way_to_its_modules_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEWARDEN_TOKEN", "secret")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/cuda")

    names = set(answer("environment").split())

    needed = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX", "LD_LIBRARY_PATH"}
    assert names - {"LC_CTYPE"} == needed  # LC_CTYPE is set by Python itself where there is no locale


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
        ours.sendall(pack(FAILED, json.dumps({"act": "give up"}).encode()))
        command = [sys.executable, "-m", "pipeline.jail.child", ROLE, str(theirs.fileno()), "1", str(1 << 30)]
        done = subprocess.run(command, cwd=ROOT, pass_fds=(theirs.fileno(),), timeout=30, check=True)
        theirs.close()

        assert done.returncode == 0
        with pytest.raises(ConnectionResetError):  # what was sent to it has not been read
            ours.recv(1)


def test_a_role_ends_quietly_when_its_parent_closes_the_channel() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(pack(FAILED, json.dumps({"act": "echo"}).encode()))
        command = [sys.executable, "-m", "pipeline.jail.child", ROLE]
        command += [str(theirs.fileno()), str(os.getpid()), str(1 << 30)]
        child = subprocess.Popen(command, cwd=ROOT, pass_fds=(theirs.fileno(),), stderr=subprocess.PIPE, text=True)
        theirs.close()
        ours.shutdown(socket.SHUT_WR)
        _, complaints = child.communicate(timeout=30)

    assert (child.returncode, complaints) == (0, "")
