"""Exports of a run by the commands of the package `export`."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfrecog.api import commands
from tfrecog.api.settings import changed, named_as_arguments
from tfrecog.cli import flags
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.runtime import devices

KINDS = ("saved_model", "tflite", "onnx")


@named_as_arguments()
def export(kind: str, experiment: Experiment, checkpoint: str, out: str | Path, options: Mapping[str, Any]) -> Path:
    """Writes a run's model as a command does; see `RunModel.export`."""
    if kind not in KINDS:
        raise UserError(f"{kind!r} is no kind of export; there are {', '.join(KINDS)}")
    module = commands.module(f"export.{kind}")
    of_run = {field.name: getattr(experiment, field.name) for field in dataclasses.fields(Experiment)}
    places = {"checkpoint": checkpoint, "out": str(Path(out).expanduser())}
    settings = {flags.flag_of(name): value for name, value in options.items()}
    flags_of_export = changed(module.Flags(**of_run), {**settings, **places})
    devices.choose(flags_of_export.device, "device")
    return module.export(flags_of_export)
