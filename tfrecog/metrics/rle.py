"""Masks of an image as COCO run lengths, without the image: memory and time go with the object, not with the photo."""

import numpy as np
from pycocotools import mask as rle

from tfrecog.ops import rle as run_lengths


def paste(masks, boxes, height, width, threshold=0.5, rule="torchvision"):
    """Compressed run lengths [D] of masks [D, S, S] (probabilities) in boxes [D, 4] of an image.

    The rules are those of `ops.masks.paste` (torchvision's `paste_masks_in_image`, and detectron2's), on the pixels of
    each box alone.
    """
    return [compress(runs, height, width) for runs in run_lengths.paste(masks, boxes, height, width, threshold, rule)]


def compress(runs, height, width):
    """Compressed run lengths {"size", "counts"} of run lengths [runs] of a mask of the whole image."""
    return rle.frPyObjects({"size": [int(height), int(width)], "counts": np.asarray(runs).tolist()}, height, width)


def decompress(compressed):
    """Mask bool [H, W] of compressed run lengths."""
    return rle.decode(compressed).astype(bool)
