"""Pictures shown to a stand-in for a trained task, by the functions that tfrecog.predict calls."""

from tfrecog import tasks
from tfrecog.inference import image_files


def write(task, experiment, paths, out, min_side=0):
    """Writes what the task sees to the folder `out`; returns the files that could not be read, with the reason."""
    inference, broken = tasks.of(experiment.task).inference, {}
    predict = inference.of_pictures(task, None, experiment)
    images = ((number, picture, predict(picture)) for number, picture in image_files.legible(paths, broken))
    inference.write(task.info, paths, out, images, min_side)
    return broken
