"""A role that does in the jail whatever a test asks it to."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any

from pipeline.jail.protocol import FAILED, Channel


def serve(channel: Channel, settings: Mapping[str, Any]) -> None:
    act = settings["act"]
    if act == "echo":
        while True:
            kind, payload = channel.receive()
            channel.send(kind, payload)
    elif act == "hang":
        time.sleep(60)
    elif act == "crash":
        channel.send(1, b"last words")
        ctypes.string_at(0)
    elif act == "raise":
        raise LookupError("a bug")
    elif act == "exit":
        os._exit(7)
    elif act == "give up":
        channel.send(FAILED, b"not for \x1b[31mme\x1b[0m")
    elif act == "allocate":
        bytearray(4 << 30)
    elif act == "environment":
        channel.send(1, " ".join(f"{name}={value}" for name, value in os.environ.items()).encode())
    elif act == "print":
        for _ in range(1000):  # as C libraries do: 1 MB into a pipe that nobody reads
            ctypes.CDLL(None).dprintf(2, b"x" * 1000)
        channel.send(1, b"printed")
    elif act == "chatter":
        for _ in range(1000):
            print("x" * 1000, file=sys.stderr)
        raise LookupError("a bug")
    elif act == "spin":
        while True:
            pass
    elif act == "boast":
        os.write(_socket(channel).fileno(), struct.pack("<BI", 1, 1 << 31))
        time.sleep(60)
    elif act == "flood":
        while True:
            channel.send(1)


def _socket(channel: Channel) -> socket.socket:
    return channel._connection
