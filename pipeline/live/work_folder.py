"""The folder of one run, which only its owner can read: it holds clear pictures, and all that must survive a crash."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from engines import ConfigError
from pipeline.config import Config


class WorkFolder:
    """The folder of one run: found again by the same command, locked while it runs, gone when it is done."""

    def __init__(self, base: Path, sources: Sequence[str], output: str | None, config: Config) -> None:
        identity = json.dumps([[str(Path(s).resolve()) for s in sources], output, config.model_dump(mode="json")])
        self.path = base / ".facewarden" / hashlib.sha256(identity.encode()).hexdigest()[:16]
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise ConfigError(f"{base}: cannot be written to ({error.strerror}); choose another output") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError("this very run is already going on in another process") from error
        marker = self.path / "run"
        self.resumed = marker.exists()
        if not self.resumed:
            marker.write_text(uuid.uuid4().hex[:12])
        self.run_id = marker.read_text()

    def remove(self) -> None:
        """Deletes all that was stored on the way."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()
        os.close(self._lock)
