"""What a network that counts sees in pictures of any size."""

import tensorflow as tf

from tfrecog.data import image
from tfrecog.inference import forms, predictor, result_files


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


# It writes no pictures, so that nothing can be in their way.
FORM = forms.Form(write, lambda paths, out: [], result_files.PREDICTIONS, lambda info, count: f"{count:.1f} objects")
