"""What code in a taken-over child would try, deed by deed. Each must be refused.

`attempts` runs in the child, which has to import this module before it is confined: the kernel's numbers of calls are
looked up here.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pyseccomp

LIBC = ctypes.CDLL(None, use_errno=True)
FILES = ("file", "other")
TEXT = b"the owner's text, nobody else's\n"
REFUSED = (errno.EPERM, errno.EACCES, errno.EMFILE)
Deed = Callable[[], Any]

KERNEL = """
    stat lstat statx getdents64 getcwd readlink readlinkat
    io_uring_setup io_uring_enter io_uring_register userfaultfd bpf keyctl add_key request_key perf_event_open
    kexec_load kexec_file_load init_module finit_module delete_module unshare setns mount umount2 pivot_root
    chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr open_by_handle_at name_to_handle_at
    swapon swapoff fanotify_init fanotify_mark inotify_init1 inotify_add_watch acct quotactl syslog reboot
    sethostname setdomainname settimeofday clock_settime adjtimex clock_adjtime iopl ioperm modify_ldt
    personality vhangup sysfs ustat memfd_create memfd_secret remap_file_pages mlock mlockall munlockall mbind
    migrate_pages move_pages set_mempolicy shmget shmat shmctl msgget msgsnd msgrcv semget semop mq_open
    mq_unlink timer_create timerfd_create signalfd4 eventfd2 epoll_create1 pipe2 dup dup2 dup3 openat2 creat
    copy_file_range sendfile splice tee vmsplice fallocate ftruncate truncate fsync sync syncfs setuid setgid
    setreuid setregid setresuid setresgid setfsuid setfsgid setgroups setsid setpgid capset prctl arch_prctl
    seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self setrlimit fork vfork clone clone3
    execve execveat ptrace process_vm_readv process_vm_writev kcmp pidfd_open pidfd_getfd pidfd_send_signal
    process_madvise process_mrelease kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo sched_setaffinity
    sched_setscheduler sched_setattr setpriority ioprio_set socket socketpair connect bind listen accept accept4
    sendmsg sendmmsg recvmmsg setsockopt chdir fchdir mkdir mkdirat mknod mknodat rmdir rename renameat
    renameat2 link linkat symlink symlinkat unlink unlinkat chmod fchmod fchmodat chown fchown lchown fchownat
    utime utimes utimensat futimesat umask setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
    getxattr listxattr open openat statfs access faccessat pkey_mprotect set_thread_area ioprio_get
    lookup_dcookie uselib
"""
"""Calls that no decoder makes. Without arguments many are nonsense: the filter must say so before the kernel does."""
NUMBERS = {name: pyseccomp.resolve_syscall(pyseccomp.system_arch(), name) for name in KERNEL.split()}
MACHINE_CODE = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
MACHINE_CODE.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, getpid; int 0x80; ret
X32 = 0x40000000


def prepare(folder: Path) -> None:
    for name in FILES:
        (folder / name).write_bytes(TEXT)
    (folder / "folder").mkdir()


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All that lies there, with modes."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


def attempts(folder: Path, port: int, parent: int) -> dict[str, str]:
    """What became of each deed: `refused` by the kernel's word for it, or else."""
    return {name: _tried(deed) for name, deed in _deeds(folder, port, parent)}


def of_files(folder: Path, port: int, parent: int) -> dict[str, str]:
    """Those deeds that Landlock refuses too."""
    changes = ("delete", "rename", "make", "truncate")
    deeds = [*_openings(folder, parent), *(deed for deed in _changes(folder) if deed[0].startswith(changes))]
    deeds += [deed for deed in _talks(port) if deed[0] in ("connect", "listen")]
    return {name: _tried(deed) for name, deed in deeds if name != "find by path"}


def _tried(deed: Deed) -> str:
    try:
        result = deed()
    except OSError as error:
        return f"refused: {error}" if error.errno in REFUSED else f"came as far as {error}"
    except MemoryError as error:
        return f"refused: {error!r}"
    return f"done: {result}"


def _deeds(folder: Path, port: int, parent: int) -> Iterator[tuple[str, Deed]]:
    yield from _calls()
    yield from _openings(folder, parent)
    yield from _changes(folder)
    yield from _talks(port)
    yield from _others(parent)
    yield from _memory()


def _calls() -> Iterator[tuple[str, Deed]]:
    for name, number in NUMBERS.items():
        if number >= 0:
            yield name, partial(_call, number, *[0] * 6)


def _openings(folder: Path, parent: int) -> Iterator[tuple[str, Deed]]:
    writing = {
        "write": os.O_WRONLY,
        "both": os.O_RDWR,
        "create": os.O_CREAT | os.O_WRONLY,
        "exclusive": os.O_CREAT | os.O_EXCL | os.O_RDWR,
        "truncate": os.O_TRUNC | os.O_RDONLY,
        "append": os.O_APPEND | os.O_WRONLY,
    }
    places = [folder / "file", folder / "new", Path("/tmp/escaped"), Path("/dev/shm/escaped"), Path("/dev/null")]
    for (how, flags), path in product(writing.items(), [*places, Path("/proc/self/mem")]):
        yield f"open {path} to {how}", partial(os.open, path, flags, 0o600)
    yield "a file without a name", lambda: os.open(folder, os.O_TMPFILE | os.O_RDWR)
    secrets = ["/etc/passwd", "/etc/hostname", "/dev/zero", "/proc/self/maps", "/proc/net/tcp", str(folder / "file")]
    of_parent = [f"/proc/{parent}/{name}" for name in ("mem", "maps", "environ", "cmdline", "status", "auxv")]
    for name in [*secrets, *of_parent]:
        yield f"read {name}", partial(os.open, name, os.O_RDONLY)
    for name in ["/", "/etc", "/proc", f"/proc/{parent}/fd", f"/proc/{parent}/root", str(folder), "/root", "/home"]:
        yield f"list {name}", partial(os.listdir, name)
    yield "find by path", lambda: os.open(folder, os.O_PATH)


def _changes(folder: Path) -> Iterator[tuple[str, Deed]]:
    file, new = folder / "file", folder / "new"
    yield "delete", lambda: os.unlink(file)
    yield "delete a folder", lambda: os.rmdir(folder / "folder")
    yield "rename", lambda: os.rename(file, folder / "other")
    yield "make a folder", lambda: os.mkdir(new)
    yield "make a pipe", lambda: os.mkfifo(new)
    yield "make a device", lambda: os.mknod(new, 0o600 | 0o020000, os.makedev(1, 3))
    yield "make a link", lambda: os.symlink("/etc/passwd", new)
    yield "make a hard link", lambda: os.link(file, new)
    yield "truncate", lambda: os.truncate(file, 0)
    yield "change a mode", lambda: os.chmod(file, 0o777)
    yield "change an owner", lambda: os.chown(file, 12345, 12345)
    yield "change a time", lambda: os.utime(file, (0, 0))
    yield "set an attribute", lambda: os.setxattr(file, "user.x", b"y")
    yield "remove an attribute", lambda: os.removexattr(file, "user.x")
    yield "change the folder", lambda: os.chdir(folder)
    yield "change the root", lambda: os.chroot(folder)


def _talks(port: int) -> Iterator[tuple[str, Deed]]:
    for family, kind in product(range(46), (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW)):
        yield f"socket {family} {kind.name}", partial(socket.socket, family, kind)
    yield "connect", lambda: socket.create_connection(("127.0.0.1", port), 1)
    yield "listen", lambda: socket.create_server(("127.0.0.1", 0))
    yield "a pair of sockets", socket.socketpair


def _others(parent: int) -> Iterator[tuple[str, Deed]]:
    for number in (0, signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
        yield f"signal {number} to the parent", partial(os.kill, parent, number)
    yield "signal all", lambda: os.kill(-1, 0)
    yield "signal the group", lambda: os.killpg(0, 0)
    yield "fork", os.fork
    yield "run", lambda: os.execv("/bin/true", ["true"])
    yield "spawn", lambda: os.posix_spawn("/bin/true", ["true"], {})
    yield "shell", _shell
    for option in (1, 4, 15, 22, 38, 0x59616D61, 0x53564D41):
        yield f"prctl {option}", partial(_call_libc, "prctl", option, 0, 0, 0, 0)
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80):
        yield f"unshare {flag:#x}", partial(_call_libc, "unshare", flag)
    for order in (0x5412, 0x541C, 0x5423, 0x5452, 0x8901, 0x8902, 0x540E, 0x5414, 0x4B4D, 0x40087602):
        yield f"ioctl {order:#x}", partial(_call_libc, "ioctl", 2, order, 0)
    for command in (8, 10, 15, 1024, 1026, 1031, 1033, 1036, 36, 37, 6):
        yield f"fcntl {command}", partial(_call_libc, "fcntl", 2, command, parent)
    for kind in range(16):
        limits = (ctypes.c_uint64 * 2)(1, 1)
        yield (
            f"prlimit {kind} of the parent",
            partial(_call_libc, "prlimit", parent, kind, limits, None),
        )


def _shell() -> None:
    if status := LIBC.system(b"true"):
        raise PermissionError(errno.EPERM, f"the shell ended with {status}")


def _memory() -> Iterator[tuple[str, Deed]]:
    for protection in (mmap.PROT_EXEC, mmap.PROT_EXEC | mmap.PROT_READ, 7):
        yield f"map {protection}", partial(mmap.mmap, -1, mmap.PAGESIZE, prot=protection)
    view = mmap.mmap(-1, mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    for protection in (mmap.PROT_EXEC, 5, 7):
        yield (
            f"protect {protection}",
            partial(_call_libc, "mprotect", ctypes.c_void_p(address), mmap.PAGESIZE, protection),
        )
    for size in (1 << 32, 1 << 40):
        yield f"allocate {size}", partial(bytearray, size)


def _call(number: int, *arguments: int) -> int:
    ctypes.set_errno(0)
    return _checked(LIBC.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)))


def _call_libc(name: str, *arguments: Any) -> int:
    ctypes.set_errno(0)
    return _checked(getattr(LIBC, name)(*arguments))


def _checked(result: int) -> int:
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def by_the_old_gate() -> None:
    """A system call of 32-bit programs, whose numbers mean something else."""
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(MACHINE_CODE)))()


def by_x32() -> None:
    """A system call of programs with short pointers, whose numbers a list of others does not hold."""
    LIBC.syscall(ctypes.c_long(X32 | 39))
