"""Images in NumPy and Pillow: the pixels are those of TensorFlow, which training and prediction see."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecog.data import image, image_numpy

SIZES = st.tuples(st.integers(1, 90), st.integers(1, 90))


def noise(size):
    return np.random.default_rng(0).integers(0, 256, [*size, 3]).astype(np.uint8)


@settings(deadline=None, max_examples=40)
@given(SIZES, SIZES, st.sampled_from(["bilinear", "pillow"]))
def test_resizing_is_tensorflows_or_pillows(photo, size, by):
    """The bilinear kernel may fuse a product and a sum, so its last bit of 255 differs: 255 * 2^-23 = 3e-5."""
    picture = noise(photo)
    got = image_numpy.resize(picture, size, by)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, image.resize(picture, np.array(size, np.int32), by).numpy(), atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(SIZES, st.integers(8, 64), st.integers(1, 8))
def test_the_middle_is_that_of_the_readers_of_records(photo, short, crop):
    picture = noise(photo)
    got = image_numpy.middle(picture, short, (crop, crop), "bilinear")
    np.testing.assert_allclose(got, image.middle(picture, short, crop).numpy(), atol=1e-4)
