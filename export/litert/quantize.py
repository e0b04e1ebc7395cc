"""Fewer bits in a TFLite file: float16 and int8 weights, and int8 arithmetic, in the layers of the network alone.

What comes after the network (proposals, RoIAlign, decoding of boxes, suppression, softmax) stays in float32: in eight
bits a box would be off by pixels. So do the layers whose outputs are compared or decoded; see docs/decisions/0017.
`full` leaves nothing in float32, for NPUs that have only integers; see docs/decisions/0047.
"""

import contextlib
import io
import re
import warnings

import numpy as np

from tfrecog.cli.errors import UserError

from . import convert, report

BY_IMAGES = ("int8", "full")  # kinds that take the ranges of activations from images
INSTEAD = "--quantize=int8 leaves in float32 what needs it"
# Operations are named by their layers, as detector_1/backbone_1/res2_1/block1_1/conv1_1/Conv2D; those outside of all
# layers by the model alone, as detector_1/add_3, or detector_1/map/while/mul in a loop. R-CNN has its layers in a loop.
_LOOP = r"(map/while/(?=(backbone|trunk)_))?"
_LAYERS = rf"^[^/;]+_\d+/{_LOOP}[^/;]+_\d+/(?!([^;]*/)?while/)"
# Layers whose outputs are numbers that are compared with one another, or boxes, or where heat maps have their peaks;
# and the statistics of group norm.
_ENDS = (
    r"/norm_\d+/",
    r"/(objectness|deltas|logits)_\d+/",
    r"^classifier_\d+/(fc|fc2|fc8|output)_\d+/",
    r"/keypoint_\d+/(deconv_\d+|resize|Resize|ResizeBilinear)",
    r"^segmenter_\d+/head_\d+/(?!(fc6|fc7|conv)_\d+/)",
)
# Fully connected layers (in an FCN they are convolutions), of the box branch the first: most of the weights, and little
# of what decides where boxes are. Not those behind it, nor the convolutions of branches, nor the two layers of AlexNet
# and VGG, whose scores of a thousand classes they would move.
_TRUNK = rf"^detector_\d+/{_LOOP}trunk_\d+/"
HEADS = (
    rf"({_TRUNK}dense1(_svd)?|^classifier_\d+/(?!backbone_|fc[67]_)[^/]+"
    r"|^segmenter_\d+/head_\d+/fc[67])_\d+/"
)
_KEYPOINTS = r"^detector_\d+/keypoint_\d+/"
# What joins convolutions. Not what changes the shape alone: behind a layer of _ENDS it would need eight bits again.
_BETWEEN = (
    "ADD", "SUB", "MUL", "PAD", "PADV2", "RELU", "HARD_SWISH", "LOGISTIC", "TANH", "MEAN", "MAX_POOL_2D",
    "AVERAGE_POOL_2D", "RESIZE_NEAREST_NEIGHBOR",
)  # fmt: skip
_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE", "FULLY_CONNECTED")
# Inputs of a sum, at least, among which the rounding of eight bits evens out; layers with fewer are small anyway.
_ENOUGH = 256


def quantized(plain: bytes, kind: str, images: list[dict[str, np.ndarray]]) -> tuple[bytes, dict]:
    """A float32 file in fewer bits (`float16`, `dynamic`, `int8`, `full`) or as it is (`none`), and the report of it.

    Args:
        plain: for `full` the graph of `graph.build` for `integers`.
        images: the inputs from which the kinds of `BY_IMAGES` take the ranges of activations.
    """
    if kind in BY_IMAGES:
        if kind == "full":
            images = [{"image": one["image"].astype(np.float32)} for one in images]
        content = int8(plain, images) if kind == "int8" else full(plain, images)
        found = report.describe(content, plain, stays_float)
        return content, found | {"costs": report.costs(content, plain, images[:4])}
    content = {"none": bytes, "float16": float16, "dynamic": dynamic}[kind](plain)
    return content, report.describe(content, plain)


def float16(content: bytes) -> bytes:
    """The weights of the layers in float16; they are used in float32."""
    quantizer = _quantizer(content)
    _halve(quantizer)
    return _apply(quantizer)


def dynamic(content: bytes) -> bytes:
    """Weights in int8 in fully connected layers, of the box branch the first; their inputs become int8 as they come.

    The other layers' weights are float16: with eight bits there other proposals come through, and other boxes win. So
    are those of narrow layers, and of all layers where there are keypoints: a heat map is read in the region that the
    box branch says, and when that moves by a hair another of two peaks may be the greater.
    """
    quantizer = _quantizer(content)
    _halve(quantizer)
    for operation in _WEIGHTS:
        quantizer.add_dynamic_config(HEADS, operation, num_bits=8)
    for layers in (*_ENDS, *_delicate(content)):
        _halve(quantizer, layers)
    return _apply(quantizer)


def int8(content: bytes, inputs: list[dict[str, np.ndarray]]) -> bytes:
    """Weights and activations of the layers in int8, activations in the ranges that they have for some inputs."""
    quantizer = _quantizer(content)
    for operation in (*_WEIGHTS, *_BETWEEN):
        quantizer.add_static_config(_LAYERS, operation, activation_num_bits=8, weight_num_bits=8)
    for end in _ENDS:
        quantizer.update_quantization_recipe(end, "*", algorithm_key="no_quantize")
    return _apply(quantizer, _ranges(content, inputs))


def full(content: bytes, inputs: list[dict[str, np.ndarray]]) -> bytes:
    """Integers throughout: the picture uint8, weights and activations int8, and so a classifier's scores.

    UserError names what has no integer form.

    Args:
        content: of a classifier or FCN, for a float32 picture.
        inputs: such pictures.
    """
    quantizer = _quantizer(content)
    quantizer.add_static_config(".*", "*", activation_num_bits=8, weight_num_bits=8)
    quantizer.update_quantization_recipe(".*", "INPUT", _bytes())
    model = convert.parsed(content)
    picture = model.subgraphs[0].tensors[model.signatureDefs[0].inputs[0].tensorIndex].name.decode()
    # Of any picture, whatever those at hand have: n stands for the gray level n.
    ranges = {**_ranges(content, inputs), picture: {"min": np.array([0.0]), "max": np.array([255.0])}}
    content = _of_integers(_apply(quantizer, ranges))
    try:
        convert.run_once(content)
    except (RuntimeError, ValueError) as error:  # of an operation of which the quantizer knows more than LiteRT
        raise UserError(f"--quantize=full: LiteRT cannot compute it in integers ({error}); {INSTEAD}") from error
    return content


def stays_float(name: str) -> str:
    """Why an operation with an output of that name is float32 in an int8 file; empty if it need not be."""
    if not re.search(_LAYERS, name):
        return "after the network"
    return "its output is compared or decoded" if any(re.search(end, name) for end in _ENDS) else ""


def _of_integers(content):
    """The file with arg max of the integers themselves, which the quantizer turns into floats before it.

    UserError if there are other floats.
    """
    model = convert.parsed(content)
    graph = model.subgraphs[0]
    made_by = {output: operation for _, operation in report.operations(model, graph) for output in operation.outputs}
    names = {id(operation): name for name, operation in report.operations(model, graph)}
    for operation in [*graph.operators]:
        before = made_by.get(operation.inputs[0])
        if names[id(operation)] == "ARG_MAX" and names.get(id(before)) == "DEQUANTIZE":
            operation.inputs[0] = before.inputs[0]
            graph.operators.remove(before)
    if floats := report.with_floats(model):
        raise UserError(f"--quantize=full: {'; '.join(floats[:5])} cannot be computed in integers; {INSTEAD}")
    return convert.serialized(model)


def _delicate(content):
    """Patterns of layers behind regions that have too few inputs for int8 weights, or keypoints behind them."""
    patterns = set()
    model = convert.parsed(content)
    for graph in model.subgraphs:
        for kind, operation in report.operations(model, graph):
            if kind in report.WITH_WEIGHTS:
                name = report.output_name(graph, operation).partition(";")[0]
                inputs = np.prod(graph.tensors[operation.inputs[report.KERNEL]].shape[1:])
                if re.search(HEADS, name) and inputs < _ENOUGH:
                    patterns.add(f"^{re.escape(name.rpartition('/')[0])}/")
                if re.search(_KEYPOINTS, name):
                    patterns.add(_TRUNK)
    return patterns


def _ranges(content, inputs) -> dict:
    """The ranges that activations of a file have for some inputs, by the names of tensors: the least and the greatest.

    The quantizer's own `calibrate` has a running mean of them, which cuts off what half of the inputs have.
    """
    from ai_edge_quantizer.calibrator import CalibrationMode, Calibrator
    from ai_edge_quantizer.recipe_manager import RecipeManager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    # Tensor by tensor as they are computed: the other mode reads all of them afterwards, and a loop leaves some empty.
    mode = CalibrationMode.CALIBRATION_PROFILER_BASED
    calibrator = Calibrator(content, num_threads=2, mode=mode, qsv_update_func=min_max_update)
    with _quietly():
        calibrator.calibrate({convert.SIGNATURE: inputs}, RecipeManager())
    return calibrator.get_model_qsvs()


def _bytes():
    """The quantizer's settings of an input in uint8."""
    from ai_edge_quantizer.qtyping import ComputePrecision, OpQuantizationConfig, QuantGranularity, TensorDataType
    from ai_edge_quantizer.qtyping import TensorQuantizationConfig as Tensor

    return OpQuantizationConfig(
        activation_tensor_config=Tensor(num_bits=8, symmetric=False, dtype=TensorDataType.UINT),
        weight_tensor_config=Tensor(num_bits=8, symmetric=True, granularity=QuantGranularity.CHANNELWISE),
        compute_precision=ComputePrecision.INTEGER,
    )


def _quantizer(content):
    from ai_edge_quantizer import quantizer

    return quantizer.Quantizer(bytearray(content))


def _halve(quantizer, layers=_LAYERS):
    from ai_edge_quantizer.qtyping import QuantGranularity

    for operation in _WEIGHTS:
        quantizer.add_weight_only_config(
            layers, operation, num_bits=16, granularity=QuantGranularity.TENSORWISE, algorithm_key="float_casting"
        )


def _apply(quantizer, calibration=None) -> bytes:
    with _quietly():
        return bytes(quantizer.quantize(calibration).quantized_model)


@contextlib.contextmanager
def _quietly():
    """The quantizer shows progress bars and sizes, which the report has."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
