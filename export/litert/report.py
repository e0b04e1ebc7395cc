"""What is in a TFLite file: its operations and their types, its size, what stayed float, and what eight bits cost."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils

from .convert import parsed

WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
SHOWN = 10


def describe(content: bytes, plain: bytes, stays_float: Callable[[str], str] | None = None) -> dict:
    """What can be said in JSON of a TFLite file that was made of a plain float32 one.

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
        weights = _halves(graph, model)
        for operation in graph.operators:
            name = builtin(model, operation)
            kind = _kind(graph, operation, name, weights)
            counts.setdefault(name, Counter())[kind] += 1
            if kind != "float32" or not stays_float:
                continue
            if name in WITH_WEIGHTS:
                output = graph.tensors[operation.outputs[0]].name.decode()
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


def costs(content: bytes, plain: bytes, inputs: list[dict[str, np.ndarray]], signature: str) -> list[dict]:
    """What rounding to int8 costs in each layer on some inputs, worst first: `layer`, `activation`, `weights`, `sqnr`.

    `activation` is the error of a layer's output alone, from its true value to the nearest of its 256 steps, `weights`
    that of its kernel: both as the root of mean squares, over that of the value. `sqnr` (decibels) is of both together.
    Of a layer that sees several maps it is the worst, and of one in a loop the last time.
    """
    model, whole = parsed(content), parsed(plain)
    found: list[dict] = []
    activations: list[tuple] = []
    for number, (graph, before) in enumerate(zip(model.subgraphs, whole.subgraphs, strict=True)):
        kernels = {tensor.name: _values(tensor, whole) for tensor in before.tensors}
        # Names are not unique; of those that operations compute they are.
        place = {before.tensors[i].name: i for operation in before.operators for i in operation.outputs}
        for operation in graph.operators:
            output = graph.tensors[operation.outputs[0]] if len(operation.outputs) else None
            if output is None or output.type != schema.TensorType.INT8 or builtin(model, operation) not in WITH_WEIGHTS:
                continue
            kernel = max((graph.tensors[i] for i in operation.inputs if i >= 0), key=lambda t: _stored(t, model))
            true = kernels.get(kernel.name)
            error = _relative(true, _values(kernel, model)) if true is not None else 0.0
            found.append({"layer": layer(output.name.decode()), "activation": 0.0, "weights": error})
            if output.name in place:
                activations.append((found[-1], (place[output.name], number), output.quantization))
    # A delegate keeps what is between its operations for itself.
    interpreter = Interpreter(
        model_content=plain,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    runner = interpreter.get_signature_runner(signature)
    for each in inputs:
        runner(**each)
        for one, where, quantization in activations:
            value = interpreter.get_tensor(*where)
            one["activation"] += _relative(value, _rounded(value, quantization)) / len(inputs)
    worst: dict[str, dict] = {}
    for one in found:
        noise = one["activation"] ** 2 + one["weights"] ** 2
        one["sqnr"] = round(-10 * float(np.log10(max(noise, 1e-12))), 1)
        one |= {name: round(float(one[name]), 5) for name in ("activation", "weights")}
        if one["sqnr"] < worst.get(one["layer"], {"sqnr": np.inf})["sqnr"]:
            worst[one["layer"]] = one
    return sorted(worst.values(), key=lambda one: one["sqnr"])


def layer(output: str) -> str:
    """The layer of an operation with an output of that name, as detector/backbone/res2/block1/conv1."""
    parts = output.split(";")[0].split("/")[:-1]
    return "/".join(part.rpartition("_")[0] if part.rpartition("_")[2].isdigit() else part for part in parts) or output


def text(report: dict) -> str:
    """The report for people."""
    kinds = sorted(report["types"], key=lambda kind: -report["types"][kind])
    width = max(len(name) for name in report["operations"])
    lines = [
        f"{report['bytes'] / 1e6:.2f} MB, {report['share_of_float32']:.0%} of float32",
        f"{'operation':{width}}  " + "  ".join(f"{kind:>8}" for kind in kinds),
        *(
            f"{name:{width}}  " + "  ".join(f"{count.get(kind, 0) or '':>8}" for kind in kinds)
            for name, count in sorted(report["operations"].items(), key=lambda one: -sum(one[1].values()))
        ),
        f"{'together':{width}}  " + "  ".join(f"{report['types'][kind]:>8}" for kind in kinds),
    ]
    if report["float_fallbacks"]:
        lines.append("Layers in float32:")
        lines += [f"  {name}: {reason}" for name, reason in report["float_fallbacks"].items()]
        lines.append(f"and {report['float_others']} operations without weights")
    if report.get("costs"):
        lines.append(
            f"What eight bits cost, worst first ({min(SHOWN, len(report['costs']))} of {len(report['costs'])}):"
        )
        lines += [
            f"  {one['sqnr']:5.1f} dB  {one['layer']} (output {one['activation']:.2%}, weights {one['weights']:.2%})"
            for one in report["costs"][:SHOWN]
        ]
    return "\n".join(lines)


def builtin(model, operation) -> str:
    """The name of an operation of a `convert.parsed` model."""
    return flatbuffer_utils.opcode_to_name(model, operation.opcodeIndex)


def _halves(graph, model):
    """Tensors that are float16 weights in use as float32."""
    return {
        operation.outputs[0]
        for operation in graph.operators
        if builtin(model, operation) == "DEQUANTIZE"
        and graph.tensors[operation.inputs[0]].type == schema.TensorType.FLOAT16
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


def _stored(tensor, model):
    """Whether a tensor is a constant, and of how many numbers."""
    data = _raw(tensor, model)
    return 0 if data is None else int(np.prod(tensor.shape, dtype=np.int64))


def _raw(tensor, model):
    data = model.buffers[tensor.buffer].data
    return data if data is not None and len(data) else None


def _values(tensor, model):
    """The numbers that a constant of float32 or int8 stands for; None of others."""
    data = _raw(tensor, model)
    kinds = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.INT8: np.int8}
    if data is None or tensor.type not in kinds:
        return None
    stored = np.frombuffer(np.asarray(data, np.uint8).tobytes(), kinds[tensor.type]).reshape(tensor.shape)
    if tensor.type == schema.TensorType.FLOAT32:
        return stored
    scale = np.asarray(tensor.quantization.scale, np.float32)
    shape = [1] * stored.ndim
    shape[tensor.quantization.quantizedDimension] = -1
    return stored.astype(np.float32) * scale.reshape(shape)


def _rounded(value, quantization):
    scale, zero = np.float32(quantization.scale[0]), int(quantization.zeroPoint[0])
    return (np.clip(np.rint(value / scale) + zero, -128, 127) - zero) * scale


def _relative(true, rounded):
    """Root of the mean square of what differs, over that of the true values."""
    if rounded is None or not np.any(true):
        return 0.0
    return float(np.sqrt(np.mean(np.square(rounded - true)) / np.mean(np.square(true))))
