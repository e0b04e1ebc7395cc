"""A detector of some classes, seen as one of the classes of other records."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class Relabelled:
    """A detection task whose labels are those of other records, by class name; other classes are not detected.

    So a detector of COCO's ninety ids is measured on records of the eighty that are used, or on records of three.
    """

    def __init__(self, task: Any, names: Sequence[str]):
        """`names` are the classes of the records, in the order of their labels."""
        self._task = task
        self._label_of = [0, *label_of(task.info.names, names)]

    def predict(self, model: Any, batch: dict) -> dict:
        """Detections of the task, where the label of a class that the records lack is 0, as of an empty slot."""
        found = self._task.predict(model, batch)
        return found | {"labels": tf.gather(self._label_of, found["labels"])}


def label_of(trained: Sequence[str], names: Sequence[str]) -> list[int]:
    """For each class that was trained its label among `names`, 0 if it is not there; ValueError if a name has none."""
    unknown = [name for name in names if name not in trained]
    if unknown:
        raise ValueError(
            f"the records have {len(unknown)} classes that the run was not trained on: {_few(unknown)}. It knows "
            f"{len(trained)}: {_few(trained)}. Evaluate on records of those, or fine-tune it on these first "
            "(--train.start_from=RUN --train.skip_mismatched)"
        )
    return [names.index(name) + 1 if name in names else 0 for name in trained]


def _few(names, most=10):
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
