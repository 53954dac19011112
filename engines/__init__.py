"""Engines run networks on arrays: named arrays in, named arrays out, batch on axis 0.

Errors of the whole project, each with one fate:

    FacewardenError
     ├── ConfigError   what the user wrote cannot be meant: nothing starts
     ├── EngineError   a network cannot be opened or run: the actor does not start
     ├── FrameError    one frame failed: it is covered whole or withheld, and reported; the stream goes on
     └── StreamError   a stream, a source or the broker failed: the process ends and is restarted
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray


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
    """A callable on named arrays with the batch on axis 0. A plain function is one."""

    def __call__(self, **inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]: ...


def open_engine(path: Path | str, *, threads: int = 1) -> Engine:
    """Opens a network; the suffix picks the runtime.

    Raises:
        EngineError: the file is missing or broken, or no runtime serves its suffix.
    """
    path = Path(path)
    if not path.is_file():
        raise EngineError(f"{path}: no such file; `facewarden models pull` fetches the models")
    if path.suffix == ".onnx":
        from engines.ort import OrtEngine

        return OrtEngine(path, threads=threads)
    raise EngineError(f"{path}: no backend for {path.suffix!r}; use .onnx")
