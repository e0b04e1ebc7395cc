"""The plan of a training: what was chosen for each flag, and why.

It is written before the training, as WORKDIR/plan.json, and a run that continues reads it back, so that it makes the
same choices whatever the machine does meanwhile.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from tfrecog.cli import facts, files, flagfiles, flags, json_values
from tfrecog.config import Experiment

FILE = flagfiles.PLAN
# What a training leaves in the folder, beside TensorBoard's events.
OF_TRAINING = ("checkpoints", flagfiles.OF_RUN, "metrics.csv", "metrics.json", "predictions", "dataset.json")


@dataclasses.dataclass(frozen=True)
class Choice:
    """A value that was chosen, for the flags that it sets."""

    what: str  # in words, such as "image size"
    flags: dict[str, Any]  # by path, such as {"data.short_side": (320,), "data.eval_short_side": 320}
    reason: str  # from the data or the machine, such as "platelets (median 8 % of the short side) need 24 pixels"
    given: bool = False  # by the user, who wins


@dataclasses.dataclass(frozen=True)
class Plan:
    """All choices of a training."""

    choices: tuple[Choice, ...]
    facts: dict[str, Any]  # of the data, those that the choices rest on
    machine: dict[str, Any]
    minutes: float
    steps: int = 0  # of the whole training; 0 before a step was measured
    measured: dict[str, Any] = dataclasses.field(default_factory=dict)  # seconds of a step, of an evaluation, ...
    asked: dict[str, str] = dataclasses.field(default_factory=dict)  # pictures, and how they were to be read and begun
    estimate: float = 0.0  # seconds of a picture in training by a rule of thumb, beside those of others; 0: unknown

    def experiment(self, **also: Any) -> Experiment:
        """The experiment that trains so; `also` are values of other flags, with `__` for a dot."""
        values = {path: value for choice in self.choices for path, value in choice.flags.items()}
        return flags.replace(Experiment(), values | {name.replace("__", "."): value for name, value in also.items()})

    def with_choices(self, *more: Choice) -> "Plan":
        """The same, with choices that replace those of the same name, and new ones after them."""
        merged = {choice.what: choice for choice in (*self.choices, *more)}
        return dataclasses.replace(self, choices=tuple(merged.values()))

    def lines(self) -> str:
        """A line a choice, for people: what, its reason, and the flags that change it."""
        rows = []
        for choice in self.choices:
            words = " ".join(f"--{path}={facts.shown(value)}" for path, value in choice.flags.items())
            rows.append(f"{choice.what}: {'as given' if choice.given else choice.reason}  [{words}]")
        return "\n".join(rows)

    def save(self, folder: str | Path) -> None:
        """Writes FOLDER/plan.json, all of it or nothing."""
        with files.write(Path(folder) / FILE) as file:
            file.write(json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def load(folder: str | Path) -> Plan:
    """The plan in FOLDER/plan.json; NotValid or OSError if it cannot be read."""
    plan = json_values.load(Path(folder) / FILE, Plan, "delete the folder, and fit again")
    return dataclasses.replace(plan, choices=tuple(map(_as_flags_have_them, plan.choices)))


def _as_flags_have_them(choice: Choice) -> Choice:
    """The choice with tuples for the lists of JSON."""
    values = {path: tuple(value) if isinstance(value, list) else value for path, value in choice.flags.items()}
    return dataclasses.replace(choice, flags=values)
