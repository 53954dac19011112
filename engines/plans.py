"""Where plans lie, and which of them may be loaded.

A plan is good for one ONNX model, TensorRT, GPU, precision and profile: its key. It lies next to its model under a
name made of the key, with a record of the key and of its own SHA-256. A plan whose record says anything else is never
loaded but built again; two that want one plan at once build it once.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import onnx

from engines import EngineError
from engines.card import Plan, Precision, read_card
from engines.cuda import CudaDevice
from engines.files import sha256_of, write_whole
from engines.ort import OrtRuntime
from engines.parity import compare, draw_inputs, require_parity
from engines.plan_builder import Built, Progress, build
from engines.precision import precision_of, read_model
from engines.runtime import OpenEngine
from engines.trt import PlanRuntime, library

Builder = Callable[[onnx.ModelProto, Plan, bytes, Progress | None], Built]
PlanState = Literal["good", "foreign", "damaged"]


@dataclass(frozen=True, slots=True)
class Platform:
    """What a plan runs on; `gpu` and `capability` are empty for a plan built without a GPU."""

    library: str
    version: str
    gpu: str = ""
    capability: str = ""

    @classmethod
    def of(cls, device: CudaDevice | None) -> Platform:
        """The installed TensorRT with a device.

        Raises:
            EngineError: none is installed.
        """
        trt = library()
        here = cls(trt.__name__, trt.__version__)
        if device is None:
            return here
        return replace(here, gpu=device.name, capability="{}.{}".format(*device.capability))


@dataclass(frozen=True, slots=True)
class PlanKey:
    """All that a plan depends on; `onnx` is the model's SHA-256."""

    onnx: str
    platform: Platform
    precision: Precision
    plan: Plan

    def as_json(self) -> dict[str, Any]:
        platform, plan = asdict(self.platform), self.plan.model_dump(mode="json")
        return {"onnx": self.onnx, "platform": platform, "precision": self.precision, "plan": plan}

    @property
    def digest(self) -> str:
        return sha256_of(json.dumps(self.as_json(), sort_keys=True).encode())


def plan_key(model: Path, platform: Platform) -> PlanKey:
    """The key of the plan of an `.onnx` with its card.

    Raises:
        EngineError: the card is missing, is another file's, or has no profile.
    """
    card = read_card(model)
    content = model.read_bytes()
    sha256 = sha256_of(content)
    if sha256 != card.sha256:
        raise EngineError(f"{model}: expected SHA-256 {card.sha256} as its card says, got {sha256}; fetch it again")
    if card.plan is None:
        raise EngineError(f"{model}: its card has no plan with a profile, so it runs as .onnx only")
    found = precision_of(onnx.load_from_string(content))
    if found != card.precision:
        raise EngineError(f"{model}: expected {card.precision} as its card says, got {found}")
    return PlanKey(sha256, platform, card.precision, card.plan)


def plan_of(
    model: Path,
    platform: Platform,
    *,
    progress: Progress | None = None,
    builder: Builder = build,
) -> Path:
    """The plan of an `.onnx`, built if there is none that may be loaded.

    Args:
        builder: as `build.build`, which it is if nothing else is said.

    Raises:
        EngineError: no card, or the build failed.
    """
    key = plan_key(model, platform)
    plan = model.with_name(f"{model.stem}.{key.digest[:16]}.plan")
    if _state(plan, key) == "good":
        return plan
    with _locked(plan.with_suffix(".lock")):
        if _state(plan, key) == "good":  # built while we waited
            return plan
        began = time.monotonic()
        timings = model.with_suffix(".timings")
        known = timings.read_bytes() if timings.is_file() else b""
        built = builder(read_model(model), key.plan, known, progress)
        record = {
            "key": key.as_json(),
            "sha256": sha256_of(built.plan),
            "bytes": len(built.plan),
            "build_s": round(time.monotonic() - began, 3),
        }
        if built.timings:
            write_whole(timings, built.timings)
        write_whole(plan, built.plan)
        write_whole(_record(plan), json.dumps(record, indent=1).encode())
    return plan


def open_plan(model: Path, device: CudaDevice) -> OpenEngine:
    """The plan of an `.onnx`, built if need be, and seen to agree with it.

    Raises:
        EngineError: no TensorRT, no card, a failed build, or a plan that computes something else.
    """
    plan = plan_of(model, Platform.of(device))
    engine = OpenEngine(plan, PlanRuntime.open(plan, device))
    prove(plan, engine, model)
    return engine


def prove(plan: Path, engine: OpenEngine, model: Path) -> None:
    """Compares a plan with its model in ONNX Runtime, once: the largest differences go into its record.

    ONNX Runtime has no bfloat16, and int8 is judged by its gate: those are not compared.

    Raises:
        EngineError: they differ by more than the model's card allows. The plan is not loaded again.
    """
    record, card = json.loads(_record(plan).read_bytes()), read_card(model)
    if "parity" in record or card.precision not in ("fp32", "fp16"):
        return
    tolerance = card.tolerance.get(card.precision)
    if tolerance is None:
        raise EngineError(f"{model}: its card has no tolerance for {card.precision}")
    inputs = draw_inputs(engine.inputs, batches=(1,), shapes=card.usual_shapes)
    found = compare(engine, OpenEngine(model, OrtRuntime(model)), inputs, tolerance)
    try:
        require_parity(plan, found, tolerance)
    except EngineError:
        _record(plan).unlink(missing_ok=True)
        raise
    record["parity"] = {each.output: each.largest for each in found}
    write_whole(_record(plan), json.dumps(record, indent=1).encode())


def list_plans(model: Path, platform: Platform) -> Iterator[tuple[Path, PlanState]]:
    """The plans next to an `.onnx`, and whether each may be loaded here.

    `foreign` is a plan of another model, TensorRT, GPU, precision or profile.
    """
    key = plan_key(model, platform)
    for plan in sorted(model.parent.glob(f"{model.stem}.{'[0-9a-f]' * 16}.plan")):
        yield plan, _state(plan, key)


def _state(plan: Path, key: PlanKey) -> PlanState:
    """Damaged also, when it is not there at all."""
    try:
        record = json.loads(_record(plan).read_bytes())
        whole = sha256_of(plan.read_bytes()) == record["sha256"]
        foreign = record["key"] != key.as_json()
    except (OSError, ValueError, KeyError, TypeError):
        return "damaged"
    return "foreign" if foreign else "good" if whole else "damaged"


def _record(plan: Path) -> Path:
    return plan.with_suffix(".plan.json")


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Waits for whoever builds the same plan; the lock of a process that died is free."""
    try:
        lock = file.open("w")
    except OSError as error:
        raise EngineError(
            f"{file.parent}: plans lie next to their models, but it cannot be written: {error}"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
