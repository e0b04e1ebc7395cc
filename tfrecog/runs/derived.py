"""A run that is made of another by changing its weights, and not by training."""

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras

import tfrecog
from tfrecog.cli import files, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment, plain
from tfrecog.data import info as dataset
from tfrecog.runs import checkpoints
from tfrecog.runs import folder as runs


def free(folder: str, flag: str = "out") -> Path:
    """The path of a new run's folder; ValueError if there is something."""
    if not folder:
        raise UserError(f"--{flag} is missing: the folder of the run to make")
    out = Path(folder).expanduser().resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--{flag}={folder} is not an empty folder; delete it, or choose another")
    return out


def experiment_of(options: Experiment, out: Path, **box) -> Experiment:
    """The run's flags of a command whose flags are those of a run and more, with another folder and box branch."""
    section = dataclasses.replace(options.detector, box=dataclasses.replace(options.detector.box, **box))
    return runs.resolve(dataclasses.replace(plain(options), detector=section, workdir=str(out)))


def write(
    out: Path,
    experiment: Experiment,
    info: dataset.DatasetInfo,
    model: keras.Model,
    step: int,
    note: str,
    imported: dict[str, Any] | None = None,
):
    """The folder of the run, under another name until it is whole: flags, dataset.json and a checkpoint of weights.

    `note` says in a line how it was made; `imported`, where its weights were imported from.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise UserError(f"--out={out}: cannot write there ({error.strerror}); choose another folder") from error
    try:
        checkpoints.save(draft, step, model, None, keep=1)
        dataset.save(draft, info)
        with files.write(draft / runs.FLAGFILE) as file:
            file.write(f"# Written by tfrecog {tfrecog.version()}: {note}.\n" + validate.dumps(experiment))
        if imported:
            with files.write(draft / runs.IMPORTED) as file:
                file.write(json.dumps(imported, indent=1) + "\n")
        draft.chmod(0o777 & ~files.umask())
        draft.replace(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
