"""Exports a run as a SavedModel, which TensorFlow Serving and other servers load.

python -m export.saved_model --flagfile=RUN/experiment.flags --out=DIR
"""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

import keras
import tensorflow as tf

from export import metadata, serving, versions
from tfrecog import checkpoints, evaluate, flagged, interruption, limits
from tfrecog.config import Experiment
from tfrecog.ops import lowering

TARGETS: dict[str, lowering.Target] = {"cpu": "machine", "any": "portable"}


@dataclasses.dataclass(frozen=True)
class Export(Experiment):
    """The flags of a run and of its export."""

    checkpoint: Annotated[str, evaluate.CHECKPOINT] = "latest"
    out: Annotated[str, "Folder of the model; each export adds a version to it: DIR/1, DIR/2, ..."] = ""
    masks: Annotated[
        Literal["squares", "pasted", "runs"],
        "Masks of a detector: each as the square that spans its box, pasted into the picture, or so as COCO's run "
        "lengths.",
    ] = "squares"
    precision: Annotated[
        Literal["run", "float32", "bfloat16"], "What the network computes in; `run`: as --train.precision."
    ] = "run"
    device: Annotated[
        Literal["cpu", "any"],
        "cpu: operations that are fast on CPUs. any: those that are fast on a GPU, and that other runtimes know.",
    ] = "cpu"


def export(task, model, experiment: Experiment, out: str | Path, about: dict, *, masks: str, device: str) -> Path:
    """Writes the next version of a SavedModel to the folder `out`, whole or not at all; returns its folder."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, one in serving.signatures(task, model, experiment, masks, TARGETS[device]).items():
        archive.add_endpoint(name, one.call, one.inputs)
    with versions.new(out) as draft:
        # Custom gradients would be traced too: nobody trains a served model on.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        archive.write_out(str(draft), options=options, verbose=False)
        metadata.write(draft / metadata.EXTRA, about)
    return draft.final


def main(given: Export) -> None:
    """Exports and reports; what the user can mend ends the program with a message."""
    if not given.out:
        sys.exit("error: --out: name a folder for the model, as in --out=exported/NAME")
    try:
        limits.check(given)
        precision = given.train.precision if given.precision == "run" else given.precision
        train = dataclasses.replace(given.train, replicas=1, precision=precision)
        given = dataclasses.replace(given, train=train)
        versions.check(given.out)
        task, model, _, path, step = evaluate.restore(given, given.checkpoint)
        print(f"Exporting {path}", flush=True)
        about = metadata.of(task, given, path, step)
        final = export(task, model, given, given.out, about, masks=given.masks, device=given.device)
    except (OSError, ValueError, checkpoints.CheckpointError) as error:
        sys.exit(f"error: {error}")
    print(f"Wrote {final}")


if __name__ == "__main__":
    with interruption.told():
        main(flagged.parse(Export()))
