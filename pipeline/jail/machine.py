"""What of the jail this machine can give: told before anything starts, and tried in a child on demand."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engines import StreamError
from pipeline.jail import landlock
from pipeline.jail.call_filter import MISSING, filters_calls, program
from pipeline.jail.parent import Jail, JailLimits

_TRIAL = "pipeline.jail.trial"
_TRIAL_LIMITS = JailLimits(memory_bytes=1 << 30, timeout_s=20)
_TCP_SINCE, _SIGNALS_SINCE = 4, 6


@dataclass(frozen=True, slots=True)
class Protection:
    """One of the things that hold a taken-over child back.

    Attributes:
        in_force: on this machine, now.
        detail: by what; or what is missing.
    """

    name: str
    in_force: bool
    detail: str


def protections() -> list[Protection]:
    """All of them; those that every Linux has come last."""
    return [
        _system_calls(),
        *_landlock(landlock.version()),
        Protection("pictures in core dumps", True, "core size 0, and not to be dumped or debugged"),
        Protection("limits", True, "memory, descriptors, processes; no privileges, no capabilities"),
    ]


def _system_calls() -> Protection:
    if not filters_calls():
        return Protection("system calls", False, "this kernel runs no filters (seccomp)")
    found = bool(program("closed"))
    return Protection("system calls", found, "a list of those that are allowed (seccomp)" if found else MISSING)


def _landlock(version: int) -> list[Protection]:
    has = f"Landlock {version}" if version else "this kernel has no Landlock, or it is switched off (lsm=landlock,...)"
    wants = {"files": 1, "TCP ports": _TCP_SINCE, "signals and local sockets": _SIGNALS_SINCE}
    return [
        Protection(name, version >= least, has if version >= least or not version else f"{has}, expected {least}")
        for name, least in wants.items()
    ]


def missing() -> str:
    """What a hostile video is not held back by here, in a line; empty where nothing is missing.

    >>> missing() if all(protection.in_force for protection in protections()) else ""
    ''
    """
    lacking = [protection for protection in protections() if not protection.in_force]
    if not lacking:
        return ""
    told = "; ".join(f"{protection.name}: {protection.detail}" for protection in lacking)
    return f"the jail for hostile videos is weaker on this machine. {told}"


def tried() -> dict[str, str]:
    """What became of a few deeds in a child that was jailed just now: by its name, `refused` or what happened.

    Raises:
        StreamError: the child could not be started or confined.
    """
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        file = Path(folder) / "file"
        file.touch()
        settings = {"file": str(file), "port": listener.getsockname()[1], "parent": os.getpid()}
        with Jail(_TRIAL, settings, _TRIAL_LIMITS, error=StreamError, subject="the jail") as child:
            message = child.receive(_TRIAL_LIMITS.timeout_s)
            if message is None:
                child.fail("said nothing")
    told: dict[str, str] = json.loads(message.payload)
    return told
