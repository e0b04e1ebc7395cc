"""A model of some classes, seen as one of the classes of other records."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.data.info import Category


class Relabelled:
    """A task whose labels are those of other records, by class: see `label_of`.

    So a detector of COCO's ninety ids is measured on records of the eighty that are used, or on records of three, and
    a classifier of ImageNet on records of ten of its classes.
    """

    def __init__(self, task: Any, categories: Sequence[Category]):
        """`categories` are those of the records, in the order of their labels."""
        self._task = task
        self._label_of = [0, *label_of(task.info.categories, categories)]
        place = {label: i for i, label in enumerate(self._label_of[1:]) if label}
        self._places = [place[label] for label in range(1, len(categories) + 1)]

    @property
    def name(self) -> str:
        """That of the task, for people."""
        return self._task.name

    def predict(self, model: Any, batch: dict) -> dict:
        """The task's outputs, in the labels of the records.

        The label of a detection of a class that they lack is 0, as of an empty slot. Of a classifier's probabilities
        [B, K] those of their classes are kept, and normalised to a sum of 1. The label of a pixel of a
        class that they lack is 0.
        """
        outputs = self._task.predict(model, batch)
        if "labels" in outputs:
            outputs = outputs | {"labels": tf.gather(self._label_of, outputs["labels"])}
        if "probabilities" in outputs:
            # A softmax can round all of them to 0; NaN stays NaN.
            known = tf.gather(outputs["probabilities"], self._places, axis=-1) + 1e-30
            outputs = outputs | {"probabilities": known / tf.reduce_sum(known, axis=-1, keepdims=True)}
        if "label_map" in outputs:
            # As 0, none of them: a pixel of a class that they lack is wrong wherever it counts.
            places = tf.cast(outputs["label_map"], tf.int32)
            outputs = outputs | {"label_map": tf.gather(tf.constant(self._label_of, tf.uint8), places)}
        return outputs


def label_of(trained: Sequence[Category], there: Sequence[Category]) -> list[int]:
    """For each class that was trained its label among those of records, 0 if it is not there.

    A class is the same if its name is, or its key (as n01440764 of ImageNet); so are they if the one's name is the
    other's key. ValueError if one of the records' is none of the trained.
    """
    place: dict[str, int] = {}
    for i, category in reversed(list(enumerate(trained))):
        place |= {category.key: i} if category.key else {}
    place |= {category.name: i for i, category in enumerate(trained)}
    places = [place.get(category.key, place.get(category.name)) for category in there]
    unknown = [category.name for category, known in zip(there, places, strict=True) if known is None]
    if unknown:
        classes = f"{len(unknown)} class{'es' * (len(unknown) > 1)}"
        raise UserError(
            f"the records have {classes} that the run was not trained on: {_few(unknown)}. It knows "
            f"{len(trained)}: {_few([category.name for category in trained])}. Evaluate on records of those, or "
            "fine-tune it on these first (--train.start_from=RUN --train.skip_mismatched)"
        )
    times = Counter(places)
    twice = [category.name for category, known in zip(there, places, strict=True) if times[known] > 1]
    if twice:
        raise UserError(f"the records have several classes that are one to the run: {_few(twice)}; rename them")
    labels = [0] * len(trained)
    for label, known in enumerate(places, 1):
        labels[known] = label
    return labels


def _few(names, most=10):
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
