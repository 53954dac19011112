"""Files that only their owner may read: keys, keyrings, shares, logs. They are checked on the open descriptor, so that
what was checked is what is read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from engines import ConfigError

OWNER_ONLY = 0o600
LOCK_WAIT_S = 10.0
_SAFE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe in the place of a file must not hold us up


@contextlib.contextmanager
def opened_private(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    """A descriptor of a regular file that belongs to us, and that nobody else may read or write.

    Raises:
        ConfigError: it is none, or cannot be opened.
    """
    try:
        descriptor = os.open(path, flags | _SAFE)
    except OSError as error:
        link = error.errno == errno.ELOOP
        why = "it is a link; name the file itself" if link else error.strerror
        raise ConfigError(f"{path}: cannot be opened ({why})") from error
    try:
        _check(path, os.fstat(descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path}: expected a file; this is something else")
    if status.st_uid != os.geteuid():
        raise ConfigError(f"{path}: belongs to user {status.st_uid}; expected a file of your own")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise ConfigError(f"{path}: others may read or change it (mode {mode:04o}); expected 0600: chmod 600 it")


def read_private(path: Path, longest: int) -> bytes:
    """The content of such a file.

    Raises:
        ConfigError: it is none, or longer than so many bytes.
    """
    with opened_private(path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        content = file.read(longest + 1)
    if len(content) > longest:
        raise ConfigError(f"{path}: is larger than {longest} bytes; expected another kind of file")
    return content


def create_private(path: Path, content: bytes) -> None:
    """Writes a new file; one that is there is never replaced.

    Raises:
        ConfigError: there is one, or it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, OWNER_ONLY)
    except FileExistsError as error:
        raise ConfigError(f"{path}: is there already, and is not replaced; name another file") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), OWNER_ONLY)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error


def replace_private(path: Path, content: bytes) -> None:
    """Puts new content in the place of a file: a reader sees the old or the new. Only while `locked`.

    Raises:
        ConfigError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.new")
    if part.is_symlink() or part.exists():  # of a process that was killed; it may hold what was destroyed since
        wipe(part)
    create_private(part, content)
    try:
        part.replace(path)
        sync_folder(path)
    except OSError as error:
        wipe(part)
        raise ConfigError(f"{path}: cannot be replaced ({error.strerror})") from error


def wipe(path: Path) -> None:
    """Overwrites a file of ours and removes it; a link is only removed."""
    with contextlib.suppress(ConfigError), opened_private(path, os.O_RDWR) as descriptor:
        os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
        os.fsync(descriptor)
    path.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Brings a file's name to the disk."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else who asks changes the file meanwhile; its folder is locked, since the file itself is replaced.

    Raises:
        ConfigError: another process has it for longer than LOCK_WAIT_S, or there is no such folder.
    """
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{path.parent}: cannot be opened ({error.strerror}); make the folder first") from error
    try:
        lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, path: Path) -> None:
    """Locks what is open, until it is closed.

    Raises:
        ConfigError: another process has it for longer than LOCK_WAIT_S.
    """
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise ConfigError(f"{path}: another process is changing it; try again when it is done") from error
            time.sleep(0.05)
