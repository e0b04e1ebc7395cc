"""What a network that counts sees in pictures of any size."""

import numpy as np
import tensorflow as tf

from tfrecog.data import image
from tfrecog.inference import image_files, result_files

WRITTEN = result_files.PREDICTIONS


def files(paths, out):
    """Files beside predictions.json: none, so that nothing can be in their way."""
    return ()


def predict(task, model, strategy, experiment, paths, out, min_side=0):
    """Writes predictions.json, a row for each image; returns the files that could not be read, with the reason."""
    side, broken, rows = experiment.counting.side, {}, []
    for number, picture in image_files.legible(paths, broken):
        seen = image.resize(picture, tf.constant([side, side]), experiment.data.resize)
        count = np.asarray(task.predict(model, {"image": seen[None]})["count"])[0]
        rows.append({"file_name": str(paths[number]), "count": round(float(count), 3)})
    result_files.write_json(out / result_files.PREDICTIONS, rows)
    return broken
