"""Writes a model's signatures as a SavedModel, and what to type next."""

from pathlib import Path

import keras
import tensorflow as tf

from tfrecog.cli.errors import Status, UserError
from tfrecog.config import Experiment
from tfrecog.ops import target

from ..artifact import choices, metadata
from . import signatures, versions

TARGETS: dict[str, target.Target] = {"cpu": "machine", "any": "portable"}


class NotWritten(UserError):
    """TensorFlow could not write the model, for want of room perhaps."""

    status = Status.FAILED


def write(
    task, model, experiment: Experiment, out: str | Path, model_metadata: dict, *, masks: choices.Masks, device: str
) -> tuple[Path, dict[str, tuple[dict, dict]]]:
    """Writes the next version of a SavedModel to the folder `out`, whole or not at all.

    Returns:
        Its folder, and the inputs and outputs of each signature, name → TensorSpec.
    """
    archive, described = keras.export.ExportArchive(), {}  # It finds the variables that the functions read.
    for name, one in signatures.signatures(task, model, experiment, masks, TARGETS[device]).items():
        graph = archive.add_endpoint(name, one.call, one.inputs).get_concrete_function()
        described[name] = {spec.name: spec for spec in one.inputs}, graph.structured_outputs
    with versions.new(out) as version:
        # No gradients: nobody trains a served model on.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        try:
            archive.write_out(str(version.draft), options=options, verbose=False)
        except tf.errors.OpError as error:
            raise NotWritten(f"nothing was written to {out}: {str(error).splitlines()[0]}") from error
        extra = version.draft / metadata.EXTRA
        metadata.write(
            extra, model_metadata | {"masks": masks if experiment.detector.masks else None, "device": device}
        )
    return version.final, described


def report(out: Path, version: Path, described: dict[str, tuple[dict, dict]]) -> str:
    """What was written, and what to type next."""
    size = sum(part.stat().st_size for part in version.rglob("*") if part.is_file())
    lines = [f"Wrote {version} ({size / 1e6:,.1f} MB)"]
    for name, (inputs, _) in described.items():
        lines += [f"  {name} takes {', '.join(_shown(*one) for one in inputs.items())}"]
    outputs = described[signatures.BYTES][1]
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
