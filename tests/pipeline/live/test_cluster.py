"""A cluster that does not answer, or whose machines share no broker, is refused in words and soon."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from engines import ConfigError, StreamError
from pipeline.live.cluster import require_answer, require_shared_broker


@pytest.fixture
def listener() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def address(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def serve(listener: socket.socket, answer: bytes) -> None:
    """Takes one client, hears it out and answers."""

    def run() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(100)
            client.sendall(answer)

    threading.Thread(target=run, daemon=True).start()


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_who_answers_may_be_a_cluster(listener: socket.socket, scheme: str) -> None:
    serve(listener, bytes((0, 0, 6, 4, 0, 0, 0, 0, 0)))

    require_answer(scheme + address(listener))


def test_who_closes_is_none(listener: socket.socket) -> None:
    serve(listener, b"")

    with pytest.raises(StreamError, match="what listens there is no Ray"):
        require_answer(address(listener))


def test_who_is_silent_is_not_waited_for(listener: socket.socket) -> None:
    began = time.monotonic()

    with pytest.raises(StreamError, match=r"no answer within 0\.2 s \(timed out\)"):
        require_answer(address(listener), 0.2)

    assert time.monotonic() - began < 3


def test_where_nobody_is() -> None:
    with pytest.raises(StreamError, match="connection refused"):
        require_answer("127.0.0.1:1")


@pytest.mark.parametrize("strange", ["auto", "nonsense", "host:port", "http://cluster"])
def test_other_addresses_are_rays_to_judge(strange: str) -> None:
    require_answer(strange)


def node(machine: str, *, alive: bool = True) -> dict[str, Any]:
    return {"NodeManagerAddress": machine, "Alive": alive}


@pytest.mark.parametrize(
    ("broker", "nodes"),
    [
        ("sqlite:///here/facewarden.db", [node("10.0.0.1")]),
        ("sqlite:///here/facewarden.db", [node("10.0.0.1"), node("10.0.0.1"), node("10.0.0.2", alive=False)]),
        ("kafka://one:1", [node("10.0.0.1"), node("10.0.0.2")]),
    ],
    ids=["one machine", "another was there", "Kafka"],
)
def test_brokers_that_all_machines_reach(broker: str, nodes: list[dict[str, Any]]) -> None:
    require_shared_broker(broker, nodes)


def test_a_file_is_no_broker_of_two_machines() -> None:
    with pytest.raises(ConfigError, match=r"2 machines.*give --broker kafka://"):
        require_shared_broker("sqlite:///here/facewarden.db", [node("10.0.0.1"), node("10.0.0.2")])
