"""A TFLite file's bytes from a trained model: in float32, then in fewer bits, with the report of what is in it."""

from tfrecog.config import Experiment

from . import convert, graph, quantize, report


def float32(task, model, experiment: Experiment, given: dict) -> bytes:
    """A float32 file without metadata; `given` is the `input` of its metadata."""
    height, width = given["size"]
    return convert.convert(graph.build(task, model, experiment, (height, width), given["dtype"], given["fit"] == "pad"))


def quantized(plain: bytes, kind: str, images: list[dict]) -> tuple[bytes, dict]:
    """A float32 file in fewer bits, and the report; `images` are needed for int8."""
    if kind == "int8":
        content = quantize.int8(plain, images, convert.SIGNATURE)
        found = report.describe(content, plain, quantize.stays_float)
        return content, found | {"costs": report.costs(content, plain, images[:4], convert.SIGNATURE)}
    make = {"float16": quantize.float16, "dynamic": quantize.dynamic}
    content = make[kind](plain) if kind in make else plain
    return content, report.describe(content, plain)
