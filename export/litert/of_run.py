"""A run on its way to a TFLite file: the flags, and the network in float32. An ONNX file is made of that one."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from tfrecog.cli import files
from tfrecog.cli.errors import UserError
from tfrecog.config import plain
from tfrecog.runs.flags import RunFlags

from . import sizes


@dataclasses.dataclass(frozen=True)
class CanvasFlags(RunFlags):
    """The flags of a run and of a file for pictures of one size."""

    out: Annotated[str, "The file to write, as model.tflite or model.onnx."] = ""
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


def check_new(flags: CanvasFlags, ending: str, **paths: Path) -> None:
    """UserError or OSError if a file cannot be written; `paths` by the names of their flags.

    That of `out` needs its `ending`, by which whatever reads it knows what it is.
    """
    for flag, path in paths.items():
        if path.is_dir():
            raise UserError(f"--{flag}={path} is a folder; name a file, as in --{flag}={path / 'model'}")
        if path.exists() and not flags.overwrite:
            raise UserError(f"--{flag}={path} exists: choose another file, or give --overwrite")
        files.check(path.parent, f"--{flag}={path}")
    if paths["out"].suffix.lower() != ending:
        raise UserError(f"--out={paths['out']} does not end in {ending}; give --out={paths['out']}{ending}")


def converted(flags: CanvasFlags, given: dict, reader: str = "", integers: bool = False) -> tuple[bytes, dict]:
    """A run's TFLite file in float32, without metadata, and the metadata of the run.

    Args:
        given: `input` of the file's metadata.
        reader: "mediapipe" if its Tasks are to read the file.
        integers: the file is for `quantize.full`.
    """
    from tfrecog.runs import trained

    from ..artifact import metadata
    from . import convert, graph

    still = graph.still(plain(flags))
    task, model, _, path, step = trained.restore(still, flags.checkpoint)
    height, width = given["size"]
    print(f"Exporting {path} for pictures of {height}x{width}", flush=True)
    if small := sizes.remark(flags, (height, width)):
        print(small, flush=True)
    content = convert.convert(graph.build(task, model, still, given, reader, integers))
    return content, metadata.from_run(task, flags, path, step) | {"precision": "float32"}
