"""Trainings by the name of a recipe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfrecog import HOME
from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import shown
from tfrecog.config import Experiment

_SUFFIX = ".flags"


@dataclass(frozen=True)
class Recipe:
    """All settings of a training."""

    experiment: Experiment

    def train(
        self,
        workdir: str | Path,
        records: str | Path = "",
        *,
        on_step: Callable[[int, Mapping[str, float]], object] | None = None,
    ) -> dict[str, float]:
        """Trains, or continues the run in `workdir`, as `python -m tfrecog.train` does.

        Args:
            workdir: folder of the run.
            records: folder of the records; empty: `data.records` of the recipe.
            on_step: is given the number of each step that was taken, and by name its losses, gradient norm and
                learning rate. What it raises ends the training, which the same call continues from the last
                checkpoint.

        Returns:
            The numbers of the last evaluation, by name.
        """
        from tfrecog.training import loop

        changes = {"workdir": str(workdir)} | ({"data.records": str(records)} if records else {})
        experiment = flags.replace(self.experiment, changes)
        if not experiment.data.records:
            raise UserError("records: name the folder of the records, as in train('runs/mine', 'data')")
        return loop.train(experiment, on_step)


def recipe(name: str | Path, settings: Mapping[str, Any] | None = None) -> Recipe:
    """See `tfrecog.recipe`."""
    file = name if str(name).endswith(_SUFFIX) else f"configs/{name}{_SUFFIX}"
    given = [f"--{path}={shown(value)}" for path, value in (settings or {}).items()]
    try:
        experiment = flags.change(Experiment(), [f"--flagfile={file}", *given])
    except flags.Error as error:
        raise UserError(f"{error}{_near(str(name))}") from error
    validate.check(experiment)
    return Recipe(experiment)


def names() -> list[str]:
    """The names of all recipes, such as coco/mask_rcnn_r50_fpn."""
    folder = HOME / "configs"
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob(f"*{_SUFFIX}"))


def _near(name: str) -> str:
    import difflib

    if name in (known := names()) or name.endswith(_SUFFIX):
        return ""
    near = difflib.get_close_matches(name, known, 3) or [one for one in known if name in one][:3]
    return f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(known)}"
