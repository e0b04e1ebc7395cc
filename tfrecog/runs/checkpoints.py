"""Checkpoints of a run: WORKDIR/checkpoints/step-00000120/, a tf.train.Checkpoint keyed by the variables' paths.

A checkpoint is written under another name and renamed when it is whole, so a folder step-* is never half a checkpoint.
"""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict

import keras
import numpy as np
import tensorflow as tf

from tfrecog.cli import files, json_values
from tfrecog.runs import checkpoint_reader
from tfrecog.runs.checkpoint_reader import PREFIX, CheckpointError

FOLDER, BEST, METRICS, PACE = "checkpoints", "best.json", "metrics.json", "pace.json"


class Best(TypedDict):
    """What is noted of the best checkpoint."""

    step: int
    by: str
    metrics: dict[str, Any]


class Noted(TypedDict):
    """What is noted of an evaluation of a checkpoint."""

    metrics: dict[str, Any]
    rules: NotRequired[dict[str, Any]]


class Training(Protocol):
    """What a training remembers beside the weights: section → key → variable."""

    @property
    def memory(self) -> dict[str, dict[str, tf.Variable]]: ...


def save(
    workdir: str | Path,
    step: int,
    model: keras.Model,
    training: Training | None,
    keep: int,
    pace: dict[str, Any] | None = None,
) -> Path:
    """Writes the checkpoint of `step`, whole or not at all; then removes all but the best and the latest `keep`.

    Without a training there are only weights, to evaluate or to start from. `pace` is what a training that keeps to a
    time remembers of it, JSON-able.
    """
    folder, final = Path(workdir) / FOLDER, _path(workdir, step)
    checkpoint = tf.train.Checkpoint(
        model=checkpoint_reader.by_path(model.variables, model.variables),
        **(training.memory if training else {}),
        step=tf.Variable(step, dtype=tf.int64),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.remove_drafts(folder)
        with files.folder(final, replace=True) as draft:
            checkpoint.write(str(draft / PREFIX))
            if pace is not None:
                (draft / PACE).write_text(json.dumps(pace))
    except (OSError, tf.errors.OpError) as error:
        older = latest(workdir)
        raise CheckpointError(
            f"could not write the checkpoint of step {step} to {folder}: {checkpoint_reader.reason(error)}\n"
            + (f"{older} is whole and stays. " if older else "There is no older one. ")
            + "Make room, or make the folder writable; the same command then continues the run."
        ) from error
    _prune(workdir, keep)
    return final


def check_room(workdir: str | Path, model: keras.Model, training: Training, keep: int) -> None:
    """Raises CheckpointError if the disk has no room for those that a run will keep: now, and not after an epoch."""
    size = size_of(model, training)
    # Those kept, the best, and one that is being written; some may be there already.
    needed = size * max(1, keep + 2 - len(steps(workdir)))
    free = shutil.disk_usage(workdir).free
    if free < needed:
        raise CheckpointError(
            f"{workdir} has {free / 1e6:,.0f} MB free, and the checkpoints need {needed / 1e6:,.0f} MB "
            f"({size / 1e6:,.0f} MB each). Make room, choose another --workdir, or keep fewer: "
            "--train.keep_checkpoints=1"
        )


def size_of(model: keras.Model, training: Training) -> int:
    """Bytes of the numbers in a checkpoint; its files are a little larger."""
    values = [variable.value for variable in model.variables]
    values += [value for section in training.memory.values() for value in section.values()]
    return sum(int(np.prod(value.shape)) * value.dtype.size for value in values)


def restore(path: str | Path, model: keras.Model, training: Training | None = None) -> int:
    """Gives a model, and its training, all that the checkpoint at `path` has; returns its step.

    Without a training, which goes on with the weights, the model gets their averages where there are some. Raises
    CheckpointError, and changes nothing, if a variable is missing, surplus or of another shape.
    """
    there, wanted = checkpoint_reader.read(path), checkpoint_reader.variables_of(model)
    sections = ["model/"]
    if training is None:
        there = there.averaged()
    for name, section in (training.memory if training else {}).items():
        wanted |= {f"{name}/{key}": value for key, value in section.items()}
        sections.append(f"{name}/")
    differences = checkpoint_reader.compare(
        wanted, {k: v for k, v in there.keys.items() if k.startswith(tuple(sections))}
    )
    if any(differences):
        raise CheckpointError(
            f"{path} is of another model.\n{checkpoint_reader.listing(*differences)}"
            "Use the flags that it was trained with (--flagfile=RUN/experiment.flags), or another --workdir for a new "
            "run. To start a new run from the weights that fit: "
            f"--train.start_from={path} --train.skip_mismatched"
        )
    there.assign(wanted)
    return int(there.value("step"))


def steps(workdir: str | Path) -> list[int]:
    """Steps of which a run has a checkpoint, in order."""
    names = [part.name for part in (Path(workdir) / FOLDER).glob("step-*")]
    return sorted(int(name[5:]) for name in names if re.fullmatch(r"step-\d+", name))


def latest(workdir: str | Path) -> Path | None:
    """Path of a run's latest checkpoint."""
    known = steps(workdir)
    return _path(workdir, known[-1]) if known else None


def best(workdir: str | Path) -> Path | None:
    """Path of a run's best checkpoint by `mark_if_best`."""
    note = _best(workdir)
    return _path(workdir, note["step"]) if note and _path(workdir, note["step"]).is_dir() else None


def best_metric(workdir: str | Path) -> tuple[str, float] | None:
    """Name and value of the metric that chose a run's best checkpoint; None if there is none."""
    note = _best(workdir)
    return (note["by"], note["metrics"][note["by"]]) if note else None


def mark_if_best(workdir: str | Path, step: int, metrics: dict[str, float], best_by: Sequence[str]) -> bool:
    """Notes the checkpoint of `step` as the best, which is never pruned, if its metric is: the first of `best_by`
    that was measured."""
    # Without objects AP is undefined: -1, or NaN.
    by = next((name for name in best_by if metrics.get(name, -1) >= 0), None)
    note = _best(workdir)
    if by is None or (note and note["by"] == by and note["metrics"][by] >= metrics[by]):
        return False
    with files.write(Path(workdir) / FOLDER / BEST) as file:
        json.dump({"step": step, "by": by, "metrics": {k: float(v) for k, v in metrics.items()}}, file, indent=1)
    return True


def note_metrics(workdir: str | Path, step: int, metrics: dict[str, float], rules: dict[str, Any]) -> None:
    """Notes in the checkpoint of `step` what its evaluation by these rules found; they are flags and their values."""
    with files.write(_path(workdir, step) / METRICS) as file:
        json.dump({"metrics": {name: float(value) for name, value in metrics.items()}, "rules": rules}, file, indent=1)


def noted_metrics(workdir: str | Path, step: int, rules: dict[str, Any]) -> dict[str, float] | None:
    """What `note_metrics` noted of the checkpoint of `step`; None if it was not evaluated by these rules."""
    path = _path(workdir, step) / METRICS
    noted = json_values.load(path, Noted, "delete it: the evaluation is repeated") if path.is_file() else None
    same = noted and noted.get("rules") == json.loads(json.dumps(rules))  # JSON has lists for tuples.
    return noted["metrics"] if noted and same else None


def note_pace(workdir: str | Path, step: int, pace: dict[str, Any]) -> None:
    """Notes in the checkpoint of `step`, instead of what it has, what a training remembers of its time."""
    with files.write(_path(workdir, step) / PACE) as file:
        json.dump(pace, file)


def noted_pace(workdir: str | Path, step: int) -> dict[str, Any] | None:
    """What the checkpoint of `step` has of the time of its training; None if nothing."""
    path = _path(workdir, step) / PACE
    return json_values.load(path, dict[str, Any], "delete it: the time begins anew") if path.is_file() else None


def find(source: str | Path) -> Path:
    """Returns the checkpoint at `source`; of a run's folder, the best or else the latest."""
    path = Path(source)
    if path.name.startswith(f"{PREFIX}."):
        path = path.parent
    if (path / f"{PREFIX}.index").is_file():
        return path
    found = best(path) or latest(path)
    if found is None:
        name = path.name if path.parent.name == "weights" else "NAME"
        raise CheckpointError(
            f"no checkpoint at {source}: give the --workdir of a run, or one of its checkpoints/step-*. Published "
            f"weights become a run by python -m tfrecog.import_weights --model={name} --out=weights/{name}"
        )
    return found


def _best(workdir):
    path = Path(workdir) / FOLDER / BEST
    return json_values.load(path, Best, "delete it: the next evaluation writes it") if path.is_file() else None


def _path(workdir, step):
    return Path(workdir) / FOLDER / f"step-{step:08d}"


def _prune(workdir, keep):
    note = _best(workdir)
    for step in steps(workdir)[:-keep]:
        if not note or step != note["step"]:
            # Renamed first: a removal that is cut short leaves no half of a checkpoint under its name.
            rubbish = _path(workdir, step).with_name(f"{files.DRAFT}{step:08d}")
            shutil.rmtree(rubbish, ignore_errors=True)
            _path(workdir, step).rename(rubbish)
            shutil.rmtree(rubbish, ignore_errors=True)
