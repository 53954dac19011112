"""Runs a child's role in a thread, at the other end of a socket, so that a test speaks its protocol with it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.jail.protocol import Channel, pack

PATIENCE_S = 20.0


class ParentEnd(Channel):
    """The parent's end: blocking, unlike `Jail`, and without a process."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self._socket = connection

    def send_memory(self, kind: int, payload: bytes, descriptor: int) -> None:
        socket.send_fds(self._socket, [pack(kind, payload)], [descriptor])

    def silent(self, for_s: float = 0.1) -> bool:
        """Nothing comes for so long."""
        self._socket.settimeout(for_s)
        try:
            self.receive()
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(PATIENCE_S)
        return False


@contextmanager
def serving(serve: Callable[[Channel, Mapping[str, Any]], None], settings: Mapping[str, Any]) -> Iterator[ParentEnd]:
    ours, theirs = socket.socketpair()

    def run() -> None:
        with theirs, suppress(EOFError, BrokenPipeError, ConnectionResetError):  # as in `pipeline.jail.child`
            serve(Channel(theirs), settings)

    thread = threading.Thread(target=run)
    thread.start()
    ours.settimeout(PATIENCE_S)
    try:
        yield ParentEnd(ours)
    finally:
        ours.close()
        thread.join()
