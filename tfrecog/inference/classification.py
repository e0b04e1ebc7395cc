"""What a classifier sees in pictures of any size: predictions.json, and pictures with the best classes written on."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecog.config import DataConfig, Experiment
from tfrecog.data import image
from tfrecog.inference import image_files, result_files

WRITTEN = f"pictures and {result_files.PREDICTIONS}"


def files(paths: list[Path], out: Path) -> tuple[list[Path]]:
    """Where the picture of each image goes; UserError if one would overwrite an image."""
    return (image_files.picture_paths(paths, out),)


def predict(
    task, model, strategy, experiment: Experiment, paths: list[Path], out: Path, min_side: int = 0
) -> dict[Path, str]:
    """Writes the most probable classes of the images at `paths`, and a picture of each, to the folder `out`.

    A row of predictions.json has `file_name` and `classes`, the best five with `category_id`, `category_name` and
    `probability`.

    Args:
        min_side: smaller pictures are enlarged by a whole factor, for drawing only.

    Returns:
        The files that could not be read, with the reason.
    """
    probabilities_of = tf.function(
        lambda batch: task.predict(model, {"image": batch})["probabilities"], autograph=False
    )
    (pictures,), broken, rows = files(paths, out), {}, []
    for number, picture in image_files.legible(paths, broken):
        given = input_of(picture, experiment.data, experiment.classifier.crop)
        probabilities = probabilities_of(tf.constant(given[None]))[0].numpy()
        row, lines = result_files.classes(paths[number], task.info.categories, probabilities)
        rows.append(row)
        image_files.save(result_files.written_on(picture, lines, min_side), pictures[number])
    result_files.write_json(out / result_files.PREDICTIONS, rows)
    return broken


def input_of(picture: np.ndarray, data: DataConfig, crop: int) -> np.ndarray:
    """What a classifier sees of a picture uint8 [H, W, 3]: its middle, resized, [crop, crop, 3] float32 in 0..255.

    Its short side becomes `data.eval_short_side` pixels, the long one as many as torchvision's transforms give it.
    """
    return image.middle(picture, data.eval_short_side, crop, data.resize).numpy()
