"""Exports a run as a TFLite file of builtin operations, which phones load.

python -m export.tflite --flagfile=RUN/experiment.flags --out=model.tflite --size=320x320 --quantize=int8
"""

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

try:
    from .artifact import metadata
    from .litert import calibration_images, convert, sizes
    from .litert import graph as lite_graph
    from .litert import metadata as lite_metadata
    from .litert import quantize as lite_quantize
    from .litert import report as lite_report
except ModuleNotFoundError as error:
    if __name__ != "__main__" or (error.name or "").partition(".")[0] not in ("ai_edge_litert", "flatbuffers"):
        raise
    sys.exit(f"error: {error.name} is missing, which reads and runs TFLite files: pip install 'tfrecog[tflite]'")
from tfrecog.cli import files, flags, signals, validate
from tfrecog.cli.facts import Positive, When
from tfrecog.config import Experiment, plain
from tfrecog.runs import checkpoints, trained
from tfrecog.runs.flags import CHECKPOINT


@dataclasses.dataclass(frozen=True)
class Export(Experiment):
    """The flags of a run and of its export."""

    checkpoint: Annotated[str, CHECKPOINT] = "latest"
    out: Annotated[str, "The file to write, as model.tflite."] = ""
    overwrite: Annotated[bool, "A file that is there already is replaced."] = False
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
        lite_quantize.Quantize,
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
        str, "int8: the split of --data.records that they are of. Empty: --data.train_split.", When(".quantize", "int8")
    ] = ""
    report: Annotated[
        str, "JSON file for the report of operations, types, size and costs. Empty: beside the model, OUT.json."
    ] = ""


def export(task, model, experiment: Experiment, size: tuple[int, int], dtype: str, fit: str) -> bytes:
    """The bytes of a float32 TFLite file without metadata."""
    graph = lite_graph.of(task, model, experiment, size, dtype, fit == "pad")
    return convert.convert(graph)


def described(task, given: Export, path: Path, step: int, seen: dict) -> dict:
    """The metadata of a file whose `input` is `seen`."""
    about = metadata.of(task, given, path, step) | {"precision": "float32"}
    return about | {"tflite": {"quantize": given.quantize, "input": seen, "proposals": task.info.proposals}}


def input_of(given: Export) -> dict:
    """What a file is given: dtype, size [H, W], fit, and of a classifier short_side; ValueError says what cannot be."""
    size, fit = sizes.size_of(given, given.size), sizes.fit_of(given, given.fit)
    seen = {"dtype": given.input, "size": list(size), "fit": fit}
    return seen | ({"short_side": sizes.short_side(given, size)} if fit == "middle" else {})


def quantized(plain: bytes, kind: str, images: list[dict]) -> tuple[bytes, dict]:
    """A float32 file in fewer bits, and the report; `images` are needed for int8."""
    if kind == "int8":
        content = lite_quantize.int8(plain, images, convert.SIGNATURE)
        report = lite_report.of(content, plain, lite_quantize.stays_float)
        return content, report | {"costs": lite_report.costs(content, plain, images[:4], convert.SIGNATURE)}
    make = {"float16": lite_quantize.float16, "dynamic": lite_quantize.dynamic}
    content = make[kind](plain) if kind in make else plain
    return content, lite_report.of(content, plain)


def _images(given: Export, seen: dict) -> list[dict]:
    """What an int8 file takes its ranges from; none of others."""
    if given.quantize == "int8":
        split = given.split or given.data.train_split
        return calibration_images.images(given, seen, split, given.representative)
    return []


def _check_out(given: Export) -> None:
    out, report = Path(given.out), _report_path(given)
    if out.resolve() == report.resolve():
        raise ValueError(f"--report={report} is the model's file: name another for the report")
    for flag, path, example in (("out", out, "model.tflite"), ("report", report, "report.json")):
        if path.is_dir():
            raise ValueError(f"--{flag}={path} is a folder; name a file, as in --{flag}={path / example}")
        if path.exists() and not given.overwrite:
            raise ValueError(f"{path} is there already: choose another --{flag}, or give --overwrite")
        files.check(path.parent, f"--{flag}={path}")


def _report_path(given: Export) -> Path:
    return Path(given.report or f"{given.out}.json")


def main(given: Export) -> None:
    """Exports and reports; what the user can mend ends the program with a message."""
    if not given.out:
        sys.exit("error: --out: name a file for the model, as in --out=model.tflite")
    try:
        out = Path(given.out)
        validate.check(given)
        _check_out(given)
        seen = input_of(given)
        images = _images(given, seen)
        still = lite_graph.still(plain(given))
        task, model, _, path, step = trained.restore(still, given.checkpoint)
        height, width = seen["size"]
        print(f"Exporting {path} for pictures of {height}x{width}", flush=True)
        if small := sizes.remark(given, (height, width)):
            print(small, flush=True)
        start = time.perf_counter()
        unquantized = export(task, model, still, (height, width), given.input, seen["fit"])
        content, report = quantized(unquantized, given.quantize, images)
        content = lite_metadata.attach(content, described(task, given, path, step, seen))
        report["bytes"] = len(content)
        convert.check(content)
        convert.run_once(content)
        print(lite_report.text(report))
        if given.quantize == "dynamic" and not report["types"].get("dynamic"):
            print("No layer of this network has weights in int8, for its answers would differ: as --quantize=float16")
        with files.write(_report_path(given)) as text:  # Neither is there without the other.
            json.dump(report, text, indent=1)
            text.write("\n")
            text.flush()
            with files.write(out, "wb") as file:
                file.write(content)
    except (OSError, ValueError, checkpoints.CheckpointError) as error:
        sys.exit(f"error: {error}")
    print(f"Wrote {out} in {time.perf_counter() - start:.0f} s, and {_report_path(given)}")


if __name__ == "__main__":
    with signals.told():
        main(flags.parse(Export()))
