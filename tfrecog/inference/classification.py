"""What a classifier sees in pictures of any size."""

from collections.abc import Callable

import numpy as np

from tfrecog.config import DataConfig, Experiment
from tfrecog.data import image
from tfrecog.inference import forms, predictor

FORM = forms.FORMS["classification"]


def of_pictures(task, model, experiment: Experiment) -> Callable[[np.ndarray], np.ndarray]:
    """A function of a picture uint8 [H, W, 3]: the probabilities [K] of the classes."""
    predict = predictor.of_one(task, model)
    return lambda picture: predict(batch_of(picture, experiment))["probabilities"]


def batch_of(picture: np.ndarray, experiment: Experiment) -> dict:
    """A batch of one picture uint8 [H, W, 3], [1, S, S, 3] in 0..255; see `input_of`."""
    return {"image": input_of(picture, experiment.data, experiment.classifier.crop)[None]}


def input_of(picture: np.ndarray, data: DataConfig, crop: int) -> np.ndarray:
    """What a classifier sees of a picture uint8 [H, W, 3]: its middle, resized, [crop, crop, 3] float32 in 0..255.

    Its short side becomes `data.eval_short_side` pixels, the long one as many as torchvision's transforms give it.
    """
    return image.middle(picture, data.eval_short_side, crop, data.resize).numpy()
