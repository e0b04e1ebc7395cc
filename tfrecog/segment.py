"""What a segmenter sees in pictures of any size: label maps, and pictures in the colours of the classes."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from tfrecog import atomic, draw, photos
from tfrecog.data.info import Category

PREDICTIONS, LABEL_MAPS = "predictions.json", "label_maps"
UNKNOWN = 255  # in a label map file: none of the classes


def predict(task, model, paths: list[Path], out: Path, min_side: int = 0) -> dict[Path, str]:
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
    label_map_of = tf.function(lambda batch: task.predict(model, batch)["label_map"], reduce_retracing=True)
    categories = task.info.categories
    colours, values = [category.colour for category in categories], values_of(categories)
    pictures, label_maps = files(paths, out)
    broken, rows = {}, []
    for number, picture in photos.legible(paths, broken):
        labels = label_map_of(batch_of(picture))[0].numpy()
        save(labels, values, colours, label_maps[number])
        photos.save(draw.label_map(picture, labels, task.info.names, colours, min_side=min_side), pictures[number])
        there = label_maps[number].relative_to(out).as_posix()
        rows.append({"file_name": str(paths[number]), "label_map": there, "classes": _shares(labels, categories)})
    report = {
        "values": "category_id" if by_id(categories) else "position",
        "categories": [
            {"value": value, "category_id": category.id, "category_name": category.name}
            for value, category in zip(values, categories, strict=True)
        ],
        "images": rows,
    }
    with atomic.write(out / PREDICTIONS) as file:
        json.dump(report, file, indent=1)
        file.write("\n")
    return broken


def files(paths: list[Path], out: Path) -> tuple[list[Path], list[Path]]:
    """Where the picture and the label map of each image go; ValueError if one would overwrite an image."""
    return photos.picture_paths(paths, out), photos.picture_paths(paths, out / LABEL_MAPS, ".png")


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


def by_id(categories: tuple[Category, ...]) -> bool:
    """Whether the ids of the source fit into a label map file."""
    ids = [category.id for category in categories]
    return len({*ids}) == len(ids) and all(0 <= one < UNKNOWN for one in ids)


def values_of(categories: tuple[Category, ...]) -> list[int]:
    """Value [K] of each class in label map files."""
    return [category.id for category in categories] if by_id(categories) else [*range(len(categories))]


def save(labels: np.ndarray, values: list[int], colours: list, path: Path) -> None:
    """Writes labels [H, W] in 0..K as a PNG with a palette, whole or not at all."""
    palette = np.zeros([256, 3], np.uint8)
    palette[values] = draw.palette(len(values), colours)[1:]
    # A gray picture becomes one with a palette without a copy; Pillow has no such mode for arrays.
    picture = Image.fromarray(np.array([UNKNOWN, *values], np.uint8)[labels])
    picture.putpalette(palette.tobytes())
    with atomic.write(path, "wb") as file:
        picture.save(file, "PNG", optimize=True)


def _shares(labels, categories):
    """Rows of the classes in labels [H, W], the largest first."""
    counts = np.bincount(labels.ravel(), minlength=len(categories) + 1)[1:]
    return [
        {
            "category_id": categories[i].id,
            "category_name": categories[i].name,
            "share": round(int(counts[i]) / labels.size, 6),
        }
        for i in np.argsort(-counts, kind="stable")
        if counts[i]
    ]
