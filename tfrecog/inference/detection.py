"""Detections of a model in images, in pixels of the original image."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from tfrecog.config import DataConfig, Experiment, OutputConfig
from tfrecog.data import image as images
from tfrecog.data.detection import proposal_slots
from tfrecog.inference import forms, predictor
from tfrecog.inference.result_files import Detections
from tfrecog.ops import pasting, to_original
from tfrecog.proposals import methods

FORM = forms.FORMS["detection"]


def of_pictures(task, model, experiment: Experiment) -> Callable[[np.ndarray], Detections]:
    """A function of a picture uint8 [H, W, 3]: the detections in it.

    Where the detector reads proposals, they are made as those of the run's records were.
    """
    data, output = experiment.data, experiment.detector.output
    propose = methods.of_words(task.info.proposals) if experiment.detector.proposals == "record" else None
    predict = predictor.of_one(task, model, any_size=data.pad_to_batch_max)

    def detect(picture):
        batch = batch_of(picture, data, propose(picture) if propose else None)
        return in_original(predict(batch), {name: batch[name][0].numpy() for name in predictor.FACTS}, output)

    return detect


def detections(task, model, strategy, batches: Iterable[dict], output: OutputConfig, **options) -> Iterator[Detections]:
    """Yields the detections in each valid image of `batches`, in its own pixels; `options` are those of
    `predictor.predict_batches`."""
    for outputs, facts in predictor.predict_batches(task, model, strategy, batches, **options):
        yield in_original(outputs, facts, output)


def in_original(output: dict, image: dict, config: OutputConfig) -> Detections:
    """The filled slots of one image's output with a higher score than the `min_score`, in the original image."""
    filled = (output["labels"] > 0) & (output["scores"] > config.min_score)
    found = {name: value[filled] for name, value in output.items()}
    found["boxes"] = to_original.boxes(found["boxes"], image["scale"], image["original_size"])
    if "keypoints" in found:
        found["keypoints"] = to_original.keypoints(found["keypoints"].astype(float), image["scale"])
    size = tuple(map(int, image["original_size"]))
    if "masks" in found:
        found["masks"] = pasting.paste(found["masks"], found["boxes"], *size, config.mask_threshold, config.paste)
    return Detections.of(found, size, int(image["image_id"]), int(image["record"]))


def batch_of(
    picture: np.ndarray, data: DataConfig, proposals: np.ndarray | None = None, *, resized: bool = False
) -> dict:
    """A batch of one picture [H, W, 3], resized (unless it is that already) and padded as for evaluation.

    With its proposals [P, 4] if given.
    """
    original = size = tf.constant(picture.shape[:2])
    if not resized:
        size = images.target_size(original, data.eval_short_side, data.long_side, data.size_rounding)
        picture = images.resize(picture, size, data.resize)
    if data.pad_to_batch_max:
        canvas = images.tight_canvas(size)
    else:
        canvases = images.canvases(data.eval_short_side, data.long_side, data.aspect_ratios)
        canvas = canvases[images.canvas_of(size, canvases)]
    batch = {
        "image": images.pad(picture, canvas),
        "size": size,
        "original_size": original,
        "scale": tf.cast(size, tf.float32) / tf.cast(original, tf.float32),
        "record": tf.constant(0, tf.int64),
        "image_id": tf.constant(0, tf.int64),
        "seed": tf.zeros([2], tf.int32),
        "valid": tf.constant(True),
    }
    if proposals is not None:
        batch |= proposal_slots(proposals * tf.tile(batch["scale"], [2]), data.max_proposals)
    return {name: value[None] for name, value in batch.items()}
