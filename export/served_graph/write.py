"""Writes a model's signatures as a SavedModel, and reports what to type next."""

import shlex
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import fingerprint_pb2

from tfrecog.cli import spelling
from tfrecog.cli.errors import Status, UserError
from tfrecog.config import Experiment
from tfrecog.ops import target

from ..artifact import metadata
from ..litert.graph import module
from . import operations, signatures, versions, warm_up

TARGETS: dict[str, target.Target] = {"cpu": "machine", "any": "portable"}


class NotWritten(UserError):
    """TensorFlow could not write the model, perhaps because the disk is full."""

    status = Status.FAILED


def write(
    task, model, experiment: Experiment, out: str, model_metadata: dict
) -> tuple[Path, dict[str, tuple[dict, dict]]]:
    """Writes the next version of a SavedModel to the folder `out`, whole or not at all.

    Args:
        model_metadata: that of `metadata.from_run`, with the form of the `masks` and the `device`.

    Returns:
        Its folder, and the inputs and outputs of each signature, name → TensorSpec.
    """
    lowering, graphs, described = TARGETS[model_metadata["device"]], {}, {}
    for name, one in signatures.signatures(task, model, experiment, model_metadata["masks"], lowering).items():
        graphs[name] = tf.function(one.call, input_signature=one.inputs, autograph=False).get_concrete_function()
        described[name] = {spec.name: spec for spec in one.inputs}, graphs[name].structured_outputs
    with versions.new(out) as version:
        # No gradients: nobody trains a served model on.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        try:
            tf.saved_model.save(module(graphs), str(version.draft), signatures=graphs, options=options)
        except tf.errors.OpError as error:
            raise NotWritten(f"nothing was written to {out}: {str(error).splitlines()[0]}") from error
        _without_uuid(version.draft / "fingerprint.pb")
        operations.check(version.draft)
        if experiment.detector.proposals != "record" or experiment.task != "detection":  # Requests have none.
            warm_up.write(version.draft, Path(out).resolve().name, experiment)
        metadata.write(version.draft, model_metadata)
    return version.final, described


def _without_uuid(path: Path) -> None:
    """Takes the random number out of a SavedModel's fingerprint: two exports of a checkpoint are the same bits."""
    fingerprint = fingerprint_pb2.FingerprintDef.FromString(path.read_bytes())
    fingerprint.ClearField("uuid")
    path.write_bytes(fingerprint.SerializeToString(deterministic=True))


def report(out: str, workdir: str, version: Path, described: dict[str, tuple[dict, dict]]) -> str:
    """What was written, and what to type next."""
    size = sum(part.stat().st_size for part in version.rglob("*") if part.is_file())
    lines = [f"Wrote {version} ({size / 1e6:,.1f} MB)"]
    for name, (inputs, _) in described.items():
        lines += [f"  {name} takes {', '.join(_shown(*one) for one in inputs.items())}"]
    outputs = described[signatures.BYTES][1]
    lines += ["  each returns", *(f"    {_shown(*one)}" for one in sorted(outputs.items()))]
    folder = Path(out).resolve()
    run, out, mount = map(shlex.quote, (str(Path(workdir, metadata.FLAGS)), out, f"{folder}:/models/{folder.name}"))
    lines += [
        "Next:",
        f"  python -m export.verify --flagfile={run} --artefact={out} --images='photos/*.jpg'",
        f"  python -m export.serve --model={out} --port=8080",
        f"  docker run --rm -p 8501:8501 -v {mount} -e MODEL_NAME={shlex.quote(folder.name)} tensorflow/serving",
    ]
    return spelling.here("\n".join(lines))


def _shown(name, spec):
    sides = ", ".join("?" if side is None else str(side) for side in spec.shape)
    return f"{name} {spec.dtype.name} [{sides}]"
