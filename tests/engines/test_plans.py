from __future__ import annotations

import json
import multiprocessing
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import onnx
import pytest

from engines import EngineError, open_engine
from engines.card import Plan, Range, read_card, write_card
from engines.cuda import CudaDevice
from engines.ort import OrtRuntime
from engines.plan_builder import Built, Progress
from engines.plans import Platform, list_plans, plan_key, plan_of, prove
from engines.runtime import OpenEngine
from tests.engines.small_network import small_model, write_onnx

HERE = Platform("tensorrt", "10.1", "A GPU", "8.9")


class CountingBuilder:
    """Builds a text that says which build it is."""

    def __init__(self) -> None:
        self.built = 0
        self.timings: list[bytes] = []

    def __call__(self, model: onnx.ModelProto, _plan: Plan, timings: bytes, _progress: Progress | None) -> Built:
        self.built += 1
        self.timings.append(timings)
        return Built(f"plan {self.built} of {model.graph.name}".encode(), timings + b"t")


def test_a_plan_is_built_once(tmp_path: Path) -> None:
    model, builder = write_onnx(tmp_path), CountingBuilder()

    plans = [plan_of(model, HERE, builder=builder) for _ in range(2)]

    assert plans[0] == plans[1]
    assert plans[0].read_bytes() == b"plan 1 of small"
    assert builder.built == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(HERE, version="10.2"),
        replace(HERE, library="tensorrt_rtx"),
        replace(HERE, gpu="Another GPU"),
        replace(HERE, capability="9.0"),
    ],
    ids=["version", "library", "gpu", "capability"],
)
def test_another_platform_has_another_plan(tmp_path: Path, other: Platform) -> None:
    model, builder = write_onnx(tmp_path), CountingBuilder()

    plans = {plan_of(model, platform, builder=builder) for platform in (HERE, other, HERE)}

    assert len(plans) == builder.built == 2
    assert sorted(state for _, state in list_plans(model, HERE)) == ["foreign", "good"]


def test_the_key_knows_model_precision_and_profile(tmp_path: Path) -> None:
    model = write_onnx(tmp_path)
    first = plan_key(model, HERE)

    wider = Plan(profile={name: Range(least=(1, 3), usual=(2, 3), most=(8, 3)) for name in ("a", "b")}, workspace_mb=16)
    write_onnx(tmp_path, plan=wider)
    second = plan_key(model, HERE)
    changed = small_model()
    changed.graph.initializer[0].float_data[0] = 3
    write_onnx(tmp_path, changed)
    third = plan_key(model, HERE)

    assert len({key.digest for key in (first, second, third)}) == 3
    assert first.precision == "fp32"


def test_the_same_file_at_another_precision_has_another_key(tmp_path: Path) -> None:
    """Which the card alone says: a card that was wrong, and was mended, must not keep the plan of before."""
    key = plan_key(write_onnx(tmp_path), HERE)

    assert replace(key, precision="fp16").digest != key.digest


@dataclass(frozen=True)
class DrawnGpu:
    """What is asked of a GPU."""

    name: str = "A GPU"
    capability: tuple[int, int] = (8, 9)


def test_a_platform_is_the_library_with_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = SimpleNamespace(__name__="tensorrt", __version__="10.1")
    monkeypatch.setattr("engines.plans.library", lambda: installed)

    assert Platform.of(cast(CudaDevice, DrawnGpu())) == HERE
    assert Platform.of(None) == Platform("tensorrt", "10.1")


@pytest.mark.parametrize("harm", ["cut", "other bytes", "no record", "broken record", "foreign record"])
def test_a_damaged_plan_is_built_again(tmp_path: Path, harm: str) -> None:
    model, builder = write_onnx(tmp_path), CountingBuilder()
    plan = plan_of(model, HERE, builder=builder)
    record = plan.with_suffix(".plan.json")
    if harm == "cut":
        plan.write_bytes(plan.read_bytes()[:-1])
    elif harm == "other bytes":
        plan.write_bytes(b"PLAN 1 of small")
    elif harm == "no record":
        record.unlink()
    elif harm == "broken record":
        record.write_text("{")
    else:
        record.write_text(record.read_text().replace("10.1", "9.9"))

    again = plan_of(model, HERE, builder=builder)

    assert again == plan
    assert again.read_bytes() == b"plan 2 of small"
    assert [state for _, state in list_plans(model, HERE)] == ["good"]


def test_timings_are_handed_on(tmp_path: Path) -> None:
    model, builder = write_onnx(tmp_path), CountingBuilder()

    for version in ("1", "2", "3"):
        plan_of(model, replace(HERE, version=version), builder=builder)

    assert builder.timings == [b"", b"t", b"tt"]


def slow_builder(_model: onnx.ModelProto, _plan: Plan, _timings: bytes, _progress: Progress | None) -> Built:
    time.sleep(0.2)
    return Built(str(time.monotonic_ns()).encode())


def build_slowly(model: Path, answers: multiprocessing.Queue[bytes]) -> None:
    answers.put(plan_of(model, HERE, builder=slow_builder).read_bytes())


def test_two_builders_build_once(tmp_path: Path) -> None:
    model = write_onnx(tmp_path)
    spawn = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[bytes] = spawn.Queue()
    builders = [spawn.Process(target=build_slowly, args=(model, answers)) for _ in range(2)]

    for process in builders:
        process.start()
    seen = {answers.get(timeout=50) for _ in builders}
    for process in builders:
        process.join()

    assert len(seen) == 1


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    model = write_onnx(tmp_path)

    def fails(*_: object) -> Built:
        raise EngineError("out of memory")

    with pytest.raises(EngineError, match="out of memory"):
        plan_of(model, HERE, builder=fails)

    assert not list(tmp_path.glob("*.plan*"))


def test_a_plan_is_compared_with_its_model_once(tmp_path: Path) -> None:
    model = write_onnx(tmp_path)
    plan = plan_of(model, HERE, builder=CountingBuilder())
    other = small_model()
    other.graph.initializer[0].float_data[0] = 3
    apart = OpenEngine("other", OrtRuntime(other.SerializeToString()))

    prove(plan, open_engine(model), model)
    prove(plan, apart, model)

    assert json.loads(plan.with_suffix(".plan.json").read_bytes())["parity"] == {"sum": 0, "moved": 0}
    assert [state for _, state in list_plans(model, HERE)] == ["good"]


def test_a_plan_that_computes_something_else_is_not_loaded_again(tmp_path: Path) -> None:
    model = write_onnx(tmp_path)
    plan = plan_of(model, HERE, builder=CountingBuilder())
    other = small_model()
    other.graph.initializer[0].float_data[0] = 3
    apart = OpenEngine("other", OrtRuntime(other.SerializeToString()))

    with pytest.raises(EngineError, match=r"\.plan is refused: expected outputs within .* got 'moved'"):
        prove(plan, apart, model)

    assert [state for _, state in list_plans(model, HERE)] == ["damaged"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    model = write_onnx(tmp_path)
    key = plan_key(model, HERE).digest[:16]
    (tmp_path / f"small.{key}.lock").mkdir()

    with pytest.raises(EngineError, match="it cannot be written"):
        plan_of(model, HERE, builder=CountingBuilder())


def test_no_plan_without_its_card(tmp_path: Path) -> None:
    model = write_onnx(tmp_path)
    model.with_suffix(".json").unlink()

    with pytest.raises(EngineError, match=r"small\.onnx: no card; expected .*small\.json"):
        plan_of(model, HERE, builder=CountingBuilder())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param({"sha256": "0" * 64}, "expected SHA-256 0{64} as its card says", id="other file"),
        pytest.param({"plan": None}, "its card has no plan", id="no profile"),
        pytest.param({"precision": "fp16"}, "expected fp16 as its card says, got fp32", id="precision"),
    ],
)
def test_a_card_that_is_not_the_models(tmp_path: Path, change: dict[str, object], complaint: str) -> None:
    model = write_onnx(tmp_path)
    write_card(model, read_card(model).model_copy(update=change))

    with pytest.raises(EngineError, match=complaint):
        plan_of(model, HERE, builder=CountingBuilder())


def test_a_broken_card_says_where(tmp_path: Path) -> None:
    model = write_onnx(tmp_path)
    model.with_suffix(".json").write_text(read_card(model).model_dump_json().replace('"most":[4,3]', '"most":[0,3]'))

    with pytest.raises(EngineError, match=r"small\.json: plan\.profile\.a\.most\.0: expected .* at least 1, got 0"):
        read_card(model)


def test_without_a_gpu_a_plan_says_so(tmp_path: Path) -> None:
    model = write_onnx(tmp_path)
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is a GPU")

    with pytest.raises(EngineError, match=r"no CUDA.*use the \.onnx"):
        open_engine(model.with_suffix(".plan"))
