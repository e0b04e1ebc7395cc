"""What a network that counts sees in pictures of any size."""

import tensorflow as tf

from tfrecog.data import image
from tfrecog.inference import predictor, result_files

WRITTEN = result_files.PREDICTIONS


def files(paths, out):
    """Files beside predictions.json: none, so that nothing can be in their way."""


def of_pictures(task, model, experiment):
    """A function of a picture uint8 [H, W, 3]: how many objects are in it."""
    side, predict = experiment.counting.side, predictor.of_one(task, model)

    def count(picture):
        seen = image.resize(picture, tf.constant([side, side]), experiment.data.resize)
        return float(predict({"image": seen[None]})["count"])

    return count


def write(info, paths, out, images, min_side=0):
    """Writes the counts of images to OUT/predictions.json, a row for each."""
    rows = [{"file_name": str(paths[number]), "count": round(count, 3)} for number, _, count in images]
    result_files.write_json(out / result_files.PREDICTIONS, rows)
