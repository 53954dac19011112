"""Static int8: ranges are taken from calibration inputs, and the result is accepted only when its gate holds.

Quantised are convolutions and what lies between them, weights with one scale per output channel, as pairs of
QuantizeLinear and DequantizeLinear (QDQ) around float operators. ONNX Runtime fuses these into int8 kernels, TensorRT
reads them as its order to do so.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from engines import Engine, EngineError
from engines.card import Gate, Judged, Target
from engines.ort import OrtRuntime
from engines.precision import at_opset, precision_of
from engines.runtime import OpenEngine

Feeds = Iterable[Mapping[str, NDArray[Any]]]
Measure = Callable[[Engine], float]
"""A figure of an engine at its purpose, higher is better; whoever asks for int8 knows how to take it."""

OPSET = 17
"""Scales per channel need 13; the converter is good up to here for all that we have met."""
EXACT = frozenset({"avx512_vnni", "avx_vnni", "asimddp"})
"""Flags of CPUs that sum int8 products in 32 bits; others saturate at 16. Weights of 7 bits would not, but with them
CenterFace loses 0.9 points of recall everywhere."""
OPERATORS = ("Conv", "Relu", "Add", "MaxPool", "MatMul", "Gemm")


def exact_here(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether int8 gives on this CPU what it gives on others, so that what was judged elsewhere holds."""
    try:
        return not EXACT.isdisjoint(cpuinfo.read_text().split())
    except OSError:
        return platform.machine() == "arm64"


class _FeedReader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Feeds) -> None:
        self._feeds: Iterator[Mapping[str, NDArray[Any]]] = iter(feeds)

    def get_next(self) -> Mapping[str, NDArray[Any]] | None:
        return next(self._feeds, None)


def quantise(
    model: onnx.ModelProto, feeds: Feeds, *, target: Target = "cpu", ranges: Path | None = None
) -> onnx.ModelProto:
    """A float32 model in int8, not judged yet.

    Args:
        feeds: inputs as they occur. A tensor's range is the average of its smallest and largest values in them: taken
            over all, a few outliers made it so wide that CenterFace lost 0.7 points of recall, instead of 0.2.
        target: `cpu` has unsigned activations, which its int8 kernels want; `tensorrt` signed and symmetric ones,
            and biases left in float: it takes no others.
        ranges: a file of ranges: read if it is there, and then no feeds are asked for; else written.

    Raises:
        EngineError: the model is not float32, or the feeds do not fit it.
    """
    if precision_of(model) != "fp32":
        raise EngineError(f"expected a float32 model to quantise, got {precision_of(model)}")
    wide = target == "cpu"
    with tempfile.TemporaryDirectory(prefix="facewarden-int8-") as folder:
        plain, done = str(Path(folder, "plain.onnx")), str(Path(folder, "int8.onnx"))
        onnx.save(at_opset(model, OPSET), plain)
        quant_pre_process(plain, plain, skip_symbolic_shape=True)
        try:
            quantize_static(
                plain,
                done,
                _FeedReader(feeds),
                calibration_cache_path=ranges,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                per_channel=True,
                activation_type=QuantType.QUInt8 if wide else QuantType.QInt8,
                weight_type=QuantType.QInt8,
                extra_options={"CalibMovingAverage": True, "ActivationSymmetric": not wide, "QuantizeBias": wide},
            )
        except ValueError as error:
            raise EngineError(f"cannot be calibrated: {error}") from error
        return onnx.load(done)


def quantise_within(
    gate: Gate,
    measure: Measure,
    model: onnx.ModelProto,
    feeds: Feeds,
    *,
    target: Target = "cpu",
    ranges: Path | None = None,
) -> tuple[onnx.ModelProto, Judged]:
    """A float32 model in int8, if that costs no more of the metric than the gate allows.

    Args:
        measure: takes the metric of the gate; called with the float32 engine and with the int8 one, on the CPU.
        model, feeds, target, ranges: as of `quantise`.

    Raises:
        EngineError: it costs more; the message has both figures.
    """
    small = quantise(model, feeds, target=target, ranges=ranges)
    judged = Judged(fp32=measure(_opened(model)), int8=measure(_opened(small)))
    gate.require(judged)
    return small, judged


def _opened(model: onnx.ModelProto) -> OpenEngine:
    return OpenEngine("calibrated model", OrtRuntime(model.SerializeToString(), threads=len(os.sched_getaffinity(0))))
