"""The seam between engines and their runtimes: one home for what must hold whichever library runs the network.

A runtime (`ort.py`, `trt.py`, `program.py`) names its tensors and runs one batch that fits. Everything else is done
here once: names, dtypes and shapes are compared, a batch larger than the network takes is split, and the network is
warmed up when it opens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines import AnyArray, EngineError

MOST_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Axis:
    """Which sizes one axis of a tensor may have, `most` None for without limit.

    >>> [str(axis) for axis in (Axis(), Axis(1, 8), Axis(3, 3))]
    ['any', '1..8', '3']
    >>> Axis(1, 8).admits(4), Axis(1, 8).admits(9)
    (True, False)
    """

    least: int = 1
    most: int | None = None

    @property
    def fixed(self) -> bool:
        return self.least == self.most

    def admits(self, size: int) -> bool:
        return self.least <= size and (self.most is None or size <= self.most)

    def __str__(self) -> str:
        if self.fixed:
            return str(self.least)
        if self.most is None:
            return "any" if self.least <= 1 else f"from {self.least}"
        return f"{self.least}..{self.most}"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a network; the batch is axis 0."""

    name: str
    dtype: np.dtype[Any]
    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, name: str, dtype: Any, shape: Sequence[int | None]) -> Tensor:
        """From a shape in which None, or a number below 0, stands for a free axis.

        >>> str(Tensor.of("image", "float32", (None, 3, None, 64)))
        'float32 (any, 3, any, 64)'
        """
        axes = tuple(Axis() if size is None or size < 0 else Axis(size, size) for size in shape)
        return cls(name, np.dtype(dtype), axes)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes of the axes, None where free.

        >>> Tensor.of("image", "float32", (-1, 3, 64, 64)).shape
        (None, 3, 64, 64)
        """
        return tuple(axis.least if axis.fixed else None for axis in self.axes)

    def admits(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        """Whether an array is right but for its batch, which is split or padded to fit.

        >>> image = Tensor.of("image", "float32", (1, 3, 64, 64))
        >>> image.admits(np.dtype("float32"), (5, 3, 64, 64)), image.admits(np.dtype("float32"), (1, 1, 64, 64))
        (True, False)
        """
        rank_and_rows = len(shape) == len(self.axes) and shape[0] > 0
        sizes = zip(self.axes[1:], shape[1:], strict=False)
        return dtype == self.dtype and rank_and_rows and all(axis.admits(size) for axis, size in sizes)

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join(map(str, ('any', *self.axes[1:])))})"


class ArrayDevice(Protocol):
    """What the seam itself has to do with device arrays."""

    def join(self, parts: Sequence[AnyArray]) -> AnyArray:
        """One array of several, along axis 0."""
        ...


class Runtime(Protocol):
    """What one backend file implements.

    Attributes:
        inputs, outputs: in the network's own order.
        device: where device arrays may lie that it takes, and then returns; None for numpy arrays only.
    """

    @property
    def inputs(self) -> Sequence[Tensor]: ...
    @property
    def outputs(self) -> Sequence[Tensor]: ...
    @property
    def device(self) -> ArrayDevice | None: ...

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Runs one batch that has been found to fit.

        Raises:
            EngineError: the network failed.
        """
        ...


class OpenEngine:
    """An engine that checks what it is given, on top of a runtime. `open_engine` makes one.

    Inputs share the size of axis 0, the batch. A batch above the largest that the network takes is split; one below
    the smallest is filled up with repeated rows, which are cut from the outputs.

    Args:
        name: the file's, for messages.
        runtime: what runs the network.

    Attributes:
        inputs, outputs: tensors by name.
        batch: the batches that the network itself takes.
        file: where the network lies, with its card next to it.

    Raises:
        EngineError: a tensor has no batch axis, inputs disagree on it, or the first run fails.
    """

    def __init__(self, name: Path | str, runtime: Runtime) -> None:
        self._name, self._runtime = name, runtime
        self.file = name if isinstance(name, Path) else None
        self.inputs = {tensor.name: tensor for tensor in runtime.inputs}
        self.outputs = {tensor.name: tensor for tensor in runtime.outputs}
        scalars = [tensor.name for tensor in (*runtime.inputs, *runtime.outputs) if not tensor.axes]
        if scalars or not runtime.inputs:
            raise EngineError(
                f"{name}: expected inputs and outputs with a batch on axis 0, got {scalars or 'no inputs'}"
            )
        axes = {tensor.axes[0] for tensor in runtime.inputs}
        least = max(axis.least for axis in axes)
        most = min((axis.most for axis in axes if axis.most is not None), default=None)
        self.batch = Axis(least, most)
        self._admitted: dict[tuple[Any, ...], int] = {}
        if most is not None and most < least:
            raise EngineError(f"{name}: no batch fits all inputs, which take {', '.join(map(str, axes))} rows")
        self._warm_up()

    def __call__(self, **inputs: AnyArray) -> dict[str, AnyArray]:
        """Runs the network: numpy arrays in and out, or device arrays in and out.

        Raises:
            EngineError: an input is missing, unknown, of a wrong dtype or shape, or of the wrong kind; or the network
                failed.
        """
        rows = self._rows_of(inputs)
        most = self.batch.most or rows
        if self.batch.least <= rows <= most:
            return self._runtime.run(inputs)
        parts = []
        for first in range(0, rows, most):
            piece = {name: array[first : first + most] for name, array in inputs.items()}
            parts.append(self._run_filled(piece, min(most, rows - first)))
        return {name: self._join([part[name] for part in parts]) for name in parts[0]}

    def _run_filled(self, inputs: Mapping[str, AnyArray], rows: int) -> dict[str, AnyArray]:
        """Runs a piece, filled up where the network takes no batch as small."""
        missing = self.batch.least - rows
        if missing <= 0:
            return self._runtime.run(inputs)
        filled = {name: self._join([array, *[array[:1]] * missing]) for name, array in inputs.items()}
        return {name: array[:rows] for name, array in self._runtime.run(filled).items()}

    def _join(self, parts: Sequence[AnyArray]) -> AnyArray:
        if len(parts) == 1:
            return parts[0]
        device = self._runtime.device
        return np.concatenate(parts) if device is None or isinstance(parts[0], np.ndarray) else device.join(parts)

    def _rows_of(self, inputs: Mapping[str, AnyArray]) -> int:
        """The rows of inputs that fit. Of numpy arrays like those of a call before, all else is known already: to
        compare them anew takes as long as a small network."""
        if not all(type(array) is np.ndarray for array in inputs.values()):
            return self._check(inputs)
        like = tuple((name, array.dtype, array.shape) for name, array in inputs.items())
        rows = self._admitted.get(like)
        if rows is None:
            rows = self._check(inputs)
            if len(self._admitted) < MOST_REMEMBERED:
                self._admitted[like] = rows
        return rows

    def _check(self, inputs: Mapping[str, AnyArray]) -> int:
        """Compares inputs with what the network wants; the number of their rows."""
        if inputs.keys() != self.inputs.keys():
            raise EngineError(f"{self._name}: expected inputs {sorted(self.inputs)}, got {sorted(inputs)}")
        on_device = set()
        for name, array in inputs.items():
            interface = getattr(array, "__cuda_array_interface__", None)
            if interface is None and not isinstance(array, np.ndarray):
                raise EngineError(
                    f"{self._name}: input {name!r}: expected a numpy or device array, got {type(array).__name__}"
                )
            dtype = np.dtype(interface["typestr"]) if interface else array.dtype
            shape = tuple(interface["shape"]) if interface else array.shape
            on_device.add(interface is not None)
            if not self.inputs[name].admits(dtype, shape):
                raise EngineError(f"{self._name}: input {name!r}: expected {self.inputs[name]}, got {dtype} {shape}")
            if interface and self._runtime.device is None:
                raise EngineError(
                    f"{self._name}: input {name!r}: expected a numpy array, got {type(array).__name__} on a device; "
                    "copy it to the host, or open a .plan"
                )
        rows = {name: int(array.shape[0]) for name, array in inputs.items()}
        if len(set(rows.values())) > 1 or len(on_device) > 1:
            raise EngineError(f"{self._name}: expected the same rows in all inputs, and all on one side; got {rows}")
        return next(iter(rows.values()))

    def _warm_up(self) -> None:
        """One call on zeros, where no axis but the batch is free: the first call allocates and packs weights."""
        tensors = self._runtime.inputs
        if all(axis.fixed or axis.most is not None for tensor in tensors for axis in tensor.axes[1:]):
            self(
                **{
                    tensor.name: np.zeros((1, *(axis.most or 1 for axis in tensor.axes[1:])), tensor.dtype)
                    for tensor in tensors
                }
            )
