"""Ray's session: of this machine and this user alone, whatever the environment says; nothing of it is left."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from engines import StreamError
from pipeline.live import ray_session
from pipeline.live.ray_session import IDLE_SERVANTS, _end_idle_servants, start_ray, stop_ray
from pipeline.live.ray_warden import is_alive, of_session


@pytest.fixture
def children() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Processes that were started with these arguments, and sleep."""
    servants = {name: str(Path(ray.__file__).parent / name) for name in IDLE_SERVANTS}
    arguments = {**servants, "raylet": "/opt/raylet", "namesake": "dashboard/dashboard.py"}
    code = "import time; print(flush=True); time.sleep(60)"
    started = {
        name: subprocess.Popen([sys.executable, "-c", code, argument], stdout=subprocess.PIPE)
        for name, argument in arguments.items()
    }
    for process in started.values():
        assert process.stdout is not None
        process.stdout.readline()
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


def test_idle_servants_are_ended_and_nobody_else(children: dict[str, subprocess.Popen[bytes]]) -> None:
    _end_idle_servants()

    running = {name for name, process in children.items() if psutil.pid_exists(process.pid) and process.poll() is None}
    assert running == {"raylet", "namesake"}


def test_the_servants_are_still_where_ray_keeps_them() -> None:
    assert [name for name in IDLE_SERVANTS if not (Path(ray.__file__).parent / name).is_file()] == []


HOSTILE = {
    "RAY_ADDRESS": "10.255.255.1:6379",
    "RAY_AUTH_MODE": "disabled",
    "RAY_AUTH_TOKEN": "known to all",
    "RAY_TMPDIR": "/nowhere",
}
DRIVER = """
import os, signal, sys
from pipeline.live import ray_session
from pipeline.live.ray_warden import of_session
ray_session.start_ray(None)
folder = ray_session._sessions[0].folder
print(folder, *(process.pid for process in of_session(str(folder))), flush=True)
signal.pause()
"""


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and is_alive(psutil.Process(pid))


def test_a_killed_driver_leaves_nothing() -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    folder, *pids = driver.stdout.readline().split()
    assert len(pids) >= 4

    driver.kill()
    driver.communicate()

    deadline = time.monotonic() + 10
    while Path(folder).exists() or any(alive(int(pid)) for pid in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.1)


@pytest.mark.parametrize("kind", [RuntimeError, Exception])
def test_a_start_that_fails_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: type[Exception]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path)[:0] or "/dev/shm")
    monkeypatch.setattr(ray, "init", lambda **_: (_ for _ in ()).throw(kind("no room\nand more")))
    before = set(Path("/dev/shm").glob("fw-*"))

    with pytest.raises(StreamError, match=r"Ray cannot be started or reached at this machine: no room$"):
        start_ray(None)

    assert set(Path("/dev/shm").glob("fw-*")) == before
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ


def test_the_folder_is_where_a_socket_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", f"/tmp/{'long' * 20}")

    folder = ray_session._private_folder()

    try:
        assert len(f"{folder}/ray/session_2026-12-01_04-19-31_082391_4194304/sockets/plasma_store") <= 107
    finally:
        folder.rmdir()


# -- a cluster ------------------------------------------------------------------------------------------


@pytest.fixture
def without_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("address", ["nonsense", "10.255.255.1:6379"])
@pytest.mark.usefixtures("without_token")
def test_without_a_token_a_cluster_is_not_asked(address: str) -> None:
    with pytest.raises(StreamError, match=f"at {address}: there is no token for it; set RAY_AUTH_TOKEN_PATH"):
        start_ray(address)

    assert not ray.is_initialized()


@pytest.mark.usefixtures("without_token")
@pytest.mark.parametrize("address", ["nonsense", "http://cluster"])
def test_an_address_that_is_none_is_an_error_and_starts_nothing(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 64)
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)

    with pytest.raises(StreamError, match=f"Ray cannot be started or reached at {address}: "):
        start_ray(address)

    assert not ray.is_initialized()
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ


# -- a session of one's own, the last that is started here: each ends the one before -------------------------


@pytest.fixture(scope="module")
def session() -> Iterator[Path]:
    """The folder of Ray's session, started in an environment that leads elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in HOSTILE.items():
            patch.setenv(name, value)
        start_ray(None)
        folder = ray_session._sessions[0].folder
        assert folder is not None
        yield folder
        left = of_session(str(folder))
        stop_ray()
        assert {name: os.environ[name] for name in HOSTILE} == HOSTILE
        assert left and not any(map(is_alive, left))
        assert not folder.exists()


def test_the_environment_leads_nowhere_else(session: Path) -> None:
    @ray.remote
    def settings() -> list[str | None]:
        return [os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", *HOSTILE)]

    mode, token, *foreign = ray.get(settings.remote())

    assert (mode, token) == ("token", str(session / "token"))
    assert "10.255" not in ray.get_runtime_context().gcs_address
    assert foreign[0] is None and "known" not in (session / "token").read_text()


def test_what_ray_keeps_is_for_its_owner_alone(session: Path) -> None:
    assert stat.S_IMODE(session.stat().st_mode) == 0o700
    assert stat.S_IMODE((session / "token").stat().st_mode) == 0o600
    assert list(session.glob("ray/session_*/sockets/*"))
    node: Any = ray._private.worker._global_node
    assert Path(node.get_session_dir_path()).is_relative_to(session)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_neither_reads_nor_joins(session: Path) -> None:
    """By files, and by every port of the session without its token."""
    address = ray.get_runtime_context().gcs_address
    code = f"""
import os, sys
try:
    print(os.listdir({str(session)!r}), open({str(session / "token")!r}).read())
except OSError as error:
    print("refused", error.errno)
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="a" * 64, HOME="/tmp", RAY_gcs_rpc_server_connect_timeout_s="3")
import ray
from ray._raylet import GcsClient
try:
    print(GcsClient(address={address!r}).internal_kv_keys(b"", None, timeout=5))
except Exception as error:
    print("refused", str(error)[:200].replace(chr(10), " "))
"""
    other = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", sys.executable, "-c", code]
    done = subprocess.run(other, capture_output=True, text=True, timeout=120, check=False, cwd="/")

    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("refused 13") and lines[1].startswith("refused"), lines


def test_the_command_line_is_not_told(session: Path) -> None:
    """It may hold a password, and everybody in a cluster reads it."""
    del session
    jobs = str(ray._private.state.jobs())  # type: ignore[no-untyped-call]

    assert "facewarden" in jobs and sys.argv[0] not in jobs
