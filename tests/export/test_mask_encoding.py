"""Masks of a SavedModel: run lengths and pasted masks are those that `tfrecog.predict` writes."""

import numpy as np
import pytest
import tensorflow as tf

from export.served_graph import mask_encoding
from tfrecog.config import OutputConfig
from tfrecog.ops import pasting, rle

SIZES = np.array([[37, 50], [24, 19]], np.int32)


def detections():
    """Squares, boxes and labels of two pictures: inside, beyond every border, whole columns, without area, empty."""
    random = np.random.default_rng(0)
    squares = random.random([2, 6, 8, 8]).astype(np.float32)
    squares[0, 1] = squares[1, 2] = 1.0  # full: runs go from the bottom of a column to the top of the next
    squares[0, 2] = 0.0
    boxes = np.zeros([2, 6, 4], np.float32)
    for i, (height, width) in enumerate(SIZES):
        whole = [0, 0, height, width]
        boxes[i, :5] = [[3.2, 4.1, 17.9, 15], whole, whole, [-4, -3, height + 6.5, 9], [7, 8, 7, 8]]
    labels = np.array([[1, 2, 1, 3, 1, 0], [2, 2, 1, 0, 0, 0]], np.int32)
    return squares, boxes, labels


@pytest.mark.parametrize("rule", ["torchvision", "detectron2"])
def test_runs_and_pasted_masks_are_those_of_the_evaluation(rule):
    squares, boxes, labels = detections()
    output = OutputConfig(mask_threshold=0.45, paste=rule)
    given = [tf.constant(one) for one in (squares, boxes, labels, SIZES)]
    runs, pasted = (
        tf.function(lambda *given, form=form: mask_encoding.encode(form, *given, output))(*given).numpy()
        for form in ("runs", "pasted")
    )
    assert runs.dtype == np.int32 and pasted.dtype == np.uint8 and pasted.shape == (2, 6, 37, 50)
    for i, (height, width) in enumerate(SIZES):
        want = pasting.paste(squares[i], boxes[i], height, width, output.mask_threshold, rule)
        for j in range(6):
            mask = rle.decode(want[j], height, width) if labels[i, j] else np.zeros([height, width], bool)
            np.testing.assert_array_equal(pasted[i, j, :height, :width], mask)
            assert not pasted[i, j, height:].any() and not pasted[i, j, :, width:].any()
            if labels[i, j]:
                counts = np.trim_zeros(runs[i, j], "b")
                np.testing.assert_array_equal(rle.decode(counts, height, width), mask)
                assert counts.sum() == height * width and (counts[1:] > 0).all()  # none is split in two
            else:
                assert not runs[i, j].any()


def test_squares_stay_as_they_are():
    squares, boxes, labels = detections()
    assert mask_encoding.encode("squares", squares, boxes, labels, SIZES, OutputConfig()) is squares
