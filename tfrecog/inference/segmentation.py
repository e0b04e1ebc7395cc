"""What a segmenter sees in pictures of any size: label maps, and pictures in the colours of the classes."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.drawing import label_map
from tfrecog.inference import image_files, result_files

WRITTEN = f"pictures, {result_files.LABEL_MAPS} and {result_files.PREDICTIONS}"
files = result_files.files


def predict(
    task, model, strategy, experiment: Experiment, paths: list[Path], out: Path, min_side: int = 0
) -> dict[Path, str]:
    """Writes the label maps of the images at `paths`, and a picture of each with a legend, to the folder `out`.

    A label map, OUT/label_maps/NAME.png, is as large as its image (turned upright) and has the palette of the classes;
    what its values are, says predictions.json under `values`: `category_id`, the ids of the data's source, or
    `position`, the classes counted from 0, where an id has no room in a byte. `images` has a row for each image:
    `file_name`, `label_map` and `classes` with `category_id`, `category_name` and their `share` of the pixels.

    Args:
        min_side: smaller pictures are enlarged by a whole factor, for drawing only.

    Returns:
        The files that could not be read, with the reason.
    """
    label_map_of = tf.function(
        lambda batch: task.predict(model, batch)["label_map"], autograph=False, reduce_retracing=True
    )
    categories = task.info.categories
    colours, values = [category.colour for category in categories], result_files.values_of(categories)
    pictures, label_maps = files(paths, out)
    broken, rows = {}, []
    for number, picture in image_files.legible(paths, broken):
        labels = label_map_of(batch_of(picture))[0].numpy()
        result_files.save(labels, values, colours, label_maps[number])
        image_files.save(label_map.draw(picture, labels, task.info.names, colours, min_side=min_side), pictures[number])
        file = label_maps[number].relative_to(out).as_posix()
        classes = result_files.shares(labels, categories)
        rows.append({"file_name": str(paths[number]), "label_map": file, "classes": classes})
    result_files.write_json(out / result_files.PREDICTIONS, result_files.label_map_report(categories, rows))
    return broken


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
