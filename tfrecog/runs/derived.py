"""A run that is made of weights, and not by training: another run's, changed, or those of a published file."""

import dataclasses
import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

import tfrecog
from tfrecog import tasks
from tfrecog.cli import files, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment, plain
from tfrecog.data import info as dataset
from tfrecog.runs import checkpoints
from tfrecog.runs import folder as runs


def free(folder: str | Path) -> Path:
    """The path of a new run's folder; UserError if there is something."""
    if not folder:
        raise UserError("--out is missing: the folder of the run to make")
    out = Path(folder).expanduser().resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out={folder} is not an empty folder; delete it, or choose another")
    return out


def make(
    folder: str,
    options: Experiment,
    info: dataset.DatasetInfo,
    values: Mapping[str, np.ndarray],
    step: int,
    note: str,
    **box,
) -> str:
    """Makes a run of the flags `options`, but for those of its box branch; returns a line for people.

    Args:
        values: path of each variable → its numbers.
        note: says in a line how it was made.
        box: settings of the box branch.
    """
    out = free(folder)
    section = dataclasses.replace(options.detector, box=dataclasses.replace(options.detector.box, **box))
    experiment = runs.resolve(dataclasses.replace(plain(options), detector=section, workdir=str(out)))
    model = tasks.build(experiment, info).build()
    for variable in model.variables:
        variable.assign(values[variable.path])
    write(out, experiment, info, model, step, note)
    return f"Wrote {out}; python -m tfrecog.evaluate --flagfile={shlex.quote(str(Path(folder) / runs.FLAGFILE))}"


def write(
    out: Path,
    experiment: Experiment,
    info: dataset.DatasetInfo,
    model: keras.Model,
    step: int,
    note: str,
    imported: dict | None = None,
) -> None:
    """The folder of the run, under another name until it is whole: flags, dataset.json and a checkpoint of weights.

    `note` says in a line how it was made; of published weights `imported` says where they are from.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with files.folder(out) as draft:
            checkpoints.save(draft, step, model, None, keep=1)
            dataset.save(draft, info)
            with files.write(draft / runs.FLAGFILE) as file:
                file.write(f"# Written by tfrecog {tfrecog.version()}: {note}.\n" + validate.dumps(experiment))
            if imported:
                with files.write(draft / runs.IMPORTED) as file:
                    file.write(json.dumps(imported, indent=1) + "\n")
    except files.CannotWrite:
        raise
    except OSError as error:
        raise UserError(f"--out={out}: cannot write there ({error.strerror}); choose another folder") from error
