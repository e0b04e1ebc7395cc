"""What a segmenter sees in pictures of any size."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.inference import forms, predictor

FORM = forms.FORMS["segmentation"]


def of_pictures(task, model, experiment: Experiment) -> Callable[[np.ndarray], np.ndarray]:
    """A function of a picture uint8 [H, W, 3]: the labels [H, W] of its pixels, in 0..K."""
    predict = predictor.of_one(task, model, any_size=True)
    return lambda picture: predict(batch_of(picture))["label_map"]


def batch_of(picture: np.ndarray, row: int = 0, size: int = 1) -> dict:
    """A batch of one picture uint8 [H, W, 3], a row of an index, as for evaluation; the others are fillers."""
    image = tf.cast(picture, tf.float32)[None]
    return {
        "image": tf.repeat(image, size, axis=0),
        "original_size": tf.constant([picture.shape[:2]] * size, tf.int32),
        "record": tf.constant([row] * size, tf.int64),
        "image_id": tf.constant([row] * size, tf.int64),
        "seed": tf.zeros([size, 2], tf.int32),
        "valid": tf.range(size) < 1,
    }
