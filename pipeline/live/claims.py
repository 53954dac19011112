"""Names of files that a run will write, against other runs that would write the same at the same time."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from engines import ConfigError
from engines.undo import undone_on_failure
from pipeline.live.work_folder import ABOVE, holder_of, take_lock
from pipeline.private.files import own_folder

_FLAGS = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class NameClaims:
    """Holds names until it is released, or its process has ended.

    Raises:
        ConfigError: another run holds one of them, or the folder is not this user's to write to.
    """

    def __init__(self, targets: Iterable[Path]) -> None:
        self._held: list[tuple[Path, int]] = []
        with undone_on_failure(self.release):
            for target in targets:
                self._claim(target)

    def _claim(self, target: Path) -> None:
        claim = f"{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}.claim"
        while True:
            try:
                folder = own_folder(target.parent, ABOVE)
            except OSError as error:
                raise ConfigError(f"{target}: cannot be written ({error.strerror}); choose another output") from error
            try:
                held = os.open(claim, _FLAGS, 0o600, dir_fd=folder)
            finally:
                os.close(folder)
            try:
                take_lock(held)
            except BlockingIOError as error:
                holder = holder_of(held)
                os.close(held)
                raise ConfigError(f"{target}: another run{holder} is writing it; choose another output") from error
            path = target.parent / ABOVE / claim
            if _is(path, held):
                self._held.append((path, held))
                return
            os.close(held)  # whoever held it has just released it

    def release(self) -> None:
        """Gives all names back."""
        while self._held:
            path, held = self._held.pop()
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(held)
            with contextlib.suppress(OSError):
                path.parent.rmdir()


def _is(path: Path, descriptor: int) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    opened = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)
