"""Files that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Writes under a temporary name, and renames: a reader sees the old file or the new one."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        finally:
            Path(file.name).unlink(missing_ok=True)


def make_public(path: Path) -> None:
    """Everybody may read it, and its owner write; nothing happens to a file of somebody else."""
    with contextlib.suppress(PermissionError):
        path.chmod(0o644)


def sha256_of(content: bytes) -> str:
    """In hexadecimal.

    >>> sha256_of(b"abc")[:8]
    'ba7816bf'
    """
    return hashlib.sha256(content).hexdigest()
