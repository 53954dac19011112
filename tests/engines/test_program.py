"""Exported programs in PyTorch: their tensors, and what is no program."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="a .pt2 needs facewarden[train]")

from engines import EngineError  # noqa: E402
from engines.program import ProgramRuntime  # noqa: E402
from engines.runtime import Axis, Tensor  # noqa: E402
from tests.engines.small_network import LARGEST, write_program  # noqa: E402


class Pair(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Gives its outputs without names."""

    def forward(self, x: Any) -> Any:
        return x + 1, x - 1


class Picked(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Numbers of a table by index; an index out of bounds fails."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(4.0))

    def forward(self, index: Any) -> Any:
        return {"number": self.table[index]}


def exported(module: Any, path: Path, **example: Any) -> Path:
    torch.export.save(torch.export.export(module, (), example), path)
    return path


def test_tensors_have_their_names_types_and_ranges(tmp_path: Path) -> None:
    runtime = ProgramRuntime(write_program(tmp_path))

    axes = (Axis(1, LARGEST), Axis(3, 3))
    assert runtime.inputs == [Tensor(name, np.dtype(np.float32), axes) for name in ("a", "b")]
    assert runtime.outputs == [Tensor(name, np.dtype(np.float32), axes) for name in ("sum", "moved")]
    assert runtime.device is None


def test_other_types_than_floats(tmp_path: Path) -> None:
    runtime = ProgramRuntime(exported(Picked(), tmp_path / "picked.pt2", index=torch.zeros(2, dtype=torch.int64)))

    out = runtime.run({"index": np.array([3, 1])})

    assert runtime.inputs == [Tensor("index", np.dtype(np.int64), (Axis(2, 2),))]
    assert out["number"].tolist() == [3, 1]


def test_a_failure_of_the_network_names_its_shapes(tmp_path: Path) -> None:
    runtime = ProgramRuntime(exported(Picked(), tmp_path / "picked.pt2", index=torch.zeros(2, dtype=torch.int64)))

    with pytest.raises(EngineError, match=r"picked\.pt2: failed on \{'index': \(2,\)\}"):
        runtime.run({"index": np.array([0, 9])})


def test_outputs_need_names(tmp_path: Path) -> None:
    path = exported(Pair(), tmp_path / "pair.pt2", x=torch.zeros(2, 3))

    with pytest.raises(EngineError, match="expected a module that returns a dict of tensors, got tuple"):
        ProgramRuntime(path)


@pytest.mark.parametrize("content", ["nothing", "text", "another archive"])
def test_what_is_no_program(content: str, tmp_path: Path) -> None:
    path = tmp_path / "other.pt2"
    if content == "another archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("notes.txt", "no program")
    else:
        path.write_text("" if content == "nothing" else "no program")

    with pytest.raises(EngineError, match=r"other\.pt2: .*export it again"):
        ProgramRuntime(path)


def test_arrays_that_may_not_be_written_are_taken(tmp_path: Path) -> None:
    runtime, rows = ProgramRuntime(write_program(tmp_path)), np.ones((2, 3), np.float32)
    rows.flags.writeable = False

    assert runtime.run({"a": rows, "b": rows[::-1]})["sum"].tolist() == [[2] * 3] * 2


def test_the_last_one_opened_says_how_many_threads(tmp_path: Path) -> None:
    path = write_program(tmp_path)

    ProgramRuntime(path, threads=2)
    two = torch.get_num_threads()
    ProgramRuntime(path)

    assert (two, torch.get_num_threads()) == (2, 1)
