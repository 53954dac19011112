"""The child's life: give everything up that it will not need, then serve its role. Run as a module by `Jail`."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import socket
import sys

from pipeline.jail.protocol import FAILED, Channel

_OPEN_FILES = 48
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def _enter(role: str, descriptor: int, parent: int, memory_bytes: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_PDEATHSIG, signal.SIGKILL), (_PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"prctl {option}")
    if os.getppid() != parent:
        return  # it died before the kernel was asked to end this process with it
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_AS, memory_bytes),
    ):
        _, hard = resource.getrlimit(kind)
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (limit, limit))
    channel = Channel(socket.socket(fileno=descriptor))
    settings = json.loads(channel.receive().payload)
    try:
        importlib.import_module(role).serve(channel, settings)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent closed it
    except MemoryError:
        channel.send(FAILED, b"needs more memory than its child process may have")


if __name__ == "__main__":
    _enter(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
