"""Writes a model at another precision, with its card, if it holds what the card of the original asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx

from engines import ConfigError, Engine, EngineError, open_engine
from engines.card import Card, Int8Calibration, Judged, Precision, Target, read_card, write_card
from engines.files import sha256_of, write_whole
from engines.int8 import exact_here, quantise, quantise_within
from engines.ort import OrtRuntime
from engines.parity import compare, draw_inputs, require_parity
from engines.precision import read_model, with_precision
from engines.runtime import OpenEngine
from operators import Operator, find
from operators.detect.recall import inputs_of, recall
from operators.stills import read_labelled
from pipeline.config import config_folder


def write_at(precision: Precision, source: Path, *, target: Target = "cpu", pictures: Path | None = None) -> Path:
    """The model next to `source` that computes in a precision; its card says what it was made of.

    Args:
        target: of int8: what it is for. For the CPU it has no plan, for TensorRT it is slow on the CPU.
        pictures: of int8: a labelled set to calibrate with and to judge on. Without it,
            ranges for the CPU are used that are shipped, with what they were judged at.

    Raises:
        ConfigError: int8 is asked for without pictures, and no ranges are shipped.
        EngineError: no card, a model that cannot be rewritten, or one that does not hold its tolerance or gate.
    """
    card, model = read_card(source), read_model(source)
    change: dict[str, object] = {"precision": precision, "made_from": card.sha256, "calibration": None}
    name = f".{precision}.onnx"
    if precision == "int8":
        if card.calibration is None:
            raise EngineError(f"{source}: its card has no calibration with a gate, so it is not quantised")
        made, judged = _quantised(model, source, card.calibration, target, pictures)
        change["calibration"] = card.calibration.model_copy(update={"judged": judged})
        change["metrics"] = {**card.metrics, card.calibration.gate.metric: judged.int8}
        if target == "cpu":
            change["plan"] = None
        else:
            name = f".{precision}-{target}.onnx"
    else:
        made = with_precision(model, precision)
    content = made.SerializeToString()
    if precision == "fp16":  # what ONNX Runtime can run as well as the original; bfloat16 it cannot
        _hold_to_tolerance(card, precision, open_engine(source), OpenEngine(f"{source} in fp16", OrtRuntime(content)))
    written = source.with_suffix(name)
    write_whole(written, content)
    write_card(written, card.model_copy(update={**change, "sha256": sha256_of(content)}))
    return written


def _hold_to_tolerance(card: Card, precision: Precision, one: OpenEngine, other: OpenEngine) -> None:
    """Refuses an engine that differs by more than the card of the first allows at a precision.

    Raises:
        EngineError: it does, or the card has no tolerance for that precision.
    """
    if precision not in card.tolerance:
        raise EngineError(f"{card.name}: its card has no tolerance for {precision}")
    tolerance = card.tolerance[precision]
    found = compare(one, other, draw_inputs(one.inputs, shapes=card.usual_shapes), tolerance)
    require_parity(f"{card.name} in {precision}", found, tolerance)


def _quantised(
    model: onnx.ModelProto, source: Path, calibration: Int8Calibration, target: Target, pictures: Path | None
) -> tuple[onnx.ModelProto, Judged]:
    gate = calibration.gate
    if pictures is None:
        ranges = config_folder() / "ranges" / f"{source.stem}.json"
        if target != "cpu" or calibration.judged is None or not ranges.is_file():
            raise ConfigError(
                f"--pictures: expected the folder of {calibration.data!r}, to calibrate with and judge on"
            )
        if not exact_here():
            raise EngineError(
                "int8 is refused: this CPU has no VNNI, so what it computes was not judged; judge it here by --pictures"
            )
        gate.require(calibration.judged)
        return quantise(model, (), target=target, ranges=ranges), calibration.judged
    detector: Callable[[Engine], Operator] = find(calibration.operator)
    labelled = read_labelled(pictures)
    used, unseen = labelled[0::2], labelled[1::2]
    chosen = used[:: max(1, len(used) // calibration.images)][: calibration.images]
    ranges = source.with_suffix(".ranges.json")
    ranges.unlink(missing_ok=True)

    def measure(engine: Engine) -> float:
        return recall(detector, engine, unseen)

    return quantise_within(gate, measure, model, inputs_of(detector, chosen), target=target, ranges=ranges)
