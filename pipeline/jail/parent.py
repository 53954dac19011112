"""The parent's end of a jail: starts the child, talks to it, and says what became of it.

The parent never waits without a limit, and takes messages in while it sends, so that two full pipes cannot block each
other.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Self

from engines import FrameError, StreamError
from pipeline.jail import landlock
from pipeline.jail.call_filter import Profile, filters_calls, program
from pipeline.jail.installation import jail_folders, python
from pipeline.jail.protocol import CHUNK, FAILED, Received, pack, printable, unpack

_LARGEST_INBOX = 4096
_LAST_WORDS = 4096


@dataclass(frozen=True, slots=True)
class JailLimits:
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


DEFAULT_LIMITS = JailLimits()


class Jail:
    """A child process that runs a role until it is closed, and dies with the thread that started it.

    Args:
        role: a module with `serve(channel, settings)`.
        settings: what `serve` is given; JSON.
        limits: what the child may use.
        shared_bytes: memory that it will share with its parent.
        error: makes what is raised when the child fails: it died, was silent for too long, or gave up.
        subject: what the error's message begins with.
        profile: what it talks to, besides its parent.
        address: the TCP port that it connects to, or the device that it opens, as its profile says.
        descriptors: what else it inherits; they keep their numbers, and are left open here.
    """

    def __init__(
        self,
        role: str,
        settings: Mapping[str, Any],
        limits: JailLimits,
        *,
        error: Callable[[str], StreamError | FrameError],
        subject: str,
        shared_bytes: int = 0,
        profile: Profile = "closed",
        address: int | str = 0,
        descriptors: Sequence[int] = (),
    ) -> None:
        self._limits, self._error, self._subject = limits, error, subject
        self._longest = limits.max_packet_bytes + (1 << 20)
        self._unread = bytearray()
        self._inbox: deque[Received] = deque()
        self._last_words = b""
        self._connection, theirs = socket.socketpair()
        self._stderr, their_stderr = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._stderr, False)
        os.set_blocking(their_stderr, False)  # a child that prints a lot loses what it prints, and does not block
        numbers = theirs.fileno(), os.getpid(), limits.memory_bytes + shared_bytes
        try:
            self._process = subprocess.Popen(
                python("pipeline.jail.child", role, *map(str, numbers), folders=jail_folders(role)),
                env=_environment(),
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the parent, who may still want to finish something
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=their_stderr,
                pass_fds=(theirs.fileno(), *descriptors),
            )
        finally:
            theirs.close()
            os.close(their_stderr)
        self._connection.setblocking(False)
        allowed = {"profile": profile, "address": address, "landlock": landlock.version()}
        allowed["filter"] = program(profile).hex() if filters_calls() else ""
        self.send(FAILED, json.dumps({"settings": settings, "allowed": allowed}).encode())

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
        self._listen()
        try:
            data = self._connection.recv(CHUNK)
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

    def _listen(self) -> None:
        """Takes what the child has printed out of the pipe, so that its last words fit in, and keeps those."""
        with contextlib.suppress(BlockingIOError):
            self._last_words = (self._last_words + os.read(self._stderr, 1 << 16))[-_LAST_WORDS:]

    def _cause_of_death(self) -> str:
        self._listen()
        last_words = printable(self._last_words.strip().rpartition(b"\n")[2])
        code = self._process.returncode
        if code < 0:
            try:
                return f"was killed by {signal.Signals(-code).name}"
            except ValueError:
                return f"was killed by signal {-code}"
        return f"ended with code {code}" + (f" ({last_words})" if last_words else "")


def _environment() -> dict[str, str]:
    """What a child needs to find shared libraries, and none of the parent's secrets."""
    environment = {
        "OPENBLAS_NUM_THREADS": "1",  # each thread takes address space,
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",  # and so does each thread's heap
    }
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    if absolute := [folder for folder in folders if folder.startswith("/")]:  # another is one of the current folder
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(absolute)
    return environment
