"""What a child process gives up for good, and what every process that holds pictures gives up too."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import socket
from collections.abc import Mapping
from typing import Any

from pipeline.jail import landlock

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_MODE_FILTER = 2
_SECCOMP_CALLS = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _ALL_THREADS, _KEEP_SPECULATION = 1, 1, 4
_CAPABILITIES_VERSION = 0x20080522
_INSTRUCTION_BYTES = 8
_RESOLVER = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services"),
    *("/etc/ssl", "/etc/pki", "/etc/ld.so.cache", "/usr/share/ca-certificates", "/dev/urandom"),
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64"),
)
"""What the C library reads to find a host's address, and TLS to know whom to believe."""
_DNS_PORT = 53


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("process", ctypes.c_int))


class _CallProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def guard() -> None:
    """A crash of this process leaves no file with pictures, and no other process of its user may look into it.

    For whoever holds pictures that nobody covered, or the bytes they are made of: workers, sinks and what starts them.
    """
    _cap(resource.RLIMIT_CORE, 0)
    _prctl(_PR_SET_DUMPABLE, 0)


def die_with(parent: int) -> bool:
    """Asks the kernel to end this process with its parent; false if that is gone already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == parent


def limit(*, memory_bytes: int, open_files: int) -> None:
    """No privileges, no core, no new bytes in files, few descriptors, that much address space, no other process."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    guard()
    _cap(resource.RLIMIT_FSIZE, 0)
    _cap(resource.RLIMIT_NOFILE, open_files)
    _cap(resource.RLIMIT_AS, memory_bytes)


def confine(allowed: Mapping[str, Any]) -> None:
    """Gives up capabilities, other processes, the network, files and most system calls; what is `allowed` says
    `parent.Jail`.

    Raises:
        OSError: the kernel refused something that its version promises.
    """
    _cap(resource.RLIMIT_NPROC, 0)
    _drop_capabilities()
    if allowed["profile"] == "network":
        _load_resolver()
    if allowed["landlock"]:
        _shut_files(allowed["landlock"], allowed["profile"], allowed["address"])
    if allowed["filter"]:
        _install(bytes.fromhex(allowed["filter"]))


def _shut_files(version: int, profile: str, address: Any) -> None:
    if profile == "network":
        landlock.restrict(version, readable=_RESOLVER, ports=(address, _DNS_PORT))
    else:
        landlock.restrict(version, devices=[address] if profile == "device" else [])


def _load_resolver() -> None:
    """The C library loads its parts for names of hosts when they are first asked for."""
    with contextlib.suppress(OSError):
        socket.getaddrinfo("localhost", 0)


def _install(program: bytes) -> None:
    """Makes the kernel run a filter at every system call. It costs no speed: the processor may speculate on, for there
    is no secret in this process that its own code must not know.
    """
    library = ctypes.CDLL(None, use_errno=True)
    instructions = _CallProgram(len(program) // _INSTRUCTION_BYTES, program)
    number = _SECCOMP_CALLS.get(platform.machine())
    if number is None:
        _prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(instructions))
        return
    flags = _ALL_THREADS | _KEEP_SPECULATION
    if library.syscall(ctypes.c_long(number), _SET_MODE_FILTER, flags, ctypes.byref(instructions)):
        raise OSError(ctypes.get_errno(), "seccomp")


def _drop_capabilities() -> None:
    library = ctypes.CDLL(None, use_errno=True)
    none = (ctypes.c_uint32 * 6)()
    if library.capset(ctypes.byref(_CapabilityHeader(_CAPABILITIES_VERSION, 0)), none):
        raise OSError(ctypes.get_errno(), "capset")


def _prctl(option: int, value: int, argument: Any = 0) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), argument, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _cap(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))
