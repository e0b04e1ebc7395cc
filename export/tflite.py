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
from tfrecog.cli.facts import Positive, When
from tfrecog.config import plain
from tfrecog.runs.flags import RunFlags


@dataclasses.dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of its export."""

    out: Annotated[str, "The file to write, as model.tflite."] = ""
    overwrite: Annotated[bool, "Replace an existing file."] = False
    size: Annotated[
        str,
        "Height and width of the model's input, as 320x320. Empty: a classifier's --classifier.crop.",
    ] = ""
    input: Annotated[Literal["uint8", "float32"], "Type of the picture, RGB in 0..255."] = "uint8"
    fit: Annotated[
        Literal["auto", "pad", "stretch"],
        "How a photo is fitted to a detector's input. pad: it keeps its shape, padded with 0, and the model is given "
        "its `size`. stretch: it is resized to the input. auto: pad. A classifier takes the center crop of a photo, a "
        "segmenter all of it, stretched.",
    ] = "auto"
    quantize: Annotated[
        Literal["none", "float16", "dynamic", "int8"],
        "none: float32. float16: float16 weights. dynamic: int8 weights in wide fully connected layers, float16 in the "
        "others. int8: int8 weights and activations.",
    ] = "none"
    representative: Annotated[
        int,
        "int8: number of images of --split that calibrate the ranges of activations.",
        Positive("images"),
        When(".quantize", "int8"),
    ] = 100
    split: Annotated[
        str, "int8: split of the calibration images. Empty: --data.train_split.", When(".quantize", "int8")
    ] = ""
    report: Annotated[
        str, "JSON file for the report of operations, types, size and costs. Empty: beside the model, OUT.json."
    ] = ""


def export(flags: Flags) -> Path:
    """Exports and reports; returns the file."""
    _check_files(flags)
    from tfrecog.runs import trained

    from .artifact import metadata
    from .litert import calibration_images, convert, graph, quantize, sizes
    from .litert import metadata as lite_metadata
    from .litert import report as lite_report

    given = sizes.input_of(flags)
    images = []
    if flags.quantize == "int8":
        split = flags.split or flags.data.train_split
        images = calibration_images.images(flags, given, split, flags.representative)
    still = graph.still(plain(flags))
    task, model, _, path, step = trained.restore(still, flags.checkpoint)
    height, width = given["size"]
    print(f"Exporting {path} for pictures of {height}x{width}", flush=True)
    if small := sizes.remark(flags, (height, width)):
        print(small, flush=True)
    start = time.perf_counter()
    unquantized = convert.convert(graph.build(task, model, still, given))
    content, report = quantize.quantized(unquantized, flags.quantize, images)
    model_metadata = metadata.from_run(task, flags, path, step) | {"precision": "float32"}
    content = lite_metadata.attach(content, model_metadata | {"tflite": {"quantize": flags.quantize, "input": given}})
    report["bytes"] = len(content)
    convert.check(content)
    convert.run_once(content)
    print(lite_report.text(report))
    if flags.quantize == "dynamic" and not report["types"].get("dynamic"):
        print("No layer can have int8 weights without other outputs: the file is that of --quantize=float16")
    with files.write(_report_path(flags)) as text:  # Both are written, or neither.
        json.dump(report, text, indent=1)
        text.write("\n")
        text.flush()
        with files.write(flags.out, "wb") as file:
            file.write(content)
    print(f"Wrote {flags.out} in {time.perf_counter() - start:.0f} s, and {_report_path(flags)}")
    return Path(flags.out)


def main(flags: Flags) -> None:
    export(flags)


def _check_files(flags: Flags) -> None:
    out, report = Path(flags.out), _report_path(flags)
    if out.resolve() == report.resolve():
        raise UserError(f"--report={report} is also the model's file, --out: name another for the report")
    for flag, path, example in (("out", out, "model.tflite"), ("report", report, "report.json")):
        if path.is_dir():
            raise UserError(f"--{flag}={path} is a folder; name a file, as in --{flag}={path / example}")
        if path.exists() and not flags.overwrite:
            raise UserError(f"--{flag}={path} exists: choose another file, or give --overwrite")
        files.check(path.parent, f"--{flag}={path}")


def _report_path(flags: Flags) -> Path:
    return Path(flags.report or f"{flags.out}.json")


if __name__ == "__main__":
    command.run(main, Flags(), required=("out",))
