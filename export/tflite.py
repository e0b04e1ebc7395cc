"""Exports a run as a TFLite file of builtin operations, which phones load.

python -m export.tflite --flagfile=RUN/experiment.flags --out=model.tflite --size=320x320 --quantize=int8
"""

import dataclasses
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

from export import lite_convert, lite_graph, lite_metadata, lite_sizes, metadata
from tfrecog import atomic, checkpoints, evaluate, flagged, interruption, limits
from tfrecog.config import Experiment


@dataclasses.dataclass(frozen=True)
class Export(Experiment):
    """The flags of a run and of its export."""

    checkpoint: Annotated[str, evaluate.CHECKPOINT] = "latest"
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


def export(task, model, experiment: Experiment, size: tuple[int, int], dtype: str, fit: str) -> bytes:
    """The bytes of a float32 TFLite file without metadata."""
    graph = lite_graph.of(task, model, experiment, size, dtype, fit == "pad")
    return lite_convert.convert(graph)


def described(task, given: Export, path: Path, step: int, size: tuple[int, int], fit: str) -> dict:
    """The metadata of a file."""
    seen = {"dtype": given.input, "size": list(size), "fit": fit}
    if fit == "middle":
        seen["short_side"] = lite_sizes.short_side(given, size)
    about = metadata.of(task, given, path, step) | {"precision": "float32"}
    return about | {"tflite": {"quantize": "none", "input": seen, "proposals": task.info.proposals}}


def main(given: Export) -> None:
    """Exports and reports; what the user can mend ends the program with a message."""
    if not given.out:
        sys.exit("error: --out: name a file for the model, as in --out=model.tflite")
    try:
        out = Path(given.out)
        if out.is_dir():
            raise ValueError(f"--out={out} is a folder; name a file, as in --out={out / 'model.tflite'}")
        if out.exists() and not given.overwrite:
            raise ValueError(f"{out} is there already: choose another --out, or give --overwrite")
        limits.check(given)
        size, fit = lite_sizes.size_of(given, given.size), lite_sizes.fit_of(given, given.fit)
        task, model, _, path, step = evaluate.restore(lite_graph.still(metadata.plain(given)), given.checkpoint)
        print(f"Exporting {path} for pictures of {size[0]}x{size[1]}", flush=True)
        start = time.perf_counter()
        content = export(task, model, lite_graph.still(metadata.plain(given)), size, given.input, fit)
        content = lite_metadata.attach(content, described(task, given, path, step, size, fit))
        lite_convert.run_once(content)
        with atomic.write(out, "wb") as file:
            file.write(content)
    except (OSError, ValueError, checkpoints.CheckpointError) as error:
        sys.exit(f"error: {error}")
    print(f"Wrote {out}: {len(content) / 1e6:.1f} MB in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    with interruption.told():
        main(flagged.parse(Export()))
