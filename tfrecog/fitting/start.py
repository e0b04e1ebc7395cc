"""The weights that a training starts from, as far as choices rest on them."""

from dataclasses import dataclass
from pathlib import Path

from tfrecog.cli import flags
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.runs import folder as runs


@dataclass(frozen=True)
class Start:
    """A run whose weights a new one begins with."""

    folder: str
    experiment: Experiment
    photographs: bool = False  # a published file's, which learned from very many photographs
    drawn: bool = False  # this package's, which learned from drawn shapes
    asked: bool = True  # by name; else they are taken where they pay


def of_run(folder: str | Path) -> Start:
    """The weights in the folder of a run, trained or imported; UserError if it is none."""
    path = Path(folder).expanduser()
    if not (path / runs.FLAGFILE).is_file():
        raise UserError(
            f"--start_from={folder} is no run: there is no {runs.FLAGFILE} in it; give the folder of one, or the name "
            "of published weights (`tfrecog import_weights` lists them)"
        )
    return Start(str(path), flags.load(Experiment(), path / runs.FLAGFILE), (path / runs.IMPORTED).is_file())


def of_starter(asked: bool) -> Start:
    """The weights that are in this package."""
    from tfrecog.weights import starter

    folder = starter.folder()
    experiment = flags.load(Experiment(), folder / runs.FLAGFILE)
    return Start(str(folder), experiment, drawn=True, asked=asked)
