"""How much of a TFLite file LiteRT's GPU delegate takes: by its rules, written down here, so that no GPU is needed.

A delegate splits a graph into groups of operations that it knows and can run at a time, and LiteRT's takes the group of
the most operations; all others stay on the CPU. The rules are those of LiteRT 2.3 (ml_drift_delegate/tflite/
model_builder.cc, tflite/tools/versioning/gpu_compatibility.cc) for the operations that our files have; one that is not
in `KNOWN` counts as refused. tests/export/test_gpu.py holds them against the delegate; see docs/decisions/0042.
"""

import dataclasses
import math
from typing import Any

from ai_edge_litert.tools import flatbuffer_utils

from . import convert, report

_COMPARE = {"EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL"}
_BROADCAST = {"ADD", "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "MUL", "POW", "SQUARED_DIFFERENCE", "SUB"}
_BROADCAST |= _COMPARE
_LOGICAL = {"LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR"}
# Of numbers of any kind; the others in `KNOWN` compute in floating point, and these in int32 too.
_ANY = {
    "CAST", "CONCATENATION", "GATHER", "PACK", "PAD", "PADV2", "RESHAPE", "SELECT", "SELECT_V2", "SLICE",
    "STRIDED_SLICE", "TRANSPOSE",
}  # fmt: skip
_INTEGERS = {
    "ABS", "ADD", "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "MUL", "NEG", "REDUCE_MAX", "REDUCE_MIN",
    "SUB", "SUM", "TILE",
}  # fmt: skip
KNOWN = _BROADCAST | _LOGICAL | _ANY | _INTEGERS | {
    "ARG_MAX", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CEIL", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "EXP", "FLOOR",
    "FULLY_CONNECTED", "HARD_SWISH", "LOG", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MIRROR_PAD", "QUANTIZE", "REDUCE_ALL",
    "REDUCE_ANY", "RELU", "RELU6", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SOFTMAX", "SPLIT", "SPLIT_V",
    "SQRT", "SQUARE", "TANH", "TOPK_V2", "TRANSPOSE_CONV", "UNPACK",
}  # fmt: skip
_FLOATS = {"FLOAT32", "FLOAT16", "BOOL", "INT8", "UINT8"}  # int8 is computed in floating point.
_WHOLE = {"INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32"}
_HALF = "a float16 constant, which the GPU reads itself"
# The highest versions of operations that a file may exceed: all of a kind have that of the most demanding one.
_VERSIONS = {"FLOOR_DIV": 3, "RESHAPE": 1, "SELECT": 1, "SELECT_V2": 1, "STRIDED_SLICE": 2, "SUB": 2, "TOPK_V2": 1}
_VERSIONS |= dict.fromkeys(_COMPARE, 2)


@dataclasses.dataclass(frozen=True)
class _Operand:
    """A tensor of an operation."""

    shape: tuple[int, ...]
    kind: str  # as FLOAT32
    constant: bool


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation of a file, as the rules see it.

    Attributes:
        products: multiply-adds; 0 of what has no weights and is no matrix product.
        refused: why the delegate does not take it; empty if it does.
    """

    name: str
    layer: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    products: int
    refused: str


def describe(content: bytes) -> dict:
    """What of a TFLite file runs on the GPU: `operations` `of` all, the share of `multiply_adds`, `fixed`, `refused`.

    Those of loops count too, once. `refused` are the operations that the delegate does not take, from the first layer
    with weights on, in the file's order: `operation`, `layer`, `reason`. `fixed` is whether all sizes are fixed; if
    not, no GPU takes the file.
    """
    model = convert.parsed(content)
    graphs = [operations(model, graph) for graph in model.subgraphs]
    fixed = not any(_varies(graph) for graph in model.subgraphs)
    taken = [found[i] for found in graphs for i in largest(found)] if fixed else []
    every = [one for found in graphs for one in found]
    products = sum(one.products for one in every)
    start = next((i for i, one in enumerate(every) if one.products), 0)
    refused = [one for one in every[start:] if one.refused]
    return {
        "operations": len(taken),
        "of": len(every),
        "multiply_adds": round(sum(one.products for one in taken) / products, 4) if products else 0.0,
        "fixed": fixed,
        "refused": [{"operation": one.name, "layer": one.layer, "reason": one.refused} for one in refused],
    }


def text(described: dict) -> str:
    """The line for people."""
    if not described["fixed"]:
        return "GPU: nothing, for sizes of tensors depend on values"
    line = f"GPU: {described['operations']} of {described['of']} operations, "
    line += f"{described['multiply_adds']:.0%} of the multiply-adds"
    if not described["refused"]:
        return line
    first = described["refused"][0]
    return f"{line}; the first that it refuses is {first['operation']} in {first['layer']} ({first['reason']})"


def operations(model: Any, graph: Any) -> list[Operation]:
    """The operations of a subgraph of a `convert.parsed` model, in their order."""
    found = []
    halves = {}  # float32 tensors that are float16 constants, which the delegate reads itself
    for number, (name, one) in enumerate(report.operations(model, graph)):
        operands = [_operand(model, graph.tensors[halves.get(i, i)]) for i in one.inputs if i >= 0]
        results = [_operand(model, graph.tensors[i]) for i in one.outputs]
        version = model.operatorCodes[one.opcodeIndex].version
        reason = _refusal(name, version, operands, results, one.builtinOptions)
        if name in _BROADCAST - {"ADD", "MUL"} and one.inputs[0] == one.inputs[1]:
            reason = "the same input twice"
        if name == "DEQUANTIZE" and operands[0].constant and operands[0].kind == "FLOAT16":
            halves[one.outputs[0]] = one.inputs[0]
            reason = _HALF
        products = _products(name, operands, results)
        layer = report.layer(report.output_name(graph, one)) if len(one.outputs) else str(number)
        found.append(Operation(name, layer, tuple(one.inputs), tuple(one.outputs), products, reason))
    return found


def largest(found: list[Operation]) -> list[int]:
    """Places of the operations of the largest group that the GPU can run at a time, the first of equal ones.

    A group is grown from the first operation whose inputs are there, by all that can follow with the same answer: taken
    or refused. That is how TensorFlow Lite divides a graph among its delegates.
    """
    missing = {i for one in found for i in one.outputs}
    left, best = [*range(len(found))], []
    while left:
        group: list[int] = []
        for i in left:
            there = missing.isdisjoint(found[i].inputs)
            if there and (not group or bool(found[i].refused) == bool(found[group[0]].refused)):
                group.append(i)
                missing -= {*found[i].outputs}
        left = [i for i in left if i not in {*group}]
        if not found[group[0]].refused and len(group) > len(best):
            best = group
    halves = [i for i, one in enumerate(found) if one.refused == _HALF]
    whole = len(best) + len(halves) == len(found)
    return sorted(best + halves) if whole else best


def _varies(graph) -> bool:
    """Whether a tensor of a subgraph has a size that depends on values."""
    return any(tensor.shapeSignature is not None and -1 in tensor.shapeSignature for tensor in graph.tensors)


def _operand(model, tensor) -> _Operand:
    data = model.buffers[tensor.buffer].data
    shape = () if tensor.shape is None else tuple(int(side) for side in tensor.shape)
    return _Operand(shape, flatbuffer_utils.type_to_name(tensor.type), data is not None and len(data) > 0)


def _refusal(name, version, inputs, outputs, options) -> str:
    """Why the delegate does not take an operation; empty if it does."""
    if name not in KNOWN:
        return "the GPU has none"
    if version > _VERSIONS.get(name, version):
        return f"version {version}"
    if any(len(one.shape) > 4 for one in (*inputs, *outputs)):
        return "five dimensions"
    own = _own_rule(name, inputs, outputs, options)
    if own:
        return own
    kinds = _kinds(name)
    strangers = {one.kind for one in inputs if not one.constant} - kinds[0] | {one.kind for one in outputs} - kinds[1]
    return f"numbers in {', '.join(sorted(strangers)).lower()}" if strangers else ""


def _kinds(name) -> tuple[set[str], set[str]]:
    """Types of numbers that an operation may read and write."""
    if name == "ARG_MAX":
        return _FLOATS, {"INT32"}
    if name in _LOGICAL | {"REDUCE_ALL", "REDUCE_ANY"}:
        return {"BOOL"}, {"BOOL"}
    if name in _COMPARE:
        return _FLOATS | _WHOLE, _FLOATS
    if name in _ANY:
        return _FLOATS | _WHOLE, _FLOATS | _WHOLE
    if name in _INTEGERS:
        return _FLOATS | {"INT32"}, _FLOATS | {"INT32"}
    return _FLOATS, _FLOATS | {"INT32"} if name == "TOPK_V2" else _FLOATS


def _own_rule(name, inputs, outputs, options) -> str:
    """What an operation's own rule has against its operands; empty if nothing."""
    runtime = [one for one in inputs if not one.constant]
    if name in _BROADCAST and len(runtime) == 2:
        ranks = {len(one.shape) for one in runtime}
        if len(ranks) > 1 and 0 in ranks:
            return "a computed number without dimensions"
    if name == "GATHER" and len(inputs[1].shape) != 1:
        return "indices of more than one dimension"
    stretched = any(one.shape != outputs[0].shape and math.prod(one.shape) > 1 for one in inputs[1:])
    if name in ("SELECT", "SELECT_V2") and stretched:
        return "values that are broadcast"
    if name == "STRIDED_SLICE" and options.shrinkAxisMask | options.newAxisMask | options.ellipsisMask:
        return "a slice that changes the number of dimensions"
    if name in ("PAD", "PADV2") and inputs[1].shape[0] not in (3, 4):
        return f"{inputs[1].shape[0]} dimensions"
    if name == "SOFTMAX" and options.beta != 1:
        return f"beta {options.beta:g}"
    return ""


def _products(name, inputs, outputs) -> int:
    """Multiply-adds of an operation with weights, or of a matrix product."""
    if name not in (*report.WITH_WEIGHTS, "BATCH_MATMUL"):
        return 0
    if name == "TRANSPOSE_CONV":  # shape of the output, kernel [C', K, K, C], input [B, H, W, C]
        return math.prod(inputs[2].shape) * math.prod(inputs[1].shape[:3])
    if name == "BATCH_MATMUL":
        return math.prod(outputs[0].shape) * inputs[0].shape[-1]
    each = inputs[report.KERNEL].shape[1:3] if name == "DEPTHWISE_CONV_2D" else inputs[report.KERNEL].shape[1:]
    return math.prod(outputs[0].shape) * math.prod(each)
