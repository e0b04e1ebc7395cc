"""Small records of every kind, written to a folder, for tests of their readers."""

import dataclasses
import io

import numpy as np
from PIL import Image

from tests import datasets
from tfrecog.data import info, records
from tfrecog.data.split import Split
from tfrecog.ops import rle

SIZES = [(40, 60), (60, 40), (50, 50), (41, 60), (48, 64), (30, 90), (64, 48), (44, 52), (40, 61)]


def encoded(pixels, kind="PNG", **options):
    """The file of an image [H, W, 3]."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, kind, **options)
    return file.getvalue()


def record(i, **changes):
    """Dark picture i with a bright L in its first box, which is that box's mask; then a crowd, then an empty box.

    The class of the whole is 1 or 2; the label map is that of the mask, 2 in it.
    """
    height, width = SIZES[i % len(SIZES)]
    y, x = 6 + i % 3, 8 + i % 5
    mask = np.zeros([height, width], bool)
    mask[y : y + 20, x : x + 8] = True
    mask[y + 12 : y + 20, x : x + 24] = True
    made = records.Record(
        encoded=encoded(np.where(mask[..., None], [250, 200, 220], [10, 20, 30])),
        format="png", height=height, width=width, filename=f"{i}.png", source_id=str(1000 + i),
        boxes=np.float32([[y, x, y + 20, x + 24], [0, 0, height, width], [5, 5, 5, 9]]),
        labels=np.array([2, 1, 1]), names=["L", "crowd", "crowd"], crowd=np.array([False, True, False]),
        areas=np.float32([mask.sum(), height * width, 0]), ids=np.arange(3) + 10 * i,
        masks=[rle.encode(mask)] * 3,
        # The corner of the L and the end of its foot; left and right.
        keypoints=np.float32([[[y + 16, x + 4, 2], [y + 16, x + 20, 1]], [[0, 0, 0]] * 2, [[0, 0, 0]] * 2]),
        label=i % 2 + 1, label_map=records.to_label_map(1 + mask),
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def write(folder, made, per_shard=4, **facts):
    """The split `train` of records in a folder, in shards of so many; `facts` of the data set."""
    shards = [made[first : first + per_shard] for first in range(0, len(made), per_shard)]
    categories = facts.pop("categories", (info.Category("crowd", 7), info.Category("L", 9)))
    kinds = dict.fromkeys(("masks", "image_labels", "label_maps"), True)
    facts = {"keypoints": ("left", "right"), "flip_pairs": ((0, 1),)} | kinds | facts
    return Split.open(datasets.write(folder, shards, categories, "train", **facts), "train")


def flip_bit(split, row):
    """Damages a record, which its checksum shows."""
    with open(split.shard(row), "r+b") as file:
        file.seek(split.index.offset[row] + 100)
        (byte,) = file.read(1)
        file.seek(-1, io.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def arrays(batches):
    """Batches of NumPy arrays."""
    return [{name: value.numpy() for name, value in batch.items()} for batch in batches]


def assert_equal_batches(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)
