"""Child processes with limits, in which hostile bytes are taken apart, and the messages to and from them.

A role is a module with a function `serve(channel, settings)`; `Jail` starts it in a fresh interpreter, never by
a fork. Before the role is imported the child has given up new privileges, writing files, core dumps, most
descriptors and most of its address space, and has asked the kernel to be killed when its parent dies.

Messages are a kind, a length and bytes. Nothing is unpickled on either side, so a child that was taken over
can lie about pictures, and nothing else. The parent never waits without a limit, and takes messages in
while it sends, so that two full pipes cannot block each other.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self

from engines import FrameError, StreamError

_HEADER = struct.Struct("<BI")
_CHUNK = 1 << 18
_OPEN_FILES = 48
_LARGEST_INBOX = 4096
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
FAILED = 0
"""Kind of the message by which a role says in words why it ends."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use.

    Attributes:
        memory_bytes: its address space, of which the interpreter with its codecs takes about 250 MB; frames
            that it shares with its parent come on top.
        timeout_s: how long one packet may take, and how long a source may say nothing.
        max_pixels: the largest picture.
        max_packet_bytes: the largest encoded packet.
    """

    memory_bytes: int = 2 << 30
    timeout_s: float = 20.0
    max_pixels: int = 8192 * 4352
    max_packet_bytes: int = 32 << 20


DEFAULT_LIMITS = Limits()


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
            data, descriptors, _, _ = socket.recv_fds(self._connection, _CHUNK, 1)
            self._descriptors.extend(descriptors)
            if not data:
                raise EOFError
            self._unread += data
        return message

    def descriptor(self) -> int:
        """The file descriptor that came along with a message, oldest first."""
        return self._descriptors.popleft()


def pack(kind: int, *parts: bytes) -> bytes:
    return b"".join((_HEADER.pack(kind, sum(map(len, parts))), *parts))


def unpack(unread: bytearray, *, longest: int = 1 << 32) -> Received | None:
    """Takes the first whole message out of the bytes, None if there is none yet.

    Raises:
        ValueError: a message longer than that is announced.
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


class Jail:
    """A child process that runs a role until it is closed, and dies with the thread that started it.

    Args:
        role: a module with `serve(channel, settings)`.
        settings: what `serve` is given; JSON.
        limits: what the child may use.
        shared_bytes: memory that it will share with its parent.
        error: what is raised when the child fails: it died, was silent for too long, or gave up.
        subject: what the error's message begins with.
    """

    def __init__(
        self,
        role: str,
        settings: Mapping[str, Any],
        limits: Limits,
        *,
        error: type[StreamError] | type[FrameError],
        subject: str,
        shared_bytes: int = 0,
    ) -> None:
        self._limits, self._error, self._subject = limits, error, subject
        self._longest = limits.max_packet_bytes + (1 << 20)
        self._unread = bytearray()
        self._inbox: deque[Received] = deque()
        self._connection, theirs = socket.socketpair()
        self._stderr, their_stderr = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(their_stderr, False)  # a child that prints a lot loses what it prints, and does not block
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "pipeline.jail", role),
                    *(str(theirs.fileno()), str(os.getpid()), str(limits.memory_bytes + shared_bytes)),
                ],
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the parent, who may still want to finish something
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=their_stderr,
                pass_fds=(theirs.fileno(),),
            )
        finally:
            theirs.close()
            os.close(their_stderr)
        self._connection.setblocking(False)
        self.send(FAILED, json.dumps(settings).encode())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def closed(self) -> bool:
        return self._connection.fileno() == -1

    def send(self, kind: int, *parts: bytes, descriptor: int | None = None) -> None:
        """Sends a message, taking in whatever comes meanwhile.

        Raises:
            the jail's error: the child is dead, or did not read within the time limit.
        """
        self._check_open()
        unsent = memoryview(pack(kind, *parts))
        deadline = time.monotonic() + self._limits.timeout_s
        while unsent:
            try:
                if descriptor is None:
                    unsent = unsent[self._connection.send(unsent) :]
                else:
                    unsent = unsent[socket.send_fds(self._connection, [unsent], [descriptor]) :]
                    descriptor = None
            except BlockingIOError:
                if not self._wait(deadline - time.monotonic(), writing=True):
                    self.fail(f"did not take a packet within {self._limits.timeout_s:g} s")
            except (BrokenPipeError, ConnectionResetError):
                self._fetch()
                self.fail()

    def receive(self, timeout_s: float) -> Received | None:
        """The next message, None if none came in time.

        Raises:
            the jail's error: the child is dead, or has said why it ends.
        """
        deadline = time.monotonic() + timeout_s
        while not self._inbox:
            if not self._wait(max(0.0, deadline - time.monotonic())):
                return None
        message = self._inbox.popleft()
        if message.kind == FAILED:
            self.fail(printable(message.payload))
        return message

    def fail(self, reason: str = "") -> NoReturn:
        """Ends the child and raises the jail's error; without a reason, the cause of death is the reason."""
        while not reason and self._inbox:
            message = self._inbox.popleft()
            reason = printable(message.payload) if message.kind == FAILED else ""
        if not reason:
            try:
                self._process.wait(1.0)
            except subprocess.TimeoutExpired:
                reason = "its child process closed the connection"
            else:
                reason = f"its child process {self._cause_of_death()}"
        self.close()
        raise self._error(f"{self._subject}: {reason}")

    def close(self) -> None:
        """Kills the child; may be called again."""
        if self.closed:
            return
        self._connection.close()
        self._process.kill()
        self._process.wait()
        os.close(self._stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, timeout_s: float, *, writing: bool = False) -> bool:
        """Waits until messages came in (they are fetched), or there is room to write; false when neither came."""
        self._check_open()
        poll = select.poll()
        poll.register(self._connection, select.POLLIN | (select.POLLOUT if writing else 0))
        events = poll.poll(max(0.0, timeout_s) * 1000)
        if events and events[0][1] & ~select.POLLOUT and not self._fetch():
            self.fail()
        return bool(events)

    def _check_open(self) -> None:
        if self.closed:
            raise self._error(f"{self._subject}: its child process was closed")

    def _fetch(self) -> bool:
        """Moves what has arrived into the inbox; false when the child has closed its end and nothing is left."""
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            data = b""
        self._unread += data
        try:
            while (message := unpack(self._unread, longest=self._longest)) is not None:
                self._inbox.append(message)
        except ValueError as error:
            self.fail(f"its child process sent {error}")
        if len(self._inbox) > _LARGEST_INBOX:
            self.fail("its child process sends more than it was asked for")
        return bool(data) or bool(self._inbox)

    def _cause_of_death(self) -> str:
        os.set_blocking(self._stderr, False)
        try:
            last_words = printable(os.read(self._stderr, 1 << 16).strip().rpartition(b"\n")[2])
        except BlockingIOError:
            last_words = ""
        code = self._process.returncode
        if code < 0:
            try:
                return f"was killed by {signal.Signals(-code).name}"
            except ValueError:
                return f"was killed by signal {-code}"
        return f"ended with code {code}" + (f" ({last_words})" if last_words else "")


def _environment() -> dict[str, str]:
    """What a child needs to find its modules, and none of the parent's secrets."""
    environment = {
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",  # each thread takes address space,
        "MALLOC_ARENA_MAX": "1",  # and so does each thread's heap
    }
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return environment


def printable(text: bytes) -> str:
    """Words of a child that may be hostile, fit for a log."""
    return "".join(c if c.isprintable() else " " for c in text[:500].decode("utf-8", "replace"))


def _enter(role: str, descriptor: int, parent: int, memory_bytes: int) -> None:
    """The child's life: give everything up, then serve."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_PDEATHSIG, signal.SIGKILL), (_PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"prctl {option}")
    if os.getppid() != parent:
        return  # it died before the kernel was asked to tell
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_AS, memory_bytes),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
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
