"""Images of a run's records as inputs of a TFLite file, from which int8 and full take the ranges of activations."""

import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import image
from tfrecog.data.split import Split

from ..artifact import preprocess


def images(experiment: Experiment, given: dict, split: str, count: int) -> list[dict[str, np.ndarray]]:
    """Named inputs of so many images of a split of `data.records`, spread over it.

    UserError if there are no such images, or one cannot be read.

    Args:
        given: `input` of a file's metadata.
    """
    folder = experiment.data.records
    if not folder:
        raise UserError(
            "--quantize: int8 and full take the ranges of activations from images of the records: give --data.records"
        )
    records = Split.open(folder, split)
    if not len(records):
        raise UserError(
            f"--quantize: int8 and full need images, and split {split!r} of {folder} has none: name another --split"
        )
    chosen = np.unique(np.linspace(0, len(records) - 1, min(count, len(records))).astype(int))
    return [_inputs(experiment, given, records.record(int(row))) for row in chosen]


def _inputs(experiment, given, record):
    try:
        picture = image.decode(record.encoded).numpy()  # As training sees it.
    except tf.errors.InvalidArgumentError as error:
        raise UserError(
            f"the image {record.filename!r} of {experiment.data.records} cannot be read; "
            "`python -m pipelines.check` names them all"
        ) from error
    placed = preprocess.place(picture, given, experiment.data.resize)
    inputs = {"image": placed.image[None]}
    if experiment.task != "detection":
        return inputs
    if given["fit"] == "pad":
        inputs["size"] = np.array(placed.size, np.int32)
    if experiment.detector.proposals == "record":
        if record.proposals is None:
            raise UserError(
                f"{experiment.data.records} holds no proposals: add them with python -m pipelines.proposals"
            )
        inputs["proposals"] = preprocess.proposal_slots(record.proposals, placed, experiment.data.max_proposals)
    return inputs
