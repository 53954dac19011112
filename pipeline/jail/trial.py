"""A role that tries a few things that no decoder needs, and tells what became of them."""

from __future__ import annotations

import json
import mmap
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.jail.protocol import Channel


def serve(channel: Channel, settings: Mapping[str, Any]) -> None:
    """Answers with the deeds by name: `refused`, or what happened."""
    deeds = _deeds(settings["file"], settings["port"], settings["parent"])
    channel.send(1, json.dumps({name: _outcome(deed) for name, deed in deeds.items()}).encode())


def _deeds(file: str, port: int, parent: int) -> dict[str, Callable[[], object]]:
    return {
        "read a file": lambda: os.open(file, os.O_RDONLY),
        "write into a file": lambda: os.open(file, os.O_WRONLY),
        "delete a file": lambda: os.unlink(file),  # noqa: PTH108 - nothing between it and the kernel
        "connect to a port": lambda: socket.create_connection(("127.0.0.1", port), 1),
        "make a local socket": lambda: socket.socket(socket.AF_UNIX),
        "start a process": _forked,
        "run a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "signal its parent": lambda: os.kill(parent, 0),
        "make code of data": lambda: mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_EXEC),
    }


def _outcome(deed: Callable[[], object]) -> str:
    try:
        deed()
    except OSError:
        return "refused"
    return "done"


def _forked() -> None:
    if os.fork() == 0:
        os._exit(0)
