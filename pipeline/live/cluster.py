"""A Ray cluster that somebody else runs: whether it answers at all, and whether the broker can serve all its machines.

Ray itself waits for minutes for an address where nobody is, and starts workers on machines that see another disk.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from engines import ConfigError, StreamError

ANSWER_S = 5.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""What a gRPC client says first; whoever speaks gRPC says something in return."""


def require_answer(address: str, timeout_s: float = ANSWER_S) -> None:
    """Returns when who may be a Ray cluster answers at `host:port`; other forms of addresses are Ray's to judge.

    Raises:
        StreamError: nobody does, or what answers does not speak gRPC.
    """
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return
    if not host or not port:
        return
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            connection.sendall(_PREFACE)
            answered = bool(connection.recv(9))
    except OSError as error:
        words = f"{error.strerror or error}".lower()
        raise StreamError(
            f"Ray cluster {address}: no answer within {timeout_s:g} s ({words}); is `ray start --head` "
            "running there, and its port open?"
        ) from error
    if not answered:
        raise StreamError(f"Ray cluster {address}: what listens there is no Ray; give the port of `ray start --head`")


def require_shared_broker(broker: str, nodes: Sequence[Mapping[str, Any]]) -> None:
    """Refuses a file as the broker of several machines: each would open one of its own, and nothing would ever come.

    Args:
        broker: its URL.
        nodes: of the cluster, as Ray lists them.

    Raises:
        ConfigError: names what to give instead.
    """
    machines = {node["NodeManagerAddress"] for node in nodes if node["Alive"]}
    if broker.startswith("sqlite://") and len(machines) > 1:
        raise ConfigError(
            f"the cluster has {len(machines)} machines, which cannot share a SQLite file; give --broker kafka://HOST:PORT"
        )


def cpus_of(node_id: str, nodes: Sequence[Mapping[str, Any]]) -> float:
    """The CPUs that Ray has on one machine.

    >>> cpus_of("a", [{"NodeID": "a", "Resources": {"CPU": 2.0}}, {"NodeID": "b", "Resources": {"CPU": 8.0}}])
    2.0
    """
    return float(next((node["Resources"].get("CPU", 0.0) for node in nodes if node["NodeID"] == node_id), 0.0))
