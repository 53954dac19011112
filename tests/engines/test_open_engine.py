"""Which runtime a network is opened in, and what errors there are."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from engines import ConfigError, EngineError, FacewardenError, FrameError, StreamError, open_engine
from engines.ort import OrtRuntime
from tests.engines.small_network import small_model, write_onnx, write_program


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
    onnx, program = open_engine(str(write_onnx(tmp_path))), open_engine(write_program(tmp_path), trusted=True)

    assert isinstance(onnx._runtime, OrtRuntime)
    assert type(program._runtime).__name__ == "ProgramRuntime"
    assert [engine.file for engine in (onnx, program)] == [tmp_path / "small.onnx", tmp_path / "small.pt2"]


def test_a_network_is_compared_with_its_card_before_it_runs(tmp_path: Path) -> None:
    network = write_onnx(tmp_path)
    changed = small_model()
    changed.graph.initializer[0].float_data[0] = 0  # as large as before
    before = network.stat().st_size

    onnx.save(changed, network)

    assert network.stat().st_size == before
    with pytest.raises(EngineError, match=r"small\.onnx: expected SHA-256 .* as its card says, got .*; fetch it again"):
        open_engine(network)


def test_weights_may_lie_in_a_file_next_to_the_network(tmp_path: Path) -> None:
    model = small_model()
    for weights in model.graph.initializer:
        weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights), weights.name))
    saved = tmp_path / "net.onnx"
    onnx.save(model, saved, save_as_external_data=True, location="net.data", size_threshold=0)
    assert (tmp_path / "net.data").is_file()

    found = open_engine(saved)(a=np.ones((1, 3), np.float32), b=np.ones((1, 3), np.float32))

    assert found["moved"].tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("error", [ConfigError, EngineError, FrameError, StreamError])
def test_each_error_has_a_fate_of_its_own(error: type[FacewardenError]) -> None:
    assert error.__bases__ == (FacewardenError,)


def test_a_program_of_a_stranger_runs_no_code(tmp_path: Path) -> None:
    """As PyTorch writes it, with a pickle inside that leaves a mark when it is read."""
    ran, program = tmp_path / "ran", tmp_path / "net.pt2"
    with zipfile.ZipFile(program, "w") as archive:
        for name in ("archive_format", "version", "data.pkl", "serialized_state_dict.pt", "net/data.pkl"):
            archive.writestr(name, pickle.dumps(_Mark(str(ran))))

    with pytest.raises(EngineError, match=r"net\.pt2: to open a \.pt2 is to run code .*; use the \.onnx, or --trust"):
        open_engine(program)

    assert not ran.exists()


class _Mark:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (self.path, "w")
