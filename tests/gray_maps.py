"""Records of pictures whose gray says a class of each pixel, and label maps that say another one of some."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from tests import datasets
from tfrecog.data import info, records
from tfrecog.evaluations import segmentation

NAMES = ("black", "dark, very", "dim", "gray", "pale", "white")
COLOURS = ((0, 0, 0), (255, 0, 0), None, (0, 255, 0), None, (0, 0, 255))
CATEGORIES = tuple(info.Category(name, 10 * i, colour=COLOURS[i]) for i, name in enumerate(NAMES))
SIZES = [(20, 30), (30, 20), (16, 16), (20, 30), (33, 17)]
STEP = 40  # of the grays of two classes


def maps(images=7, seed=0):
    """Pairs of true labels [H, W] in 0..6, and said ones that are half of them right; nothing is said to be pale."""
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(images):
        truth = rng.integers(0, 7, SIZES[i % len(SIZES)]).astype(np.uint8)
        other = rng.choice([1, 2, 3, 4, 6], truth.shape)
        said = np.where((rng.random(truth.shape) < 0.5) | (truth == 0) | (truth == 5), other, truth)
        pairs.append((truth, said.astype(np.uint8)))
    return pairs


def write(folder, pairs, categories=CATEGORIES, label_maps=None):
    """A folder of records of these maps in two shards, `val`; `label_maps` are PNGs in place of those of some rows."""
    made = []
    for row, (truth, said) in enumerate(pairs):
        file = io.BytesIO()
        Image.fromarray((STEP * said).astype(np.uint8)).save(file, "PNG")
        png = (label_maps or {}).get(row, records.to_label_map(truth))
        names = (f"{row}.png", str(row))
        made.append(records.Record(file.getvalue(), "png", *said.shape, *names, label_map=png))
    return datasets.write(folder, [made[:3], made[3:]], categories, label_maps=True)


class Gray:
    """A task whose model says the class of the gray of each pixel."""

    evaluation = segmentation

    info = info.DatasetInfo(CATEGORIES, {}, label_maps=True)

    def predict(self, model, batch):
        return {"label_map": tf.cast(tf.round(tf.reduce_mean(batch["image"], axis=-1) / STEP), tf.uint8)}
