"""Two runs do not write the same file at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.live.claims import NameClaims


def test_a_name_is_held_until_it_is_released(tmp_path: Path) -> None:
    first = NameClaims([tmp_path / "new" / "a.mp4", tmp_path / "new" / "b.mp4"])

    with pytest.raises(ConfigError, match=rf"b\.mp4: another run \({os.getpid()}\) is writing it; choose"):
        NameClaims([tmp_path / "new" / "c.mp4", tmp_path / "new" / "b.mp4"])
    others = NameClaims([tmp_path / "new" / "c.mp4", tmp_path / "a.mp4"])
    others.release()
    first.release()

    NameClaims([tmp_path / "new" / "b.mp4"]).release()
    assert list((tmp_path / "new").iterdir()) == []


def test_it_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os; from pathlib import Path; from pipeline.live.claims import NameClaims; "
        f"claims = NameClaims([Path({str(tmp_path)!r}) / 'a.mp4']); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9

    NameClaims([tmp_path / "a.mp4"]).release()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"file/a\.mp4: cannot be written"):
        NameClaims([tmp_path / "file" / "a.mp4"])
