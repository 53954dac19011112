"""ONNX to plan: what TensorRT's builder is given, and what it reports meanwhile. Where plans lie, `plans.py` knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx

from engines import EngineError
from engines.card import Plan
from engines.trt import Log, library

Progress = Callable[[str, int, int], None]
"""Called with a phase, how many of its steps are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Built:
    """A serialised plan, and what was timed on the way, which speeds up the next build (empty with TensorRT-RTX)."""

    plan: bytes
    timings: bytes = b""


def parse(model: onnx.ModelProto, log: Log) -> tuple[Any, Any]:
    """A builder and the network that TensorRT's parser makes of the model, strongly typed.

    Raises:
        EngineError: an operator is not covered; the message names the node.
    """
    trt = library()
    builder = trt.Builder(log.logger)
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)  # where there is none, all networks are
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, log.logger)
    if not parser.parse(model.SerializeToString()):
        faults = [parser.get_error(number) for number in range(parser.num_errors)]
        nodes = "; ".join(f"{fault.node_operator()} {fault.node_name()!r}: {fault.desc()}" for fault in faults)
        raise EngineError(f"TensorRT does not take the model: {nodes or log.take()}")
    return builder, network


def build(model: onnx.ModelProto, plan: Plan, timings: bytes = b"", progress: Progress | None = None) -> Built:
    """Builds a plan; with TensorRT-RTX also on a machine without a GPU.

    Args:
        model: its precision is written into it (`precision.py`).
        plan: the range of each input.
        timings: what earlier builds gave as such, of any device; none is too little.

    Raises:
        EngineError: an operator is not covered, the profile does not fit the inputs, or the builder failed.
    """
    trt, log = library(), Log()
    builder, network = parse(model, log)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, plan.workspace_mb << 20)
    config.add_optimization_profile(_profile(builder, network, plan))
    if progress is not None:
        config.progress_monitor = _monitor(progress)
    keeps_timings = (
        trt.__name__ == "tensorrt"
    )  # TensorRT-RTX chooses kernels on the user's machine, and times none here
    if keeps_timings and not config.set_timing_cache(config.create_timing_cache(timings), False):
        config.set_timing_cache(config.create_timing_cache(b""), False)  # they were another device's or version's
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise EngineError(f"TensorRT {trt.__version__} built no plan: {log.take()}")
    return Built(bytes(built), bytes(config.get_timing_cache().serialize()) if keeps_timings else b"")


def _profile(builder: Any, network: Any, plan: Plan) -> Any:
    profile = builder.create_optimization_profile()
    inputs = {network.get_input(i).name: tuple(network.get_input(i).shape) for i in range(network.num_inputs)}
    if inputs.keys() != plan.profile.keys():
        raise EngineError(f"plan.profile: expected the inputs {sorted(inputs)}, got {sorted(plan.profile)}")
    for name, shape in inputs.items():
        span = plan.profile[name]
        sizes = zip(shape, span.least, span.most, strict=False)
        if len(span.least) != len(shape) or any(size >= 0 and not size == low == high for size, low, high in sizes):
            raise EngineError(
                f"plan.profile: input {name!r}: expected {shape} (-1 is free), got {span.least}..{span.most}"
            )
        profile.set_shape(name, span.least, span.usual, span.most)
    return profile


def _monitor(progress: Progress) -> Any:
    trt = library()

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, _parent: str | None, steps: int) -> None:
            self._steps[phase] = steps
            progress(phase, 0, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            progress(phase, step + 1, self._steps[phase])
            return True

        def phase_finish(self, phase: str) -> None:
            progress(phase, self._steps[phase], self._steps[phase])

    return Monitor()
