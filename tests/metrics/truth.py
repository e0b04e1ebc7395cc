"""Images of the tests of average precision: what is true of them, and detections of cats and dogs."""

from types import SimpleNamespace

import numpy as np

from tfrecog.data import records

CATEGORIES = [SimpleNamespace(name="cat", id=17), SimpleNamespace(name="dog", id=18)]
NOTHING = np.zeros([0, 4]), [], [], [], []  # boxes, labels, scores, masks, keypoints


def truth_of(boxes, labels, **more):
    """A Record of an image of 100 x 120 pixels with these objects."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    record = {"encoded": b"", "format": "png", "height": 100, "width": 120, "filename": "image.jpg", "boxes": boxes}
    record |= {"labels": np.asarray(labels, int), "areas": np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)}
    marks = {name: np.asarray(more.pop(name), bool) for name in ("crowd", "difficult") if more.get(name) is not None}
    return records.Record(**record | {"crowd": np.zeros(len(boxes), bool)} | marks | more)


def added(evaluator, truth, found):
    """The evaluator, of images by key and of what is detected in some of them."""
    for key, record in truth.items():
        evaluator.add(key, record, *found.get(key, NOTHING))
    return evaluator
