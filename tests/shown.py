"""Pictures shown to a stand-in for a trained task, by the functions that tfrecog.predict calls."""

import tensorflow as tf

from tfrecog import tasks
from tfrecog.data import info
from tfrecog.inference import image_files

CATEGORIES = (info.Category("cat", 17), info.Category("dog", 3))


def is_red(image):
    """Where an image [..., 3] is red."""
    return (image[..., 0] > 150) & (image[..., 1] < 100)


class RedFinder:
    """A task whose model finds the one red rectangle of a picture, as a dog with score 0.8, in the resized frame."""

    info = info.DatasetInfo(CATEGORIES, {}, keypoints=("left", "right"), flip_pairs=((0, 1),), skeleton=((0, 1),))
    where = staticmethod(is_red)

    def predict(self, model, batch):
        red = self.where(batch["image"])
        rows, columns = tf.reduce_any(red, 2), tf.reduce_any(red, 1)

        def span(line):
            at = tf.where(line[0])[:, 0]
            return tf.cast(tf.reduce_min(at), tf.float32), tf.cast(tf.reduce_max(at) + 1, tf.float32)

        (y1, y2), (x1, x2) = span(rows), span(columns)
        empty = tf.zeros([3, 4])
        return {
            "boxes": tf.concat([[[y1, x1, y2, x2]], empty], 0)[None],
            "labels": tf.constant([[2, 0, 0, 0]]),
            "scores": tf.constant([[0.8, 0, 0, 0]]),
            "masks": tf.ones([1, 4, 28, 28]),
        }


def write(task, experiment, paths, out, min_side=0):
    """Writes what the task sees to the folder `out`; returns the files that could not be read, with the reason."""
    inference, broken = tasks.of(experiment.task).inference, {}
    predict = inference.of_pictures(task, None, experiment)
    legible = image_files.legible(paths, broken, task.info.reading)
    images = ((number, picture, predict(picture)) for number, picture in legible)
    inference.FORM.write(task.info, paths, out, images, min_side)
    return broken
