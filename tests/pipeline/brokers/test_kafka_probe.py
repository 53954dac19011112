"""Clusters that do not let us in are told apart, each by the step that it refuses."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.brokers import BrokerError, BrokerRefused
from pipeline.brokers.kafka_probe import LOGIN_FAILED, UNSUPPORTED_MECHANISM, check_security, probe

LOGIN = {"sasl_mechanism": "PLAIN", "sasl_plain_username": "keeper", "sasl_plain_password": "secret"}
SASL = {"security_protocol": "SASL_PLAINTEXT", **LOGIN}
WELCOME = struct.pack(">h", 0) + struct.pack(">i", 0)


def offers(*mechanisms: str, code: int = 0) -> bytes:
    texts = b"".join(struct.pack(">h", len(name)) + name.encode() for name in mechanisms)
    return struct.pack(">hi", code, len(mechanisms)) + texts


def framed(body: bytes) -> bytes:
    return struct.pack(">ii", len(body) + 4, 1) + body


class Node:
    """Gives scripted answers to one client, one a request, then closes."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self._server.getsockname()[1]}"

    def answer(self, *answers: bytes) -> None:
        threading.Thread(target=self._serve, args=[answers], daemon=True).start()

    def _serve(self, answers: tuple[bytes, ...]) -> None:
        client, _ = self._server.accept()
        with client:
            for answer in answers:
                client.recv(1000)
                client.sendall(answer)

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.close()


def test_a_cluster_that_lets_us_in(node: Node) -> None:
    granted = struct.pack(">hhi", 0, -1, 0)
    node.answer(framed(WELCOME), framed(offers("PLAIN", "SCRAM-SHA-512")), framed(granted))

    probe([node.name], SASL)


@pytest.mark.parametrize(
    ("security", "answers", "words"),
    [
        ({}, [b""], "closes the connection of a client with security_protocol=PLAINTEXT: it wants TLS"),
        ({}, [b"\x15\x03\x03\x00\x02\x02\x50"], "it wants TLS"),
        ({}, [b"HTTP/1.1 400 Bad Request\r\n"], "is no Kafka"),
        ({"security_protocol": "SSL"}, [framed(WELCOME)], "speaks no TLS"),
        (SASL, [framed(WELCOME), framed(offers("SCRAM-SHA-512"))], "offers sasl_mechanism SCRAM-SHA-512, not PLAIN"),
        (SASL, [framed(WELCOME), framed(offers("GSSAPI", code=UNSUPPORTED_MECHANISM))], "offers sasl_mechanism GSSAPI"),
        (
            SASL,
            [framed(WELCOME), framed(offers("PLAIN")), framed(struct.pack(">hhi", LOGIN_FAILED, -1, 0))],
            "'keeper'",
        ),
        (SASL, [framed(WELCOME), framed(offers("PLAIN")), b""], "refuses user or password of 'keeper' with PLAIN"),
    ],
    ids=[
        "closes",
        "TLS alert",
        "a web server",
        "TLS to plain",
        "mechanism",
        "no mechanism",
        "password",
        "closes later",
    ],
)
def test_what_is_refused_is_said(node: Node, security: dict[str, str], answers: list[bytes], words: str) -> None:
    node.answer(*answers)

    with pytest.raises(BrokerRefused, match=words) as caught:
        probe([node.name], security)

    assert "secret" not in str(caught.value)


def test_where_nobody_answers_it_may_come_later() -> None:
    with pytest.raises(BrokerError, match=r"no answer from 127\.0\.0\.1:1") as caught:
        probe(["127.0.0.1:1"], {})

    assert not isinstance(caught.value, BrokerRefused)


def test_the_first_server_that_answers_is_asked(node: Node) -> None:
    node.answer(framed(WELCOME))

    probe(["127.0.0.1:1", node.name], {})


@pytest.mark.parametrize(
    ("security", "words"),
    [
        ({"security_protocol": "SASL-SSL"}, "security_protocol: expected PLAINTEXT, SSL, .*, got 'SASL-SSL'"),
        ({**SASL, "sasl_mechanism": "OAUTHBEARER"}, "sasl_mechanism: expected PLAIN, .*, got 'OAUTHBEARER'"),
        ({"security_protocol": "SSL", "ssl_cafile": "/nowhere/ca.pem"}, "ssl_cafile: /nowhere/ca.pem: cannot be read"),
        ({"security_protocol": "SASL_SSL"}, "needs sasl_mechanism, sasl_plain_username, sasl_plain_password too"),
        (LOGIN, "without a login: set security_protocol to SASL_SSL"),
    ],
)
def test_what_cannot_be_meant_asks_nobody(security: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_security(security)


def test_files_for_tls_want_tls(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    given = {"ssl_cafile": str(tmp_path / "ca.pem")}

    check_security({"security_protocol": "SSL", **given})
    with pytest.raises(ConfigError, match="without TLS"):
        check_security(given)


def test_an_authority_that_is_no_certificate(node: Node, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    node.answer()

    with pytest.raises(BrokerRefused, match="ssl_cafile, ssl_certfile or ssl_keyfile is none"):
        probe([node.name], {"security_protocol": "SSL", "ssl_cafile": str(tmp_path / "ca.pem")})
