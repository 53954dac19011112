"""Files and folders that are this user's own, in folders where others may write: made anew and never found there,
links not followed, owner and mode seen on what was opened."""

from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path

from engines import ConfigError
from engines.undo import undone_on_failure

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def create_new(name: Path | str, *, mode: int = 0o600, folder: int | None = None) -> int:
    """A descriptor to write to a file that was not there before, relative to the descriptor of a folder.

    Raises:
        FileExistsError: something is there, be it a link that leads nowhere.
        OSError: it cannot be made.
    """
    return os.open(name, _NEW, mode, dir_fd=folder)


def own_folder(base: Path, *names: str) -> int:
    """A descriptor of the folder `base/NAME/...`, each of the names made with mode 0700 where it is missing.

    `base` is the user's choice, and may be anybody's; what lies below it has to be this user's alone.

    Raises:
        ConfigError: one of the names is a link, no folder, somebody else's, or others may write to it.
        OSError: it cannot be made or opened.
    """
    base.mkdir(parents=True, exist_ok=True)
    folder, path = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), base
    for name in names:
        path = path / name
        above = folder
        try:
            try:
                os.mkdir(name, 0o700, dir_fd=above)
            except FileExistsError:
                _require_folder(path, os.stat(name, dir_fd=above, follow_symlinks=False))
            folder = os.open(name, _FOLDER, dir_fd=above)
        finally:
            os.close(above)
        with undone_on_failure(partial(os.close, folder)):
            _require_own(path, os.fstat(folder))
            if stat.S_IMODE(os.fstat(folder).st_mode) != 0o700:
                os.fchmod(folder, 0o700)
    return folder


def require_own_file(path: Path) -> None:
    """Makes sure that a file is this user's, is no link, and can be read by nobody else. It is not opened for reading:
    closing it would release this process's locks on it.

    Raises:
        ConfigError: it is not.
        FileNotFoundError: it is not there.
    """
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(
            f"{path}: expected a file, found a link or something else; remove it, or choose another folder"
        )
    _require_own(path, found)
    if found.st_nlink > 1:
        raise ConfigError(f"{path}: has a second name elsewhere; remove it, or choose another folder")
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o600)


def _require_folder(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISDIR(found.st_mode):
        what = "a link" if stat.S_ISLNK(found.st_mode) else "a file"
        raise ConfigError(f"{path}: expected a folder, found {what}; remove it, or choose another folder")


def _require_own(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise ConfigError(
            f"{path}: belongs to another user (uid {found.st_uid}), who could read along; "
            "remove it, or choose another output"
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise ConfigError(f"{path}: others may write to it; remove it, or choose another output")
