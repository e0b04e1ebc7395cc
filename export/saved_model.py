"""Exports a run as a SavedModel, which TensorFlow Serving and other servers load.

python -m export.saved_model --flagfile=RUN/experiment.flags --out=DIR
"""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

import keras
import tensorflow as tf

from tfrecog.cli import flags, signals, validate
from tfrecog.cli.facts import When
from tfrecog.config import Experiment
from tfrecog.ops import target
from tfrecog.runs import checkpoints, trained
from tfrecog.runs.flags import CHECKPOINT

from .artifact import metadata
from .served_graph import mask_encoding, versions
from .served_graph import signatures as serving

TARGETS: dict[str, target.Target] = {"cpu": "machine", "any": "portable"}


@dataclasses.dataclass(frozen=True)
class Export(Experiment):
    """The flags of a run and of its export."""

    checkpoint: Annotated[str, CHECKPOINT] = "latest"
    out: Annotated[str, "Folder of the model; each export adds a version to it: DIR/1, DIR/2, ..."] = ""
    masks: Annotated[
        mask_encoding.Form,
        "Masks of a detector: each as the square that spans its box, pasted into the picture, or so as COCO's run "
        "lengths.",
        When("detector.masks", True),
    ] = "squares"
    precision: Annotated[
        Literal["run", "float32", "bfloat16"], "What the network computes in; `run`: as --train.precision."
    ] = "run"
    device: Annotated[
        Literal["cpu", "any"],
        "cpu: operations that are fast on CPUs. any: those that are fast on a GPU, and that other runtimes know.",
    ] = "cpu"


def export(
    task, model, experiment: Experiment, out: str | Path, about: dict, *, masks: mask_encoding.Form, device: str
) -> tuple[Path, dict[str, tuple[dict, dict]]]:
    """Writes the next version of a SavedModel to the folder `out`, whole or not at all.

    Returns:
        Its folder, and the inputs and outputs of each signature, name → TensorSpec.
    """
    archive, described = keras.export.ExportArchive(), {}  # It finds the variables that the functions read.
    for name, one in serving.signatures(task, model, experiment, masks, TARGETS[device]).items():
        graph = archive.add_endpoint(name, one.call, one.inputs).get_concrete_function()
        described[name] = {spec.name: spec for spec in one.inputs}, graph.structured_outputs
    with versions.new(out) as version:
        # No gradients: nobody trains a served model on.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        archive.write_out(str(version.draft), options=options, verbose=False)
        extra = version.draft / metadata.EXTRA
        metadata.write(extra, about | {"masks": masks if experiment.detector.masks else None, "device": device})
    return version.final, described


def report(out: Path, final: Path, signatures: dict[str, tuple[dict, dict]]) -> str:
    """What was written, and what to type next."""
    size = sum(part.stat().st_size for part in final.rglob("*") if part.is_file())
    lines = [f"Wrote {final} ({size / 1e6:,.1f} MB)"]
    for name, (inputs, _) in signatures.items():
        lines += [f"  {name} takes {', '.join(_shown(*one) for one in inputs.items())}"]
    outputs = signatures[serving.BYTES][1]
    lines += ["  each gives", *(f"    {_shown(*one)}" for one in sorted(outputs.items()))]
    name, docker = out.resolve().name, "docker run --rm -p 8501:8501"
    lines += [
        "To go on:",
        f"  python -m export.verify --flagfile=RUN/experiment.flags --artefact={out} --images='photos/*.jpg'",
        f"  python -m export.serve --model={out} --port=8080",
        f"  {docker} -v {out.resolve()}:/models/{name} -e MODEL_NAME={name} tensorflow/serving",
    ]
    return "\n".join(lines)


def _shown(name, spec):
    sides = ", ".join("?" if side is None else str(side) for side in spec.shape)
    return f"{name} {spec.dtype.name} [{sides}]"


def main(given: Export) -> None:
    """Exports and reports; what the user can mend ends the program with a message."""
    if not given.out:
        sys.exit("error: --out: name a folder for the model, as in --out=exported/NAME")
    try:
        validate.check(given)
        precision = given.train.precision if given.precision == "run" else given.precision
        given = dataclasses.replace(given, train=dataclasses.replace(given.train, precision=precision))
        versions.check(given.out)
        here = dataclasses.replace(given, train=dataclasses.replace(given.train, replicas=1))
        task, model, _, path, step = trained.restore(here, given.checkpoint)
        print(f"Exporting {path}", flush=True)
        about = metadata.of(task, given, path, step)
        final, signatures = export(task, model, given, given.out, about, masks=given.masks, device=given.device)
    except tf.errors.OpError as error:  # A full disk, for one.
        sys.exit(f"error: nothing was written to {given.out}: {str(error).splitlines()[0]}")
    except (OSError, ValueError, checkpoints.CheckpointError) as error:
        sys.exit(f"error: {error}")
    print(report(Path(given.out), final, signatures))


if __name__ == "__main__":
    with signals.told():
        main(flags.parse(Export()))
