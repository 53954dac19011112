"""The seam over a runtime in memory: which batches reach the network, and what is refused before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import EngineError
from engines.runtime import ArrayDevice, Axis, OpenEngine, Tensor

ANY = Axis()


@pytest.mark.parametrize(
    ("axis", "text", "fixed", "admitted"),
    [
        (Axis(), "any", False, [1, 2, 3, 4, 5]),
        (Axis(0), "any", False, [0, 1, 2, 3, 4, 5]),
        (Axis(2), "from 2", False, [2, 3, 4, 5]),
        (Axis(2, 4), "2..4", False, [2, 3, 4]),
        (Axis(3, 3), "3", True, [3]),
    ],
    ids=["free", "from nought", "from two", "range", "fixed"],
)
def test_sizes_of_an_axis(axis: Axis, text: str, fixed: bool, admitted: list[int]) -> None:
    assert (str(axis), axis.fixed) == (text, fixed)
    assert [size for size in range(6) if axis.admits(size)] == admitted


def test_a_tensor_from_a_shape_with_free_axes() -> None:
    tensor = Tensor.of("x", "float32", (None, 3, -1, 8))

    assert tensor == Tensor("x", np.dtype(np.float32), (ANY, Axis(3, 3), ANY, Axis(8, 8)))
    assert (tensor.shape, str(tensor)) == ((None, 3, None, 8), "float32 (any, 3, any, 8)")


@pytest.mark.parametrize(
    ("dtype", "shape", "admitted"),
    [
        pytest.param("float32", (2, 3, 5), True, id="as it should be"),
        pytest.param("float32", (99, 3, 4), True, id="whatever the batch, which is split"),
        pytest.param("float32", (0, 3, 4), False, id="no rows"),
        pytest.param("float64", (2, 3, 4), False, id="dtype"),
        pytest.param("float32", (2, 4, 4), False, id="a fixed axis"),
        pytest.param("float32", (2, 3, 9), False, id="a range"),
        pytest.param("float32", (2, 3), False, id="an axis less"),
        pytest.param("float32", (2, 3, 4, 1), False, id="an axis more"),
    ],
)
def test_which_arrays_a_tensor_admits(dtype: str, shape: tuple[int, ...], admitted: bool) -> None:
    tensor = Tensor("x", np.dtype(np.float32), (Axis(2, 4), Axis(3, 3), Axis(4, 8)))

    assert tensor.admits(np.dtype(dtype), shape) == admitted


class Doubling:
    """y = 2 x, and the sizes of the batches that it ran."""

    def __init__(self, *batches: Axis, rest: Sequence[Axis] = (Axis(2, 2),), device: ArrayDevice | None = None) -> None:
        names = ("x", "z")[: len(batches)]
        self.inputs = [
            Tensor(name, np.dtype(np.float32), (batch, *rest)) for name, batch in zip(names, batches, strict=True)
        ]
        self.outputs = [Tensor("y", np.dtype(np.float32), (ANY, *rest))]
        self.device = device
        self.ran: list[int] = []
        self.shapes: list[tuple[int, ...]] = []

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        x = inputs["x"]
        self.ran.append(len(x))
        self.shapes.append(x.shape)
        return {"y": x * np.float32(2)}


def rows(count: int) -> Any:
    return np.arange(2 * count, dtype=np.float32).reshape(count, 2)


@pytest.mark.parametrize(
    ("batch", "count", "ran"),
    [
        (ANY, 7, [7]),
        (Axis(1, 3), 3, [3]),
        (Axis(1, 3), 7, [3, 3, 1]),
        (Axis(4, 4), 1, [4]),
        (Axis(4, 4), 6, [4, 4]),
        (Axis(2, 3), 4, [3, 2]),
        (Axis(3), 2, [3]),
    ],
    ids=["free", "whole", "split", "filled up", "split and filled up", "the last one filled up", "least alone"],
)
def test_batches_that_reach_the_network(batch: Axis, count: int, ran: list[int]) -> None:
    runtime = Doubling(batch)
    engine = OpenEngine("net", runtime)
    runtime.ran.clear()

    out = engine(x=rows(count))

    np.testing.assert_array_equal(out["y"], 2 * rows(count))
    assert runtime.ran == ran and engine.batch == batch


@given(least=st.integers(1, 5), more=st.integers(0, 5), count=st.integers(1, 23))
def test_any_number_of_rows_comes_back(least: int, more: int, count: int) -> None:
    runtime = Doubling(Axis(least, least + more))

    out = OpenEngine("net", runtime)(x=rows(count))

    np.testing.assert_array_equal(out["y"], 2 * rows(count))
    assert all(runtime.inputs[0].axes[0].admits(batch) for batch in runtime.ran)


def test_the_narrowest_input_decides_about_the_batch() -> None:
    assert OpenEngine("net", Doubling(Axis(1, 8), Axis(2))).batch == Axis(2, 8)


@pytest.mark.parametrize(
    ("runtime", "complaint"),
    [
        pytest.param(Doubling(), "expected inputs and outputs with a batch on axis 0, got no inputs", id="no inputs"),
        pytest.param(Doubling(Axis(1, 2), Axis(3, 4)), "no batch fits all inputs", id="no batch"),
    ],
)
def test_networks_without_a_batch(runtime: Doubling, complaint: str) -> None:
    with pytest.raises(EngineError, match=complaint):
        OpenEngine("net", runtime)


def test_a_tensor_without_axes_is_named() -> None:
    runtime = Doubling(ANY)
    runtime.outputs = [Tensor("loss", np.dtype(np.float32), ())]

    with pytest.raises(EngineError, match=r"net: expected .* got \['loss'\]"):
        OpenEngine("net", runtime)


@pytest.mark.parametrize(
    ("rest", "warmed"),
    [((Axis(2, 2),), [(1, 2)]), ((Axis(1, 6), Axis(3, 3)), [(1, 6, 3)]), ((ANY,), [])],
    ids=["fixed", "the largest", "not where an axis is free"],
)
def test_a_network_is_warmed_up_when_it_opens(rest: Sequence[Axis], warmed: list[tuple[int, ...]]) -> None:
    runtime = Doubling(ANY, rest=rest)

    OpenEngine("net", runtime)

    assert runtime.shapes == warmed


def test_what_was_admitted_once_does_not_admit_others() -> None:
    """Shapes and names that fitted are remembered; another dtype, name or shape is compared anew."""
    engine = OpenEngine("net", Doubling(ANY))
    engine(x=rows(3))

    for wrong in ({"x": rows(3).astype(float)}, {"z": rows(3)}, {"x": rows(3)[:, :1]}):
        with pytest.raises(EngineError, match="net: "):
            engine(**wrong)
    assert len(engine(x=rows(3))["y"]) == 3


class There:
    """An array on a device."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape = array, array.shape
        self.__cuda_array_interface__ = {"typestr": array.dtype.str, "shape": array.shape}

    def __getitem__(self, part: Any) -> There:
        return There(self.array[part])

    def __mul__(self, factor: Any) -> There:
        return There(self.array * factor)

    def __len__(self) -> int:
        return len(self.array)


class Joining:
    """The device that such arrays lie on."""

    def join(self, parts: Sequence[There]) -> There:
        return There(np.concatenate([part.array for part in parts]))


def test_arrays_on_a_device_are_split_and_joined_there() -> None:
    engine = OpenEngine("net", Doubling(Axis(2, 2), device=Joining()))

    out = engine(x=There(rows(5)))["y"]

    assert isinstance(out, There)
    np.testing.assert_array_equal(out.array, 2 * rows(5))


def test_both_sides_at_once_are_refused() -> None:
    engine = OpenEngine("net", Doubling(ANY, ANY, device=Joining()))

    with pytest.raises(EngineError, match="all on one side"):
        engine(x=There(rows(2)), z=rows(2))
