"""What is in a TFLite file: its operations and their types, its size, what stayed float, and what eight bits cost."""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils

from .convert import SIGNATURE, parsed

WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
KERNEL = 1  # the place of the weights among the inputs of these
SHOWN = 10


def describe(content: bytes, plain: bytes, stays_float: Callable[[str], str] | None = None) -> dict:
    """The report, for JSON, of a TFLite file that was made of a plain float32 one.

    `operations` counts by name and by what they compute in: int8, dynamic (int8 weights, inputs as they come), float16
    weights, float32, or other; those in loops too. `float_fallbacks` of an int8 file are the layers with weights that
    are float32, with the reason; `float_others` counts the float32 operations without weights.

    Args:
        stays_float: the reason why an operation with an output of some name is float32, empty if none.
    """
    model = parsed(content)
    counts: dict[str, Counter] = {}
    fallbacks, others = {}, 0
    for graph in model.subgraphs:
        halves = _halves(graph, model)
        for name, operation in operations(model, graph):
            kind = _kind(graph, operation, name, halves)
            counts.setdefault(name, Counter())[kind] += 1
            if kind != "float32" or not stays_float:
                continue
            if name in WITH_WEIGHTS:
                output = output_name(graph, operation)
                fallbacks[layer(output)] = stays_float(output) or "the quantizer left it so"
            else:
                others += 1
    return {
        "bytes": len(content),
        "share_of_float32": round(len(content) / len(plain), 4),
        "operations": {name: dict(counts[name]) for name in sorted(counts)},
        "types": dict(sum(counts.values(), Counter())),
        "float_fallbacks": fallbacks,
        "float_others": others,
    }


def costs(content: bytes, plain: bytes, inputs: list[dict[str, np.ndarray]]) -> list[dict]:
    """What rounding to int8 costs in each layer on some inputs, worst first: `layer`, `activation`, `weights`, `sqnr`.

    `activation` is the error of a layer's output alone, from its true value to the nearest of its 256 steps, `weights`
    that of its kernel: both as the root of mean squares, over that of the value. `sqnr` (decibels) is of both together.
    Of a layer that sees several maps it is the worst, and of one in a loop the last time.
    """
    model, whole = parsed(content), parsed(plain)
    found: list[dict] = []
    activations: list[tuple] = []
    for number, (graph, before) in enumerate(zip(model.subgraphs, whole.subgraphs, strict=True)):
        constants = {tensor.name: tensor for tensor in before.tensors if whole.buffers[tensor.buffer].data is not None}
        # Names are not unique; of those that operations compute they are.
        place = {before.tensors[i].name: i for operation in before.operators for i in operation.outputs}
        for name, operation in operations(model, graph):
            output = graph.tensors[operation.outputs[0]] if len(operation.outputs) else None
            if name not in WITH_WEIGHTS or output is None or output.type != schema.TensorType.INT8:
                continue
            kernel = graph.tensors[operation.inputs[KERNEL]]
            true = constants.get(kernel.name)
            error = 0.0 if true is None else _relative(_values(true, whole), _values(kernel, model))
            found.append({"layer": layer(output.name.decode()), "activation": 0.0, "weights": error})
            if output.name in place:
                activations.append((found[-1], (place[output.name], number), output.quantization))
    # A delegate keeps what is between its operations for itself.
    interpreter = Interpreter(
        model_content=plain,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    runner = interpreter.get_signature_runner(SIGNATURE)
    for each in inputs:
        runner(**each)
        for one, where, quantization in activations:
            value = interpreter.get_tensor(*where)
            one["activation"] += _relative(value, _rounded(value, quantization)) / len(inputs)
    return worst(found)


def worst(found: list[dict]) -> list[dict]:
    """The costs with the lowest `sqnr` of each layer, worst first; `found` are `layer`, `activation` and `weights`."""
    rows = []
    for one in found:
        noise = one["activation"] ** 2 + one["weights"] ** 2
        rounded = {name: round(float(one[name]), 5) for name in ("activation", "weights")}
        rows.append({**one, **rounded, "sqnr": round(-10 * float(np.log10(max(noise, 1e-12))), 1)})
    by_layer: dict[str, dict] = {}
    for row in sorted(rows, key=lambda row: row["sqnr"]):
        by_layer.setdefault(row["layer"], row)
    return list(by_layer.values())


def operations(model, graph) -> Iterator[tuple]:
    """Yields the name, as CONV_2D, and the operation of each operation in a subgraph of a `convert.parsed` model."""
    for operation in graph.operators:
        yield flatbuffer_utils.opcode_to_name(model, operation.opcodeIndex), operation


def with_floats(model) -> list[str]:
    """What computes in floats in a `convert.parsed` model, once each, as RSQRT in classifier/backbone/norm."""
    found = {
        f"{name} in {layer(output_name(graph, operation))}": name
        for graph in model.subgraphs
        for name, operation in operations(model, graph)
        if any(_type(graph.tensors[i]).startswith("float") for i in (*operation.inputs, *operation.outputs) if i >= 0)
    }
    # These stand around the others.
    return [one for one, name in found.items() if name not in ("QUANTIZE", "DEQUANTIZE")] or [*found]


def output_name(graph, operation) -> str:
    """The name of an operation's first output, as detector_1/backbone_1/res2_1/block1_1/conv1_1/Conv2D."""
    return graph.tensors[operation.outputs[0]].name.decode()


def layer(output: str) -> str:
    """The layer of an operation with an output of that name, as detector/backbone/res2/block1/conv1."""
    parts = output.split(";")[0].split("/")[:-1]
    return "/".join(part.rpartition("_")[0] if part.rpartition("_")[2].isdigit() else part for part in parts) or output


def text(report: dict) -> str:
    """The report for people."""
    kinds = sorted(report["types"], key=lambda kind: -report["types"][kind])
    width = max(len(name) for name in report["operations"])

    def line(name, counts):
        return f"{name:{width}}  " + "  ".join(f"{counts.get(kind, 0) or '':>8}" for kind in kinds)

    lines = [f"{report['bytes'] / 1e6:.2f} MB, {report['share_of_float32']:.0%} of float32"]
    lines += [line("operation", {kind: kind for kind in kinds})]
    lines += [line(*one) for one in sorted(report["operations"].items(), key=lambda one: -sum(one[1].values()))]
    lines += [line("together", report["types"])]
    if report["float_fallbacks"]:
        lines.append("Layers in float32:")
        lines += [f"  {name}: {reason}" for name, reason in report["float_fallbacks"].items()]
        lines.append(f"and {report['float_others']} operations without weights")
    if costs := report.get("costs"):
        lines.append(f"Errors of quantization, worst first ({min(SHOWN, len(costs))} of {len(costs)}):")
        lines += [
            f"  {one['sqnr']:5.1f} dB  {one['layer']} (output {one['activation']:.2%}, weights {one['weights']:.2%})"
            for one in costs[:SHOWN]
        ]
    return "\n".join(lines)


def _halves(graph, model):
    """Tensors that are float16 weights in use as float32."""
    return {
        operation.outputs[0]
        for name, operation in operations(model, graph)
        if name == "DEQUANTIZE" and graph.tensors[operation.inputs[0]].type == schema.TensorType.FLOAT16
    }


def _kind(graph, operation, name, halves):
    """What an operation computes in."""
    types = [_type(graph.tensors[i]) for i in (*operation.inputs, *operation.outputs) if i >= 0]
    output = _type(graph.tensors[operation.outputs[0]]) if len(operation.outputs) else "other"
    if name in WITH_WEIGHTS and output == "float32" and "int8" in types:
        return "dynamic"
    if name in WITH_WEIGHTS and any(i in halves for i in operation.inputs):
        return "float16"
    return output if output in ("float32", "int8") else "other"


def _type(tensor):
    return flatbuffer_utils.type_to_name(tensor.type).lower()


def _values(tensor, model):
    """The numbers that a constant of float32 or int8 stands for."""
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    if tensor.type == schema.TensorType.FLOAT32:
        return data.view(np.float32).reshape(tensor.shape)
    stored = data.view(np.int8).reshape(tensor.shape).astype(np.float32)
    shape = np.where(np.arange(stored.ndim) == tensor.quantization.quantizedDimension, -1, 1)
    return stored * np.asarray(tensor.quantization.scale, np.float32).reshape(shape)


def _rounded(value, quantization):
    scale, zero = np.float32(quantization.scale[0]), int(quantization.zeroPoint[0])
    return (np.clip(np.rint(value / scale) + zero, -128, 127) - zero) * scale


def _relative(true, rounded):
    """Root of the mean square of what differs, over that of the true values."""
    return float(np.sqrt(np.mean(np.square(rounded - true)) / np.mean(np.square(true)))) if np.any(true) else 0.0
