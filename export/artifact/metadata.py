"""The metadata of an exported model: its classes, the run that it was made from, and what its outputs mean.

Nothing here imports TensorFlow: devices have none.
"""

import json
from pathlib import Path

import tfrecog
from tfrecog.cli import files, flags, validate
from tfrecog.cli.errors import Status, UserError
from tfrecog.config import Experiment, plain

FORMAT = 1
FILE, LABELS, FLAGS = "tfrecog.json", "labels.txt", "experiment.flags"
EXTRA = "assets.extra"  # of a SavedModel: TensorFlow Serving passes it over
_NEEDED = (
    "task", "classes", "keypoints", "flags", "checkpoint", "step", "min_score", "mask_threshold", "paste", "resize",
    "precision",
)  # fmt: skip


class Contradiction(UserError):
    """Outputs of an exported model do not fit each other, or its metadata."""

    status = Status.FAILED


def from_run(task, experiment: Experiment, checkpoint: Path, step: int) -> dict:
    """The metadata, for JSON, of a task's model with the weights of a checkpoint.

    `classes` are in the order of the labels: label l is classes[l - 1]. `metrics` are what an evaluation of this very
    checkpoint noted in the run's metrics.json, None without one. An exporter adds what its kind of file alone has.
    """
    info, output = task.info, experiment.detector.output
    return {
        "format": FORMAT,
        "task": experiment.task,
        "name": task.name,
        "version": tfrecog.version(),
        "classes": [
            {"id": one.id, "name": one.name, "colour": list(one.colour) if one.colour else None}
            for one in info.categories
        ],
        "keypoints": list(info.keypoints) if experiment.detector.keypoints else [],
        "skeleton": [list(pair) for pair in info.skeleton],
        "flip_pairs": [list(pair) for pair in info.flip_pairs],
        "proposals": info.proposals if experiment.detector.proposals == "record" else None,
        "flags": validate.dumps(plain(experiment)),
        "checkpoint": checkpoint.name,
        "step": step,
        "metrics": metrics(experiment.workdir, step),
        "min_score": output.min_score,
        "mask_threshold": output.mask_threshold,
        "paste": output.paste,
        "resize": experiment.data.resize,
        "precision": experiment.train.precision,
    }


def metrics(workdir: str, step: int) -> dict[str, float] | None:
    """Numbers of the run's metrics.json if they are of the checkpoint of this step."""
    from tfrecog.evaluations.loop import METRICS

    try:
        report = json.loads((Path(workdir) / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report["metrics"] if report.get("step") == step else None


def names(metadata: dict) -> list[str]:
    """Class names [K]; that of label l is names[l - 1]."""
    return [one["name"] for one in metadata["classes"]]


def labels_text(metadata: dict) -> str:
    """labels.txt: the name of a class a line, that of label 1 first."""
    return "".join(f"{name}\n" for name in names(metadata))


def experiment_of(metadata: dict) -> Experiment:
    """The experiment that a model was exported with."""
    try:
        return flags.change(Experiment(), metadata["flags"].splitlines())
    except flags.Error as error:
        raise UserError(
            f"the model was exported by another version of this library: {error}. Export it again"
        ) from error


def write(folder: str | Path, metadata: dict) -> None:
    """Writes tfrecog.json, labels.txt and experiment.flags to a folder."""
    texts = {FILE: json.dumps(metadata, indent=1) + "\n", LABELS: labels_text(metadata), FLAGS: metadata["flags"]}
    for name, text in texts.items():
        with files.write(Path(folder) / name) as file:
            file.write(text)


def load(version: str | Path) -> dict:
    """The metadata of a SavedModel's folder; UserError or OSError if they cannot be read."""
    path = Path(version) / EXTRA / FILE
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path} is missing: a SavedModel of this library has it. Export one: python -m export.saved_model "
            "--flagfile=RUN/experiment.flags --out=DIR"
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); export the model again") from error
    return checked(metadata, str(path))


def checked(metadata, where: str) -> dict:
    """The metadata that were read from `where`; UserError if they are not complete."""
    if not isinstance(metadata, dict):
        raise UserError(f"{where} is not a JSON object; export the model again")
    if metadata.get("format") != FORMAT:
        raise UserError(
            f"{where} has format {metadata.get('format')}, and this version reads {FORMAT}; export the model again"
        )
    if missing := [name for name in _NEEDED if name not in metadata]:
        raise UserError(f"{where} lacks {', '.join(missing)}; export the model again")
    return metadata
