"""Writes a precision into an ONNX model: what the builders of TensorRT are given, since they cannot be asked for one.

Inputs and outputs keep their types, so that an engine is called the same way at any precision. Not here: int8, which
needs calibration (`int8.py`).
"""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper, version_converter
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from engines import EngineError
from engines.card import Precision

BFLOAT16_OPSET = 22
"""The first in which convolutions may be bfloat16."""
NO_BFLOAT16 = ("ConvTranspose",)
"""Operators that TensorRT cannot run in bfloat16; they stay float32."""


def read_model(path: Path) -> onnx.ModelProto:
    """An ONNX model in the form that builders and quantisers agree on.

    Free axes have names, for TensorRT reads nameless ones as 0. Initialisers are not inputs too, for those could be
    overridden and are no constants; what is not used is left out.

    Raises:
        EngineError: it is no ONNX model.
    """
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError) as error:
        raise EngineError(f"{path}: not an ONNX model ({error}); fetch or export it again") from error
    return _plain(model)


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 4)  # below, initialisers have to be inputs
    for value in (*graph.input, *graph.output):
        for number, axis in enumerate(value.type.tensor_type.shape.dim):
            if not axis.dim_value and not axis.dim_param:
                axis.dim_param = "batch" if number == 0 else f"{value.name}_{number}"
    OnnxModel(model).update_graph()
    return model


def with_precision(model: onnx.ModelProto, precision: Precision) -> onnx.ModelProto:
    """A copy of a float32 model that computes in another precision between its inputs and outputs.

    Raises:
        EngineError: the model is not float32, or int8 is asked of one that was not quantised.
    """
    found = precision_of(model)
    if precision == found:
        return model
    if found != "fp32" or precision == "int8":
        raise EngineError(
            f"expected a float32 model to write {precision} into, got {found}"
            + ("; quantise it first: `facewarden engines build MODEL --precision int8`" if precision == "int8" else "")
        )
    original = onnx.ModelProto()
    original.CopyFrom(model if precision == "fp16" else at_opset(model, BFLOAT16_OPSET))
    kept = [*DEFAULT_OP_BLOCK_LIST, *(NO_BFLOAT16 if precision == "bf16" else ())]
    half: onnx.ModelProto = convert_float_to_float16(original, keep_io_types=True, op_block_list=kept)
    if precision == "bf16":
        _to_bfloat16(half.graph, {tensor.name: tensor for tensor in model.graph.initializer})
    OnnxModel(half).topological_sort()
    return half


def at_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The same model at an opset, if it is below.

    Raises:
        EngineError: an operator cannot be converted.

    >>> model = onnx.ModelProto(opset_import=[onnx.helper.make_opsetid("", 17)])
    >>> at_opset(model, 13) is model
    True
    """
    if any(each.version >= opset for each in model.opset_import if each.domain in ("", "ai.onnx")):
        return model
    try:
        return version_converter.convert_version(model, opset)
    except (RuntimeError, ValueError) as error:
        raise EngineError(
            f"cannot be brought from opset {model.opset_import[0].version} to {opset}: {error}"
        ) from error


def _to_bfloat16(graph: onnx.GraphProto, weights: dict[str, TensorProto]) -> None:
    """Turns every float16 into bfloat16; weights are rounded once, from float32, for float16 has not their range."""
    for tensor in graph.initializer:
        _round(tensor, weights.get(tensor.name, tensor))
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.BFLOAT16
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.BFLOAT16
            elif attribute.type == onnx.AttributeProto.TENSOR:
                _round(attribute.t, attribute.t)
            elif attribute.type == onnx.AttributeProto.GRAPH:
                _to_bfloat16(attribute.g, weights)


def _round(tensor: TensorProto, source: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        values = numpy_helper.to_array(source).astype("float32")
        tensor.CopyFrom(
            onnx.helper.make_tensor(tensor.name, TensorProto.BFLOAT16, values.shape, values.reshape(-1).tolist())
        )


def precision_of(model: onnx.ModelProto) -> Precision:
    """What a model computes in, read from its nodes and weights.

    >>> model = onnx.ModelProto()
    >>> weight = model.graph.initializer.add(data_type=TensorProto.FLOAT16)
    >>> precision_of(onnx.ModelProto()), precision_of(model)
    ('fp32', 'fp16')
    """
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return "int8"
    types = {tensor.data_type for tensor in model.graph.initializer}
    types |= {a.i for node in model.graph.node if node.op_type == "Cast" for a in node.attribute if a.name == "to"}
    if TensorProto.BFLOAT16 in types:
        return "bf16"
    return "fp16" if TensorProto.FLOAT16 in types else "fp32"
