"""Engines run networks on arrays: named arrays in, named arrays out, batch on axis 0.

Errors of the whole project, each with one fate:

    FacewardenError
     ├── ConfigError   what the user wrote cannot be meant: nothing starts
     ├── EngineError   a network cannot be opened or run: the actor does not start
     ├── FrameError    one frame failed: it is covered whole or withheld, and reported; the stream goes on
     ├── RecoveryRefused   (pipeline.sealing) a key, a seal or a log is not what is needed: no picture comes out
     └── StreamError   a stream, a source or the broker failed: the process ends and is restarted
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from engines.runtime import OpenEngine

AnyArray = Any
"""A numpy array, or an array on a device: anything with `__cuda_array_interface__`, C-contiguous."""

SUFFIXES = (".onnx", ".plan", ".pt2")


class FacewardenError(Exception):
    """Says what was expected, what came, and what to do."""


class ConfigError(FacewardenError):
    pass


class EngineError(FacewardenError):
    pass


class FrameError(FacewardenError):
    pass


class StreamError(FacewardenError):
    pass


class Engine(Protocol):
    """A callable on named arrays, batch on axis 0; it returns the kind it was given. A plain function is one."""

    def __call__(self, **inputs: AnyArray) -> Mapping[str, AnyArray]: ...


def open_engine(path: Path | str, *, threads: int = 1, trusted: bool = False) -> OpenEngine:
    """Opens a network; the suffix picks the runtime. An `.onnx` is first compared with its card, if there is one.

    Args:
        path: an `.onnx` runs in ONNX Runtime, a `.pt2` in PyTorch, both on the CPU. A `.plan` runs in TensorRT: it
            stands for the plan of the `.onnx` of that name next to it, which is built on first use.
        threads: how many threads one call may use on the CPU.
        trusted: whoever made the file may run code here, which is what opening a `.pt2` comes to: it holds a pickle.

    Raises:
        EngineError: the file is missing or broken, is not the one that its card describes, or is a program that is not
            trusted; no runtime serves its suffix, or that runtime is not installed.
    """
    from engines.runtime import OpenEngine

    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise EngineError(f"{path}: no backend for {path.suffix!r}; use one of {', '.join(SUFFIXES)}")
    source = path.with_suffix(".onnx") if path.suffix == ".plan" else path
    if not source.is_file():
        raise EngineError(f"{source}: no such file; `facewarden models pull` fetches the models")
    if path.suffix == ".onnx":
        from engines.card import require_card
        from engines.ort import OrtRuntime

        content = path.read_bytes()  # once: what was compared is what runs
        require_card(path, content)
        return OpenEngine(path, OrtRuntime(content, file=path, threads=threads))
    if path.suffix == ".pt2":
        if not trusted:
            raise EngineError(
                f"{path}: to open a .pt2 is to run code of whoever made it; use the .onnx, or --trust where you made it"
            )
        from engines.program import ProgramRuntime

        return OpenEngine(path, ProgramRuntime(path, threads=threads))
    from engines.cuda import CudaDevice
    from engines.plans import open_plan

    return open_plan(source, CudaDevice())
