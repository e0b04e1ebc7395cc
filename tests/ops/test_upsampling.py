import numpy as np
import pytest
import tensorflow as tf

from tfrecog.ops import upsampling


def scores(shape=(2, 5, 4, 3)):
    return tf.random.stateless_normal(shape, (1, 2))


@pytest.mark.parametrize("half_pixels", [True, False])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_bilinear_deconvolution_is_a_bilinear_resize(factor, half_pixels):
    x, kernel = scores(), upsampling.bilinear(factor, half_pixels, 3)
    resized = upsampling.resize(x, factor, half_pixels)
    np.testing.assert_allclose(upsampling.deconvolve(x, kernel, factor, edge=True), resized, atol=2e-6)
    # In zeros they differ at the border alone: within the centres of the outermost cells all is interpolated.
    plain = upsampling.deconvolve(x, kernel, factor, edge=False).numpy()
    inner, first = resized[:, factor:-factor, factor:-factor], factor + (factor // 2 if half_pixels else factor - 1)
    np.testing.assert_allclose(
        plain[:, first : first + inner.shape[1], first : first + inner.shape[2]], inner, atol=2e-6
    )


@pytest.mark.parametrize("factor", [2, 8, 32])
def test_a_resize_in_zeros_is_all_that_a_deconvolution_reaches(factor):
    x = scores((1, 2, 3, 2))
    deconvolved = upsampling.deconvolve(x, upsampling.bilinear(factor, True, 2), factor, edge=False)
    np.testing.assert_allclose(upsampling.resize_in_zeros(x, factor), deconvolved, atol=2e-6)


def test_the_kernel_of_a_stride_of_two_is_known():
    # Each of four outputs is a quarter or three quarters of a cell away from the middle (Shelhamer et al. 2017).
    np.testing.assert_allclose(upsampling.bilinear(2, True, 1)[1, :, 0, 0], 0.75 * np.array([0.25, 0.75, 0.75, 0.25]))
    np.testing.assert_allclose(upsampling.bilinear(2, False, 1)[1, :, 0, 0], [0.5, 1, 0.5])
    assert not upsampling.bilinear(2, True, 2)[:, :, 0, 1].any(), "no class adds to another"


@pytest.mark.parametrize(("half_pixels", "first"), [(False, 0.0), (True, 1.5)])
def test_a_ramp_goes_through_the_centres_of_its_cells(half_pixels, first):
    # Cell i of stride 4 is centred at pixel 4 i + first, so where cells hold that, pixel p gets p.
    ramp = 4 * tf.range(6.0) + first
    grown = upsampling.resize(tf.reshape(ramp, [1, 1, 6, 1]), 4, half_pixels)[0, 0, :, 0].numpy()
    inside = np.arange(2, 21)
    np.testing.assert_allclose(grown[inside], inside, atol=1e-5)


def test_twice_and_twice_is_four_times_where_cells_stay_on_pixels():
    x = scores()
    twice = upsampling.resize(upsampling.resize(x, 2, False), 2, False)
    np.testing.assert_allclose(twice, upsampling.resize(x, 4, False), atol=1e-6)
