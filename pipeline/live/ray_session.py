"""Ray for one run or job: started on this machine and for it alone, or a cluster that was named.

Without an address nothing in the environment leads elsewhere. What Ray keeps, its token, sockets and logs, lies in a
folder that only this user can enter, and that is removed at the end; also where the process is killed (`ray_warden`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray
import ray._private.utils
from ray import _raylet

from engines import StreamError
from engines.undo import undone_on_failure
from pipeline.live.ray_paths import OwnModules
from pipeline.private.files import create_new

log = logging.getLogger(__name__)
_CORE: Any = _raylet  # compiled, and without types

OBJECT_STORE_BYTES, OBJECT_STORE_BYTES_GPU = 80 << 20, 512 << 20
"""About Ray's minimum: calls of actors and their answers are small, except batches on their way to a GPU."""
IDLE_SERVANTS = ("autoscaler/_private/monitor.py", "_private/log_monitor.py", "dashboard/dashboard.py")
LONGEST_FOLDER = 38
"""Bytes: a socket's name has 107 at most, of which Ray takes `/ray/session_<time>_<pid>/sockets/plasma_store`."""
FOREIGN = ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_TMPDIR", "RAY_NAMESPACE", "RAY_JOB_CONFIG_JSON_ENV_VAR")
"""Of another Ray; none of it is for a session of one's own."""
WARDEN_S = 15.0
"""So long the end of a session is waited for."""


@dataclass(frozen=True, slots=True)
class _Session:
    """What has to be undone: the environment as it was, and, of a session of one's own, its folder and warden."""

    before: Mapping[str, str | None]
    folder: Path | None = None
    warden: subprocess.Popen[bytes] | None = None


_sessions: list[_Session] = []


def start_ray(address: str | None, *, for_jobs: bool = False) -> None:
    """Starts Ray on this machine, or joins a cluster; dashboard and telemetry off. End it with `stop_ray`.

    Args:
        address: of the cluster, `HOST:PORT` or `auto`; None is this machine, whatever the environment says.
        for_jobs: leave Ray all of this machine, instead of what a run needs.

    Raises:
        StreamError: it cannot be started or reached, or a cluster would take us without a token. Nothing of it is left.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "job_config": OwnModules()}
    stop_ray()
    answers: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with undone_on_failure(stop_ray), _told_apart(address):
        if address is None:
            folder = _open_private_session()
            store = OBJECT_STORE_BYTES_GPU if Path("/dev/nvidiactl").exists() else OBJECT_STORE_BYTES
            limits: dict[str, Any] = (
                {} if for_jobs else {"num_cpus": max(2, os.cpu_count() or 1), "object_store_memory": store}
            )
            with _nameless():
                ray.init(
                    address="local",
                    include_dashboard=False,
                    _temp_dir=str(folder / "ray"),  # which Ray opens for everybody, as far as it can be reached
                    # Batches hold clear pictures, which must not end up on a disk.
                    _system_config={"automatic_object_spilling_enabled": False},
                    **limits,
                    **quiet,
                )
            _end_idle_servants()
        else:
            _prepare_for_cluster(address)
            with _nameless():
                ray.init(address=address, **quiet)
        _take_back(answers)


@contextlib.contextmanager
def _told_apart(address: str | None) -> Iterator[None]:
    """What Ray raises where it cannot be started or reached, as `StreamError`."""
    try:
        yield
    except Exception as error:
        known = isinstance(error, OSError | ValueError | RuntimeError | ray.exceptions.RayError)
        if known or type(error) is Exception:  # as Ray has it where its processes do not start in half a minute
            raise StreamError(_words(address, error)) from error
        raise


def _take_back(answers: Mapping[int, Any]) -> None:
    """Signals are answered as before: Ray, and its core beneath Python, have installed handlers of their own."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in answers.items():
            if handler not in (signal.SIG_DFL, None):
                signal.signal(number, handler)


def stop_ray() -> None:
    """Ends the session, or leaves the cluster; nothing of a session of one's own is left. May be called again."""
    if not _sessions and not ray.is_initialized():
        return
    ray.shutdown()
    while _sessions:
        session = _sessions.pop()
        if session.warden is not None:
            try:
                session.warden.communicate(timeout=WARDEN_S)  # its input ends here, and it with all that is left
            except subprocess.TimeoutExpired:
                log.warning("%s: not all of Ray has ended yet", session.folder)
        _set_environment(session.before)
        _read_environment()  # or the next one of this process would come with the token of this one


def _open_private_session() -> Path:
    """Folder, token and warden of a session of one's own, and the environment that leads Ray there."""
    folder = _private_folder()
    warden = _warden_of(folder)
    token = folder / "token"
    with open(create_new(token), "w") as file:  # noqa: PTH123
        file.write(secrets.token_hex(32))
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        log.warning(
            "RAY_AUTH_MODE=%s is not followed: any account of this machine could take part in the run",
            os.environ["RAY_AUTH_MODE"],
        )
    changes: dict[str, str | None] = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        **dict.fromkeys(FOREIGN),
    }
    if not os.environ.get("HOME"):
        changes["HOME"] = str(folder)  # an account without a home, as containers have them
    before = _set_environment(changes)
    _sessions.append(_Session(before, folder, warden))
    _read_environment()
    if _CORE.get_authentication_mode() != _CORE.AuthenticationMode.TOKEN:
        raise RuntimeError("its token authentication cannot be turned on; anybody could take part in the run")
    return folder


def _warden_of(folder: Path) -> subprocess.Popen[bytes]:
    """Started before there is anything to lose: it removes the folder however this ends."""
    try:
        return subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("ray_warden.py")), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what ends the run's group is not for it
            env={name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
        )
    except OSError:
        folder.rmdir()
        raise


def _private_folder() -> Path:
    """A new folder, for this user alone, with a name that is short enough for sockets.

    Raises:
        OSError: there is no place for one.
    """
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108 - mkdtemp makes it
        if len(os.fsencode(base)) + len("/fw-12345678") <= LONGEST_FOLDER:
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix="fw-", dir=base))
    raise OSError("no folder for temporary files can be written to; set TMPDIR to one with a short name")


def _prepare_for_cluster(address: str) -> None:
    """Sends the token that this user has. A cluster that asks for none is joined only if that was said.

    Raises:
        ValueError: it is not named by host and port, or there is no token.
    """
    if "://" in address:
        raise ValueError("expected HOST:PORT or auto")
    mode = os.environ.get("RAY_AUTH_MODE", "token").lower()
    changes = {"RAY_USAGE_STATS_ENABLED": os.environ.get("RAY_USAGE_STATS_ENABLED", "0"), "RAY_AUTH_MODE": mode}
    _sessions.append(_Session(_set_environment(changes)))
    _read_environment()
    if mode != "token":
        log.warning("RAY_AUTH_MODE=%s: whoever reaches the cluster can read what is worked on there", mode)
    elif not _CORE.AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        raise ValueError(
            "there is no token for it; set RAY_AUTH_TOKEN_PATH to a file with the cluster's token, or put that into "
            "~/.ray/auth_token; RAY_AUTH_MODE=disabled joins a cluster that asks nobody for one"
        )


def _words(address: str | None, error: Exception) -> str:
    hint = ""
    if address is not None and not isinstance(error, ValueError):
        hint = "; is it there, on a port of its own (usually 6379), of the same version, and is the token its own?"
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    return f"Ray cannot be started or reached at {address or 'this machine'}: {said}{hint}"


def _set_environment(changes: Mapping[str, str | None]) -> dict[str, str | None]:
    """Sets variables, or with None takes them away; returns what they were."""
    before = {name: os.environ.get(name) for name in changes}
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return before


def _read_environment() -> None:
    """Ray's core has read its settings when it was imported, and a token perhaps since."""
    _CORE.Config.initialize("")
    _CORE.AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def _nameless() -> Iterator[None]:
    """Ray notes the command line of its caller, where everybody in the cluster reads it; it may hold a password."""
    before = ray._private.utils.get_entrypoint_name
    ray._private.utils.get_entrypoint_name = lambda: "facewarden"
    try:
        yield
    finally:
        ray._private.utils.get_entrypoint_name = before


def _end_idle_servants() -> None:
    """Ends what Ray starts for clusters and their users: together 150 MB, and work several times a second.

    Nothing is scaled, no log is passed on and no page is shown here; Ray neither needs nor restarts them.
    """
    scripts = {str(Path(ray.__file__).parent / name) for name in IDLE_SERVANTS}
    ended = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if not scripts.isdisjoint(child.cmdline()):
                child.kill()
                ended.append(child)
    psutil.wait_procs(ended, timeout=5)
