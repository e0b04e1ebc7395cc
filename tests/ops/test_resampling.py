"""Pillow's resize in TensorFlow gives Pillow's bytes."""

import numpy as np
import PIL
import pytest
import tensorflow as tf
from PIL import Image

from tfrecog.data import image
from tfrecog.ops import resampling, target

DOWN_FIRST = int(PIL.__version__.split(".")[0]) >= 13


@pytest.fixture(scope="module")
def resize():
    """One graph for all sizes."""
    specs = [tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([2], tf.int32)]
    return tf.function(resampling.resize, input_signature=specs)


def pillow(picture, size):
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def sizes():
    random = np.random.default_rng(0)
    drawn = random.integers(1, 90, [40, 4]).tolist()
    # The height loses just twice as many pixels as the width, and one more; or one side alone changes.
    drawn += [[60, 40, 40, 30], [60, 40, 39, 30], [60, 40, 30, 40], [60, 40, 60, 30], [60, 40, 60, 40], [1, 1, 7, 5]]
    if DOWN_FIRST:
        return drawn
    return [one for one in drawn if one[0] - one[2] <= max(0, 2 * (one[1] - one[3]))]


@pytest.mark.parametrize("values", ["noise", "black and white"])
def test_every_byte_is_pillows(resize, values):
    random = np.random.default_rng(1)
    for height, width, *size in sizes():
        picture = random.integers(0, 256, [height, width, 3]).astype(np.uint8)
        if values == "black and white":  # sharp edges, to the ends of the range
            picture = (picture > 127).astype(np.uint8) * 255
        got = resize(tf.constant(picture), tf.constant(size)).numpy()
        np.testing.assert_array_equal(got, pillow(picture, size), f"{picture.shape} to {size}")


def test_several_pictures_are_resized_as_each():
    pictures = np.random.default_rng(2).integers(0, 256, [2, 30, 20, 3]).astype(np.uint8)
    got = resampling.resize(tf.constant(pictures), tf.constant([12, 15])).numpy()
    for one, picture in zip(got, pictures, strict=True):
        np.testing.assert_array_equal(one, pillow(picture, (12, 15)))


def test_a_graph_that_leaves_the_process_does_not_call_python():
    def graph():
        resized = tf.function(lambda picture: image.resize(picture, [5, 4], "pillow"))
        return resized.get_concrete_function(tf.TensorSpec([None, None, 3], tf.uint8)).graph

    def calls(graph):
        nodes = [*graph.as_graph_def().node, *(n for f in graph.as_graph_def().library.function for n in f.node_def)]
        return any("PyFunc" in node.op for node in nodes)

    assert calls(graph())
    with target.to("machine"):
        assert not calls(graph())
