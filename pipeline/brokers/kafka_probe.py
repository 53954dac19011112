"""Why a cluster does not let us in: one connection by hand, for the client library says no more than "no answer".

It goes as far as a login goes (TLS, SASL), and says which step was refused. One that lets us in is asked no more.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from kafka.net.sasl import get_sasl_mechanism

from engines import ConfigError
from pipeline.brokers import BrokerError, BrokerRefused

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
FILES = ("ssl_cafile", "ssl_certfile", "ssl_keyfile")
TIMEOUT_S = 8.0
API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
UNSUPPORTED_MECHANISM, LOGIN_FAILED = 33, 58
_TLS_ALERT = 0x15


def check_security(security: Mapping[str, str]) -> None:
    """Refuses what no cluster could take.

    Raises:
        ConfigError: a value that is none, a file that cannot be read, half a login.

    >>> check_security({"security_protocol": "SASL-SSL"})
    Traceback (most recent call last):
    ...
    engines.ConfigError: kafka: security_protocol: expected PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, got 'SASL-SSL'
    """
    for name, known in (("security_protocol", PROTOCOLS), ("sasl_mechanism", MECHANISMS)):
        if name in security and security[name] not in known:
            raise ConfigError(f"kafka: {name}: expected {', '.join(known)}, got {security[name]!r}")
    for name in FILES:
        if name in security:
            try:
                with open(security[name], "rb"):  # noqa: PTH123 - it may be any path
                    pass
            except OSError as error:
                raise ConfigError(f"kafka: {name}: {security[name]}: cannot be read ({error.strerror})") from error
    protocol = security.get("security_protocol", "PLAINTEXT")
    login = [name for name in ("sasl_mechanism", "sasl_plain_username", "sasl_plain_password") if name not in security]
    if protocol.startswith("SASL") and login:
        raise ConfigError(f"kafka: {protocol} needs {', '.join(login)} too")
    given = sorted({"sasl_mechanism", "sasl_plain_username"} & set(security))
    if given and not protocol.startswith("SASL"):
        raise ConfigError(f"kafka: {', '.join(given)} without a login: set security_protocol to SASL_SSL")
    if any(name in security for name in FILES) and not protocol.endswith("SSL"):
        raise ConfigError("kafka: files for TLS without TLS: set security_protocol to SSL or SASL_SSL")


def probe(servers: Sequence[str], security: Mapping[str, str]) -> None:
    """Lets itself in at the first server that answers.

    Raises:
        BrokerRefused: which step is refused, and what to do.
        BrokerError: no server answers.
    """
    protocol = security.get("security_protocol", "PLAINTEXT")
    for server in servers:
        host, port = _address(server)
        try:
            plain = socket.create_connection((host, port), timeout=TIMEOUT_S)
        except OSError:
            continue
        with plain:
            connection = _secured(plain, server, host, security) if protocol.endswith("SSL") else plain
            _greet(connection, server, protocol)
            if protocol.startswith("SASL"):
                _log_in(connection, server, security)
        return
    raise BrokerError(f"kafka: no answer from {', '.join(servers)}")


def _address(server: str) -> tuple[str, int]:
    parts = urlsplit(f"//{server}")
    return parts.hostname or "", parts.port or 9092


def _secured(plain: socket.socket, server: str, host: str, security: Mapping[str, str]) -> ssl.SSLSocket:
    try:
        context = ssl.create_default_context(cafile=security.get("ssl_cafile"))
        if "ssl_certfile" in security:
            context.load_cert_chain(security["ssl_certfile"], security.get("ssl_keyfile"))
    except (OSError, ssl.SSLError) as error:
        raise BrokerRefused(f"kafka: ssl_cafile, ssl_certfile or ssl_keyfile is none ({error})") from error
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        other = "mismatch" in error.verify_message or "not valid for" in error.verify_message
        advice = "use the name that it is for" if other else "name the authority that signed it in ssl_cafile"
        raise BrokerRefused(
            f"kafka: the certificate of {server} is not accepted ({error.verify_message}): {advice}"
        ) from error
    except (ssl.SSLError, ConnectionError) as error:
        raise BrokerRefused(
            f"kafka: {server} speaks no TLS, or wants a client's certificate ({_first(error)}): use another port, "
            "security_protocol PLAINTEXT or SASL_PLAINTEXT, or ssl_certfile"
        ) from error
    except OSError as error:
        raise BrokerError(f"kafka: {server}: no answer to TLS ({_first(error)})") from error


def _greet(connection: socket.socket, server: str, protocol: str) -> None:
    try:
        _ask(connection, API_VERSIONS, 0, b"")
    except _NoKafka as error:
        words = f"kafka: {server} closes the connection of a client with security_protocol={protocol}: "
        raise BrokerRefused(words + "it wants TLS (SSL, SASL_SSL), or is no Kafka") from error
    except OSError as error:
        raise BrokerError(f"kafka: {server}: no answer ({_first(error)})") from error


def _log_in(connection: socket.socket, server: str, security: Mapping[str, str]) -> None:
    name = security["sasl_mechanism"]
    wrong = BrokerRefused(
        f"kafka: {server} refuses user or password of {security['sasl_plain_username']!r} with {name}"
    )
    try:
        answer = _ask(connection, SASL_HANDSHAKE, 1, _text(name))
        code, mechanisms = struct.unpack_from(">h", answer)[0], _texts(answer[2:])
        if code == UNSUPPORTED_MECHANISM or name not in mechanisms:
            offers = ", ".join(mechanisms) or "none"
            raise BrokerRefused(f"kafka: {server} offers sasl_mechanism {offers}, not {name}")
        mechanism: Any = get_sasl_mechanism(name)(**security)
        while not mechanism.is_done():
            token = mechanism.auth_bytes()
            answer = _ask(connection, SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
            if struct.unpack_from(">h", answer)[0]:
                raise wrong
            length = struct.unpack_from(">h", answer, 2)[0]
            mechanism.receive(answer[4 + max(0, length) + 4 :])
    except (_NoKafka, ValueError, struct.error) as error:
        raise wrong from error
    except OSError as error:
        raise BrokerError(f"kafka: {server}: no answer to the login ({_first(error)})") from error


class _NoKafka(Exception):
    """What came back is no answer of a Kafka server."""


def _ask(connection: socket.socket, key: int, version: int, body: bytes) -> bytes:
    """One request of the protocol; the answer's body."""
    request = struct.pack(">hhi", key, version, 1) + _text("facewarden") + body
    try:
        connection.sendall(struct.pack(">i", len(request)) + request)
        header = _read(connection, 4)
        length = struct.unpack(">i", header)[0]
        if header[0] == _TLS_ALERT or not 4 <= length < 1 << 20:
            raise _NoKafka("no Kafka")
        return _read(connection, length)[4:]
    except (ConnectionError, ssl.SSLError) as error:
        raise _NoKafka(_first(error)) from error


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise _NoKafka("closed")
        data += more
    return data


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _texts(data: bytes) -> list[str]:
    """A counted list of texts."""
    found, at = [], 4
    for _ in range(struct.unpack_from(">i", data)[0]):
        length = struct.unpack_from(">h", data, at)[0]
        found.append(data[at + 2 : at + 2 + length].decode("utf-8", "replace"))
        at += 2 + length
    return found


def _first(error: Exception) -> str:
    return str(error).partition("(_ssl")[0].strip() or type(error).__name__
