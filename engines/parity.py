"""Do two runtimes agree? The same inputs through both, and the largest difference of each output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import EngineError
from engines.card import Tolerance
from engines.runtime import Axis, OpenEngine, Tensor

FREE_SIZE = 64
"""What a free axis other than the batch gets, if nothing is said of it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one output of two engines lies apart, over all inputs tried.

    Attributes:
        largest: of |a - b|.
        at: the largest |b|, to read `largest` against.
        excess: the largest |a - b| / (absolute + relative * |b|): above 1 it is outside the tolerance.

    >>> Difference("boxes", largest=0.01, at=2.0, excess=0.5).agrees
    True
    """

    output: str
    largest: float
    at: float
    excess: float

    @property
    def agrees(self) -> bool:
        return self.excess <= 1


def compare(
    one: OpenEngine, other: OpenEngine, inputs: Iterable[Mapping[str, NDArray[Any]]], tolerance: Tolerance
) -> list[Difference]:
    """The differences of all outputs.

    Raises:
        EngineError: they have not the same outputs, or not of the same shapes.
    """
    if one.outputs.keys() != other.outputs.keys():
        raise EngineError(f"expected the same outputs of both, got {sorted(one.outputs)} and {sorted(other.outputs)}")
    found = {name: Difference(name, 0, 0, 0) for name in one.outputs}
    for given in inputs:
        a, b = one(**given), other(**given)
        for name, so_far in found.items():
            if a[name].shape != b[name].shape:
                raise EngineError(
                    f"output {name!r}: expected one shape of both, got {a[name].shape} and {b[name].shape}"
                )
            found[name] = _further(so_far, a[name], b[name], tolerance)
    return list(found.values())


def require_parity(name: Path | str, found: Iterable[Difference], tolerance: Tolerance) -> None:
    """Refuses an export whose outputs lie too far apart.

    Raises:
        EngineError: with each output that does.

    >>> apart = Difference("boxes", largest=0.5, at=2.0, excess=20.0)
    >>> require_parity("net.onnx", [apart], Tolerance(absolute=0.01, relative=0.01))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    engines.EngineError: net.onnx is refused: expected outputs within ..., got 'boxes' by 0.5 at values up to 2; ...
    """
    wrong = [
        f"{each.output!r} by {each.largest:.3g} at values up to {each.at:.3g}" for each in found if not each.agrees
    ]
    if wrong:
        allowed = f"{tolerance.absolute:g} + {tolerance.relative:g} * |value|"
        raise EngineError(
            f"{name} is refused: expected outputs within {allowed}, got {', '.join(wrong)}; use a finer precision"
        )


def _further(so_far: Difference, a: NDArray[Any], b: NDArray[Any], tolerance: Tolerance) -> Difference:
    """With one more pair of arrays; what is not finite on one side alone is infinitely apart."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    apart = np.where(same, 0, np.abs(np.subtract(a, b, where=~same, out=np.zeros_like(a))))
    apart = np.where(np.isnan(apart), np.inf, apart)
    size = np.abs(np.where(np.isfinite(b), b, 0))
    excess = apart / np.maximum(tolerance.absolute + tolerance.relative * size, np.finfo(np.float64).tiny)
    return Difference(
        so_far.output,
        max(so_far.largest, float(apart.max(initial=0))),
        max(so_far.at, float(size.max(initial=0))),
        max(so_far.excess, float(excess.max(initial=0))),
    )


def draw_inputs(
    tensors: Mapping[str, Tensor],
    *,
    batches: tuple[int, ...] = (1, 3),
    shapes: Mapping[str, tuple[int, ...]] = {},
    seed: int = 0,
) -> Iterator[dict[str, NDArray[Any]]]:
    """Inputs drawn evenly from 0..255, one dict for each batch.

    Args:
        shapes: of inputs whose axes are free; the number of rows in it is not used.

    >>> tensors = {"image": Tensor.of("image", "float32", (None, 3, 8, 8))}
    >>> [inputs["image"].shape for inputs in draw_inputs(tensors)]
    [(1, 3, 8, 8), (3, 3, 8, 8)]
    """
    rng = np.random.default_rng(seed)
    for rows in batches:
        yield {
            name: rng.integers(0, 256, (rows, *_sizes(tensor, shapes.get(name)))).astype(tensor.dtype)
            for name, tensor in tensors.items()
        }


def _sizes(tensor: Tensor, wanted: tuple[int, ...] | None) -> tuple[int, ...]:
    if wanted is not None:
        return wanted[1:]
    return tuple(_size(axis) for axis in tensor.axes[1:])


def _size(axis: Axis) -> int:
    return axis.most if axis.most is not None else max(axis.least, FREE_SIZE)
