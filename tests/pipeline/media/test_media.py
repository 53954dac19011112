"""A child process imports its own side of the package, and nothing of its parent's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import media


def test_each_name_is_found_and_no_other() -> None:
    found = {name: getattr(media, name) for name in media.__all__}
    assert all(getattr(value, "__name__", name) == name for name, value in found.items())
    with pytest.raises(AttributeError, match=r"'pipeline\.media' has no attribute 'Recoder'"):
        _ = media.Recoder


@pytest.mark.parametrize("child", ["decoder_child", "demuxer_child"])
def test_a_child_does_not_import_what_its_parent_needs(child: str) -> None:
    code = f"import sys, pipeline.media.{child}; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )

    loaded = set(done.stdout.split())
    assert f"pipeline.media.{child}" in loaded
    assert not loaded & {"pipeline.jail.parent", "pipeline.media.decoder", "pipeline.media.demuxer", "pydantic", "ray"}
