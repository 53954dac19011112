"""The messages between a jailed child and its parent: a kind, a length and bytes, over a socket."""

from __future__ import annotations

import socket
import struct
from collections import deque
from typing import NamedTuple

CHUNK = 1 << 18
"""Bytes that are read from a socket at once."""
FAILED = 0
"""Kind of the message by which a role says in words why it ends."""
_HEADER = struct.Struct("<BI")


class Received(NamedTuple):
    """One message."""

    kind: int
    payload: bytes


class Channel:
    """The child's end: blocking, because its parent decides how long anything may take."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unread = bytearray()
        self._descriptors: deque[int] = deque()

    def send(self, kind: int, *parts: bytes) -> None:
        self.send_packed(pack(kind, *parts))

    def send_packed(self, messages: bytes | bytearray) -> None:
        """Sends messages that `pack` made, at once."""
        self._connection.sendall(messages)

    def receive(self) -> Received:
        """The next message.

        Raises:
            EOFError: the parent is gone.
        """
        while (message := unpack(self._unread)) is None:
            data, descriptors, _, _ = socket.recv_fds(self._connection, CHUNK, 1)
            self._descriptors.extend(descriptors)
            if not data:
                raise EOFError
            self._unread += data
        return message

    def descriptor(self) -> int:
        """The file descriptor that came along with a message, oldest first."""
        return self._descriptors.popleft()


def pack(kind: int, *parts: bytes) -> bytes:
    """The bytes of a message, whose payload is the parts joined.

    >>> unpack(bytearray(pack(1, b"ab", b"c")))
    Received(kind=1, payload=b'abc')
    """
    return b"".join((_HEADER.pack(kind, sum(map(len, parts))), *parts))


def unpack(unread: bytearray, *, longest: int = 1 << 32) -> Received | None:
    """Takes the first whole message out of the bytes, None if there is none yet.

    Raises:
        ValueError: a message longer than that is announced.

    >>> unread = bytearray(pack(1, b"abc") + pack(2, b"de")[:-1])
    >>> unpack(unread), unpack(unread)
    (Received(kind=1, payload=b'abc'), None)
    """
    if len(unread) < _HEADER.size:
        return None
    kind, length = _HEADER.unpack_from(unread)
    if length > longest:
        raise ValueError(f"a message of {length} bytes, at most {longest} were expected")
    end = _HEADER.size + length
    if len(unread) < end:
        return None
    with memoryview(unread) as view:
        payload = bytes(view[_HEADER.size : end])
    del unread[:end]
    return Received(kind, payload)


def printable(text: bytes) -> str:
    """Words of a child that may be hostile, fit for a log.

    >>> printable(b"bad" + bytes([27]) + b"[2J")
    'bad [2J'
    """
    return "".join(c if c.isprintable() else " " for c in text[:500].decode("utf-8", "replace"))


def readable(words: str) -> str:
    """Words of a stranger, such as a file's name, fit for a terminal and a page: what is no text is a question mark.

    >>> readable("walk" + chr(27) + ".mp4")
    'walk?.mp4'
    """
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in words)
