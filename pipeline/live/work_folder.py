"""The folder of one run, which only its owner can read: it holds clear pictures, and all that must survive a crash."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from engines import ConfigError
from engines.undo import undone_on_failure
from pipeline.config import Config
from pipeline.private.files import create_new, own_folder, require_own_file

ABOVE = ".facewarden"
_MARKER, _LOCK = "run", "lock"
_RUN_ID = re.compile(r"[0-9a-f]{12}")


class WorkFolder:
    """The folder of one run: found again by the same command, locked while it runs, gone when it is done.

    A folder that is there from before is locked at once; a new one is made by `make`, when all else that a run needs is
    there.

    Attributes:
        resumed: a run that was interrupted goes on.

    Raises:
        ConfigError: the run is going on already, or the folder is not this user's alone, or cannot be opened.
    """

    def __init__(self, base: Path, sources: Sequence[str], output: str | None, config: Config) -> None:
        identity = json.dumps([[str(Path(s).resolve()) for s in sources], output, config.model_dump(mode="json")])
        self._base, self._name = base, hashlib.sha256(identity.encode()).hexdigest()[:16]
        self.path = base / ABOVE / self._name
        self.run_id = uuid.uuid4().hex[:12]
        self.resumed = False
        self._new_base = not base.exists()
        self._folder = self._lock = -1
        if os.path.lexists(self.path):
            self._open()
        elif os.path.lexists(self.path.parent):
            with _plain(base):
                os.close(own_folder(base, ABOVE))
        else:
            _require_writable(base)

    def make(self) -> None:
        """Makes the folder and locks it, if it was not there from before; raises as the class."""
        if self._lock < 0:
            self._open()
            if self.resumed:
                raise ConfigError("this very run was begun in another process meanwhile; give the command again")

    def _open(self) -> None:
        with undone_on_failure(self._let_go), _plain(self._base):
            self._folder = own_folder(self._base, ABOVE, self._name)
            flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
            self._lock = os.open(_LOCK, flags, 0o600, dir_fd=self._folder)
            require_own_file(self.path / _LOCK)
            try:
                take_lock(self._lock)
            except BlockingIOError as error:
                holder = holder_of(self._lock)
                raise ConfigError(f"this very run is already going on in another process{holder}") from error
            self._read_marker()

    def _let_go(self) -> None:
        for descriptor in (self._lock, self._folder):
            if descriptor >= 0:
                os.close(descriptor)
        self._lock = self._folder = -1

    def _read_marker(self) -> None:
        marker = self.path / _MARKER
        try:
            with open(create_new(_MARKER, folder=self._folder), "w") as file:  # noqa: PTH123
                file.write(self.run_id)
        except FileExistsError:
            require_own_file(marker)
            stored = marker.read_text()
            if _RUN_ID.fullmatch(stored):  # it goes into the names of topics and streams
                self.run_id, self.resumed = stored, True
            else:
                marker.unlink()
                self._read_marker()

    def remove(self) -> None:
        """Deletes all that was stored on the way."""
        if self._lock < 0:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()
        self._let_go()

    def abandon(self) -> None:
        """After a start that failed: leaves nothing behind that was not there before."""
        if not self.resumed:
            self.remove()
            if self._new_base:
                with contextlib.suppress(OSError):
                    self._base.rmdir()


def take_lock(descriptor: int) -> None:
    """Locks an open file, and notes in it who holds it, for whoever is refused.

    Raises:
        BlockingIOError: somebody else holds it.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with contextlib.suppress(OSError):  # a full disk holds nobody up here
        os.pwrite(descriptor, f"{os.getpid():<10}".encode(), 0)


def holder_of(descriptor: int) -> str:
    """Which process holds the lock, in words to be put behind others; empty where it has not said."""
    noted = os.pread(descriptor, 10, 0).strip()
    return f" ({int(noted)})" if noted.isdigit() else ""


def _require_writable(base: Path) -> None:
    """Of the folder, or of what is there of it.

    Raises:
        ConfigError: nothing can be made there.
    """
    there = next(folder for folder in (base, *base.absolute().parents) if os.path.lexists(folder))
    with _plain(base):
        if not there.is_dir():
            raise NotADirectoryError(20, "Not a directory")
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")


@contextlib.contextmanager
def _plain(base: Path) -> Iterator[None]:
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        raise ConfigError(f"{base}: cannot be written to ({error.strerror}); choose another output") from error
