"""How long a TFLite or ONNX file takes for a picture on this machine, and how much memory."""

import resource
import sys
import timeit
from pathlib import Path

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.inference import image_files

from ..artifact import metadata
from ..artifact.canvas_model import CanvasModel


def measure(model: CanvasModel, path: Path, repeat: int) -> dict:
    """How long the model takes for a photo, alone and from the file to the outputs in the photo's pixels, in ms.

    Returns:
        `model` and `chain`, each with `median` and `p90`; `peak_mb` of the process, its libraries too; `threads`;
        `repeat`; `photo`, its height and width.
    """
    reading = metadata.reading(model.metadata)
    try:
        picture = image_files.load(path, reading)
    except image_files.UNREADABLE as error:
        raise UserError(f"--image={path} cannot be read as an image: {error}") from error
    placed = model.place(picture)
    inputs = model.inputs(placed, model.propose(picture))

    def chain():
        return model.predict(image_files.load(path, reading))

    report = {}
    for name, work in (("model", lambda: model.run(inputs)), ("chain", chain)):
        timeit.timeit(work, number=max(1, min(10, repeat // 5)))  # a warm-up
        times = 1e3 * np.array(timeit.repeat(work, number=1, repeat=repeat))
        report[name] = {"median": float(np.median(times)), "p90": float(np.percentile(times, 90))}
    report |= {"threads": model.threads, "repeat": repeat, "photo": list(picture.shape[:2])}
    return report | {"peak_mb": peak_mb()}


def peak_mb() -> float:
    """Most memory that this process ever held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def text_of(report: dict) -> str:
    """Lines for people of `measure`."""
    (height, width), threads = report["photo"], report["threads"]
    model, chain = report["model"], report["chain"]
    return (
        f"{report['repeat']} runs on {threads} thread{'s'[: threads > 1]}, of a photo of {width} x {height} pixels:\n"
        f"  the model alone  median {model['median']:8.2f} ms   p90 {model['p90']:8.2f} ms\n"
        f"  the whole chain  median {chain['median']:8.2f} ms   p90 {chain['p90']:8.2f} ms   (file, resizing, masks)\n"
        f"  peak memory      {report['peak_mb']:.0f} MiB, the libraries included"
    )
