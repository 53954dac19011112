"""Which runtime a network is opened in, and what errors there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import ConfigError, EngineError, FacewardenError, FrameError, StreamError, open_engine
from engines.ort import OrtRuntime
from tests.engines.small_network import write_onnx, write_program


@pytest.mark.parametrize("suffix", ["", ".engine", ".ONNX", ".json"])
def test_a_suffix_that_no_runtime_serves(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"net{suffix}"
    file.touch()

    with pytest.raises(EngineError, match=rf"no backend for '{suffix}'; use one of \.onnx, \.plan, \.pt2"):
        open_engine(file)


@pytest.mark.parametrize(
    ("asked", "missing"), [("net.onnx", "net.onnx"), ("net.pt2", "net.pt2"), ("net.plan", "net.onnx")]
)
def test_a_file_that_is_not_there_is_named(asked: str, missing: str, tmp_path: Path) -> None:
    """A plan is built from the .onnx beside it, so that is what is missing."""
    with pytest.raises(EngineError, match=rf"{missing}: no such file; `facewarden models pull`"):
        open_engine(tmp_path / asked)


def test_the_suffix_picks_the_runtime(tmp_path: Path) -> None:
    onnx, program = open_engine(str(write_onnx(tmp_path))), open_engine(write_program(tmp_path))

    assert isinstance(onnx._runtime, OrtRuntime)
    assert type(program._runtime).__name__ == "ProgramRuntime"
    assert [engine.file for engine in (onnx, program)] == [tmp_path / "small.onnx", tmp_path / "small.pt2"]


@pytest.mark.parametrize("error", [ConfigError, EngineError, FrameError, StreamError])
def test_each_error_has_a_fate_of_its_own(error: type[FacewardenError]) -> None:
    assert error.__bases__ == (FacewardenError,)
