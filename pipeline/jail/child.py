"""The child's life: give everything up that it will not need, then serve its role. Run as a module by `Jail`.

Limits come first. The role is imported before files, processes and most system calls are given up: its code is ours,
and bytes of strangers come after.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
import sys
from types import TracebackType

from pipeline.jail import confinement
from pipeline.jail.protocol import FAILED, Channel

_OPEN_FILES = 48
_LAZY = ("linecache", "tracemalloc", "warnings", "encodings.ascii", "encodings.latin_1", "encodings.utf_16")
"""What Python imports in the middle of something else, when no file can be opened any more."""


def _enter(role: str, descriptor: int, parent: int, memory_bytes: int) -> None:
    sys.excepthook = _last_words
    if not confinement.die_with(parent):
        return
    confinement.limit(memory_bytes=memory_bytes, open_files=_OPEN_FILES)
    channel = Channel(socket.socket(fileno=descriptor))
    given = json.loads(channel.receive().payload)
    try:
        serve = importlib.import_module(role).serve
        for name in _LAZY:
            importlib.import_module(name)
        confinement.confine(given["allowed"])
        serve(channel, given["settings"])
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent closed it
    except MemoryError:
        channel.send(FAILED, b"needs more memory than its child process may have")


def _last_words(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """One line, past Python's buffers: a full pipe shall neither hold it up nor change how it ends."""
    with contextlib.suppress(OSError):
        os.write(2, f"\n{kind.__name__}: {error}\n".encode("utf-8", "replace"))
    os._exit(1)


if __name__ == "__main__":
    _enter(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    os._exit(0)  # without what Python does at its end: what was printed into a full pipe is lost
