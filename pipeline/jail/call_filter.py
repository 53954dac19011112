"""Which system calls a jailed child may make, as the program that the kernel runs at each of them.

It is a list of what is allowed: a call that nobody thought of, or that a later kernel brings, is refused. It is written
here once per process and installed in the child after all it needs was imported: so no file is opened there by name,
nothing is mapped that could be executed, no process or thread begins, and no socket is made.
"""

from __future__ import annotations

import ctypes
import errno
import tempfile
from functools import cache
from typing import Any, Literal, TypeAlias

Profile: TypeAlias = Literal["closed", "network", "device"]
"""What a child talks to: what it was handed and nothing else, a camera over the network, or a camera at hand."""

MISSING = "libseccomp or pyseccomp is missing (Debian, Ubuntu: apt install libseccomp2; pip install pyseccomp)"

_ALWAYS = """
    read readv pread64 write writev lseek close fstat fstat64 newfstatat munmap mremap brk madvise futex
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall poll ppoll select pselect6 sched_yield
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time getpid gettid getppid getuid geteuid
    getgid getegid getrandom getrusage times sysinfo uname sched_getaffinity getcpu sendto recvfrom recvmsg exit
    exit_group
"""
_NETWORK = """
    connect getsockname getpeername getsockopt setsockopt bind sendmsg sendmmsg recvmmsg shutdown access
    faccessat
"""
_PR_GET_SECCOMP = 21
_FILES = "stat lstat statx getdents64 getcwd readlink readlinkat"
_PROT_WRITE, _PROT_EXEC = 2, 4
_WRITES = 0o3 | 0o100 | 0o1000 | 0o2000 | 0o20000000
"""Flags of `open` that change anything: write, create, truncate, append, a file without a name (its upper bit)."""
_CREATES = 0o100 | 0o1000 | 0o20000000
_FCNTL = (0, 1, 2, 3, 4, 1030)
"""F_DUPFD, the descriptor's and the file's flags, F_DUPFD_CLOEXEC; not F_SETOWN, which sends signals."""
_IOCTL = (0x5450, 0x5451, 0x5401)
"""FIONCLEX, FIOCLEX, TCGETS: Python asks them of files that it opens."""
_IOCTL_NETWORK = (0x5421, 0x541B)
"""FIONBIO, FIONREAD."""
_VIDEO_ORDERS, _ORDER_KIND = ord("V") << 8, 0xFF00
_INTERNET = (2, 10)
_SOCKET_KINDS, _STREAM_OR_DATAGRAM = 0xF, (1, 2)


@cache
def filters_calls() -> bool:
    """This kernel runs filters; containers of some kinds have none of their own."""
    library = ctypes.CDLL(None, use_errno=True)
    return bool(library.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0)


@cache
def program(profile: Profile) -> bytes:
    """The filter in the kernel's form (classic BPF); empty where libseccomp, which writes it, is not installed."""
    try:
        import pyseccomp as seccomp
    except (ImportError, RuntimeError, OSError):
        return b""
    made = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    # Calls by another ABI of the processor have other numbers, so nothing can be said about them.
    made.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    _common(made, seccomp)
    if profile == "closed":
        _allow(made, seccomp, "mmap", seccomp.Arg(2, seccomp.MASKED_EQ, _PROT_EXEC, 0))
        _allow(made, seccomp, "mprotect", seccomp.Arg(2, seccomp.MASKED_EQ, _PROT_EXEC, 0))
    else:
        _opens(made, seccomp, _WRITES if profile == "network" else _CREATES)
    if profile == "network":
        _network(made, seccomp)
    if profile == "device":
        _allow(made, seccomp, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, _ORDER_KIND, _VIDEO_ORDERS))
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def _common(made: Any, seccomp: Any) -> None:
    for name in _ALWAYS.split():
        _allow(made, seccomp, name)
    for command in _FCNTL:
        _allow(made, seccomp, "fcntl", seccomp.Arg(1, seccomp.EQ, command))
    for order in _IOCTL:
        _allow(made, seccomp, "ioctl", seccomp.Arg(1, seccomp.EQ, order))


def _opens(made: Any, seccomp: Any, forbidden: int) -> None:
    """Files may be opened and libraries loaded: the resolver does, and so does whoever opens a device by its name."""
    for name in _FILES.split():
        _allow(made, seccomp, name)
    _allow(made, seccomp, "open", seccomp.Arg(1, seccomp.MASKED_EQ, forbidden, 0))
    _allow(made, seccomp, "openat", seccomp.Arg(2, seccomp.MASKED_EQ, forbidden, 0))
    both = _PROT_WRITE | _PROT_EXEC
    for protection in (0, _PROT_WRITE, _PROT_EXEC):  # never both
        for call in ("mmap", "mprotect"):
            _allow(made, seccomp, call, seccomp.Arg(2, seccomp.MASKED_EQ, both, protection))


def _network(made: Any, seccomp: Any) -> None:
    for name in _NETWORK.split():
        _allow(made, seccomp, name)
    for order in _IOCTL_NETWORK:
        _allow(made, seccomp, "ioctl", seccomp.Arg(1, seccomp.EQ, order))
    for family in _INTERNET:
        for kind in _STREAM_OR_DATAGRAM:
            arguments = seccomp.Arg(0, seccomp.EQ, family), seccomp.Arg(1, seccomp.MASKED_EQ, _SOCKET_KINDS, kind)
            _allow(made, seccomp, "socket", *arguments)


def _allow(made: Any, seccomp: Any, name: str, *conditions: Any) -> None:
    """Allows a call; one that this architecture does not have needs no rule."""
    if seccomp.resolve_syscall(seccomp.system_arch(), name) >= 0:
        made.add_rule(seccomp.ALLOW, name, *conditions)
