"""Trainings by the name of a recipe."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfrecog.api.settings import changed, named_as_arguments
from tfrecog.cli import flags, signals, urls
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment

if TYPE_CHECKING:
    from tfrecog.evaluations.loop import Numbers

_SUFFIX = ".flags"
_RECIPE = re.compile(r"configs/([\w/]+)\.flags")


@dataclass(frozen=True)
class Recipe:
    """All settings of a training, and the name of the recipe that they are from."""

    experiment: Experiment
    name: str = ""

    def __repr__(self):
        return f"<tfrecog recipe {self.name} for {self.experiment.task}; its settings are in .experiment>"

    @named_as_arguments(records="data.records")
    def train(
        self,
        workdir: str | Path,
        records: str | Path = "",
        *,
        on_step: Callable[[int, Mapping[str, float]], object] | None = None,
    ) -> "Numbers":
        """Trains, or continues the run in `workdir`, as `python -m tfrecog.train` does.

        The command turns oneDNN on; here it is on if TF_ENABLE_ONEDNN_OPTS=1 was set before TensorFlow was imported, or
        the CPU is new. TensorFlow's operations become deterministic, in the whole process.

        Args:
            workdir: folder of the run.
            records: folder of the records; empty: `data.records` of the recipe.
            on_step: is given the number of each step that was taken, and by name its losses, gradient norm and
                learning rate. What it raises ends the training, which the same call continues from the last
                checkpoint.

        Returns:
            The numbers of the last evaluation, by name. Their `report` is the path of report.html, None without one.
        """
        from tfrecog.training import loop

        changes = {"workdir": urls.expanded(workdir)} | ({"data.records": str(records)} if records else {})
        experiment = flags.replace(self.experiment, changes)
        if not experiment.data.records:
            raise UserError("records: name the folder of the records, as in train('runs/mine', 'data')")
        try:
            return loop.train(experiment, on_step)
        except signals.Stopped as stopped:
            raise KeyboardInterrupt("the same call continues from the last checkpoint") from stopped


@named_as_arguments()
def recipe(name: str | Path, settings: Mapping[str, Any] | None = None) -> Recipe:
    """See `tfrecog.recipe`."""
    file = name if str(name).endswith(_SUFFIX) else f"configs/{name}{_SUFFIX}"
    try:
        experiment = flags.load(Experiment(), Path(file).expanduser())
    except flags.Error as error:
        raise UserError(_RECIPE.sub(r"\1", str(error)) if file is not name else str(error)) from error
    return Recipe(changed(experiment, settings or {}), str(name))
