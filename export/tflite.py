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

from .artifact import choices


@dataclasses.dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of its export."""

    out: Annotated[str, "The file to write, as model.tflite."] = ""
    overwrite: Annotated[bool, "Replace an existing file."] = False
    size: Annotated[
        str,
        "Height and width of the picture that the model sees, as 320x320; of a classifier --classifier.crop if empty.",
    ] = ""
    input: Annotated[Literal["uint8", "float32"], "Type of the picture, RGB in 0..255."] = "uint8"
    fit: Annotated[
        Literal["auto", "pad", "stretch"],
        "How a photo gets onto a detector's canvas: it keeps its shape and the rest is 0 (pad; the model is told the "
        "`size` of the photo), or it is stretched over the canvas. auto: pad. A classifier sees the middle of a photo, "
        "a segmenter all of it, stretched.",
    ] = "auto"
    quantize: Annotated[
        choices.Quantize,
        "Numbers of the network: float32 (none); float16 weights; int8 weights in wide fully "
        "connected layers, float16 in the others (dynamic); int8 weights and activations (int8).",
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


def main(flags: Flags) -> None:
    """Exports and reports."""
    _check_files(flags)
    from tfrecog.runs import trained

    from .artifact import metadata
    from .litert import build, calibration_images, convert, graph, sizes
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
    unquantized = build.float32(task, model, still, given)
    content, report = build.quantized(unquantized, flags.quantize, images)
    model_metadata = metadata.from_run(task, flags, path, step) | {"precision": "float32"}
    model_metadata["tflite"] = {"quantize": flags.quantize, "input": given, "proposals": task.info.proposals}
    content = lite_metadata.attach(content, model_metadata)
    report["bytes"] = len(content)
    convert.check(content)
    convert.run_once(content)
    print(lite_report.text(report))
    if flags.quantize == "dynamic" and not report["types"].get("dynamic"):
        print("No layer of this network has weights in int8, for its answers would differ: as --quantize=float16")
    with files.write(_report_path(flags)) as text:  # Neither is there without the other.
        json.dump(report, text, indent=1)
        text.write("\n")
        text.flush()
        with files.write(flags.out, "wb") as file:
            file.write(content)
    print(f"Wrote {flags.out} in {time.perf_counter() - start:.0f} s, and {_report_path(flags)}")


def _check_files(flags: Flags) -> None:
    out, report = Path(flags.out), _report_path(flags)
    if out.resolve() == report.resolve():
        raise UserError(f"--report={report} is the model's file: name another for the report")
    for flag, path, example in (("out", out, "model.tflite"), ("report", report, "report.json")):
        if path.is_dir():
            raise UserError(f"--{flag}={path} is a folder; name a file, as in --{flag}={path / example}")
        if path.exists() and not flags.overwrite:
            raise UserError(f"{path} is there already: choose another --{flag}, or give --overwrite")
        files.check(path.parent, f"--{flag}={path}")


def _report_path(flags: Flags) -> Path:
    return Path(flags.report or f"{flags.out}.json")


if __name__ == "__main__":
    command.run(main, Flags(), required=("out",))
