"""The variables in a checkpoint's files: found by their paths, compared with a model's, given to it."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError

PREFIX = "variables"  # of the names of the files
# What TensorFlow raises of damaged files.
_OF_DAMAGE = (ValueError, IndexError, OSError, RuntimeError, tf.errors.OpError)
AVERAGES = "averages"  # the section of `tfrecog.averages`, keyed as `model` is


class CheckpointError(UserError):
    """A checkpoint cannot be written, read, or given to this model; the message says what to do."""


@dataclass(frozen=True)
class Stored:
    """What a checkpoint holds, not yet read."""

    path: Path
    reader: Any
    keys: Mapping[str, tuple[str, list[int]]]  # as `model/PATH` → key in the file, shape

    def averaged(self) -> "Stored":
        """The same with the averages of the weights in their place, as far as it has them."""
        averages = {k.replace(AVERAGES, "model", 1): at for k, at in self.keys.items() if k.startswith(f"{AVERAGES}/")}
        return dataclasses.replace(self, keys={**self.keys, **averages})

    def value(self, key: str) -> np.ndarray:
        """The numbers of a key."""
        try:
            return self.reader.get_tensor(self.keys[key][0])
        except _OF_DAMAGE as error:
            raise CheckpointError(_damaged(self.path, error)) from error

    def assign(self, variables: Mapping[str, tf.Variable]) -> None:
        """Gives each variable the numbers of its key, in its shape; all are read before any changes."""
        values = {key: self.value(key) for key in variables}
        for key, variable in variables.items():
            variable.assign(tf.reshape(tf.cast(values[key], variable.dtype), variable.shape))


def read(path: str | Path) -> Stored:
    """What the checkpoint in the folder `path` holds."""
    try:
        reader = tf.train.load_checkpoint(str(Path(path) / PREFIX))
    except _OF_DAMAGE as error:
        raise CheckpointError(_damaged(path, error)) from error
    keys = {}
    for key, shape in reader.get_variable_to_shape_map().items():
        # TensorFlow writes / as .S and . as .. within a name.
        name = key.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE")
        keys[re.sub(r"\.(S|\.)", lambda match: "/" if match[1] == "S" else ".", name)] = (key, shape)
    return Stored(Path(path), reader, keys)


def by_path(variables: Iterable[keras.Variable], values: Iterable) -> dict[str, tf.Variable]:
    """Keras' path of each variable → its value, or what stands for it."""
    named = {}
    for variable, value in zip(variables, values, strict=True):
        if variable.path in named:
            raise CheckpointError(f"two variables have the path {variable.path!r}: give their layers different names")
        named[variable.path] = value.value if isinstance(value, keras.Variable) else value
    return named


def variables_of(model: keras.Model) -> dict[str, tf.Variable]:
    """Key of each variable of a model → its value."""
    return {f"model/{path}": value for path, value in by_path(model.variables, model.variables).items()}


def compare(wanted: Mapping[str, tf.Variable], keys: Mapping) -> tuple[dict, dict, dict]:
    """What is missing among the keys of a checkpoint, only there, and of another shape there: key → shapes."""
    missing = {key: list(variable.shape) for key, variable in wanted.items() if key not in keys}
    surplus = {key: shape for key, (_, shape) in keys.items() if key not in wanted}
    reshaped = {
        key: f"{keys[key][1]} there, {list(variable.shape)} in this model"
        for key, variable in wanted.items()
        if key in keys and list(variable.shape) != keys[key][1]
    }
    return missing, surplus, reshaped


def listing(missing: dict, surplus: dict, reshaped: dict, most: int = 10) -> str:
    """Lines for people of what `compare` found, at most so many of each kind; empty if all fits."""
    lines = []
    for title, entries in (("Missing there", missing), ("Only there", surplus), ("Of another shape", reshaped)):
        entries = {k: v for k, v in entries.items() if k.startswith("model/")} or entries  # momenta repeat the names
        shown = [f"  {key.removeprefix('model/')}: {what}\n" for key, what in list(entries.items())[:most]]
        more = [f"  ... and {len(entries) - most} more\n"] if len(entries) > most else []
        lines += [f"{title}, {len(entries)}:\n", *shown, *more] if entries else []
    return "".join(lines)


def reason(error: Exception) -> str:
    """The first line of an error, without TensorFlow's preamble."""
    text = re.sub(r"^\{\{function_node .*?\}\} ", "", str(getattr(error, "message", None) or error))
    return text.splitlines()[0]


def _damaged(path, error):
    return (
        f"the checkpoint {path} cannot be read: {reason(error)}\n"
        "If it is damaged, delete its folder: the same command then continues from the checkpoint before it."
    )
