"""Exports a run as a TFLite file of builtin operations, which phones load.

python -m export.tflite --flagfile=RUN/experiment.flags --out=model.tflite --size=320x320 --quantize=int8
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Annotated, Literal

from tfrecog.cli import command, files
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import NonNegative, Positive, When
from tfrecog.config import plain

from .litert import of_run, sizes


@dataclasses.dataclass(frozen=True)
class Flags(of_run.CanvasFlags):
    """The flags of a run and of its export."""

    quantize: Annotated[
        Literal["none", "float16", "dynamic", "int8", "full"],
        "none: float32. float16: float16 weights. dynamic: int8 weights in wide fully connected layers, float16 in the "
        "others. int8: int8 weights and activations. full, of a classifier or FCN: integers throughout, for NPUs and "
        "microcontrollers.",
    ] = "none"
    representative: Annotated[
        int,
        "int8, full: number of images of --split that calibrate the ranges of activations.",
        Positive("images"),
        When(".quantize", "int8", "full"),
    ] = 100
    split: Annotated[
        str,
        "int8, full: split of the calibration images. Empty: --data.train_split.",
        When(".quantize", "int8", "full"),
    ] = ""
    for_: Annotated[
        Literal["", "mediapipe"],
        "mediapipe: its stock ObjectDetector, ImageSegmenter and ImageClassifier read the file, of a detector boxes "
        "alone; they stretch a photo over the input. Empty: programs that read the outputs by their names.",
    ] = ""
    max_images: Annotated[
        int,
        "mediapipe: images of data.eval_split on which the cost of stretching is measured, if data.records exists. "
        "0: all.",
        NonNegative("images"),
        When(".for", "mediapipe"),
    ] = 100
    report: Annotated[
        str, "JSON file for the report of operations, types, size and costs. Empty: beside the model, OUT.json."
    ] = ""


def export(flags: Flags) -> Path:
    """Exports and reports; returns the file."""
    out, report_path = Path(flags.out), Path(flags.report or f"{flags.out}.json")
    if out.resolve() == report_path.resolve():
        raise UserError(f"--report={report_path} is also the model's file, --out: name another for the report")
    of_run.check_new(flags, ".tflite", out=out, report=report_path)
    if flags.quantize == "full" and (problem := _no_integers(flags)):
        raise UserError(f"--quantize=full: {problem}")
    given, reader = sizes.input_of(flags, flags.for_), flags.for_
    from .litert import calibration_images, convert, gpu, mediapipe, metadata, quantize
    from .litert import report as lite_report

    if reader:
        mediapipe.check(flags)
    images = []
    if flags.quantize in quantize.BY_IMAGES:
        split = flags.split or flags.data.train_split
        images = calibration_images.images(flags, given, split, flags.representative)
    start = time.perf_counter()
    unquantized, model_metadata = of_run.converted(flags, given, reader, integers=flags.quantize == "full")
    content, report = quantize.quantized(unquantized, flags.quantize, images)
    model_metadata |= {"tflite": {"quantize": flags.quantize, "input": given}}
    if reader:
        mediapipe.check_file(convert.parsed(content))
        model_metadata["tflite"]["for"] = reader
        model_metadata |= mediapipe.NO_KEYPOINTS
    content = metadata.attach(content, model_metadata)
    report |= {"bytes": len(content), "gpu": gpu.describe(content)}
    convert.check(content)
    convert.run_once(content)
    print(lite_report.text(report))
    print(gpu.text(report["gpu"]))
    if flags.quantize == "dynamic" and not report["types"].get("dynamic"):
        print("No layer can have int8 weights without other outputs: the file is that of --quantize=float16")
    if reader:
        report |= _for_mediapipe(flags)
    with files.write(report_path) as text:  # Both are written, or neither.
        json.dump(report, text, indent=1)
        text.write("\n")
        text.flush()
        with files.write(flags.out, "wb") as file:
            file.write(content)
    print(f"Wrote {flags.out} in {time.perf_counter() - start:.0f} s, and {report_path}")
    return out


def _for_mediapipe(flags: Flags) -> dict:
    """Prints what MediaPipe's Tasks leave out and what their stretching costs, which is for the report."""
    from .litert import mediapipe
    from .parity import stretching

    if without := mediapipe.left_out(flags):
        print(without)
    if flags.task == "segmentation":  # whose photos are stretched in every file
        return {}
    kept = sizes.input_of(dataclasses.replace(flags, fit="auto"))
    measured = stretching.measure(plain(flags), flags.checkpoint, kept, flags.max_images)
    print(stretching.text(measured, kept))
    return {"stretching": measured}


def _no_integers(flags: Flags) -> str:
    """Why a run's model cannot be in integers throughout; empty if that is not known yet."""
    if flags.task == "detection":
        return (
            "the boxes of a detector would be off by pixels if they had 256 values; --quantize=int8 has its network in "
            "int8 and its boxes in float32"
        )
    if flags.input != "uint8":
        return f"its picture is uint8, and not --input={flags.input}; leave that out"
    if flags.for_:
        return (
            f"the Tasks of --for={flags.for_} read scores in float32, and these are int8; --quantize=int8 has its "
            "network in int8 and its scores in float32"
        )
    return ""


def main(flags: Flags) -> None:
    export(flags)


if __name__ == "__main__":
    command.run(main, Flags(), required=("out",))
