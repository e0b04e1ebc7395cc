import numpy as np
import tensorflow as tf

from tfrecog.ops import anchors

RATIOS = (0.5, 1.0, 2.0)


def test_anchors_are_torchvisions(torchvision):
    # The reference: 96 x 128 pixels, a map of 6 x 8 cells with size 32 and one of 3 x 4 cells with sizes 64 and 90.
    fine = anchors.grid(anchors.cell(32, RATIOS), (6, 8), (16, 16))
    coarse = anchors.grid(anchors.cell((64, 90), RATIOS), (3, 4), (32, 32))
    np.testing.assert_array_equal(tf.concat([fine, coarse], axis=0), torchvision["anchors"])


def test_anchors_have_the_area_and_the_ratio_asked_for():
    height, width = np.split(anchors.cell(100, RATIOS, rounded=False)[:, 2:] * 2, 2, axis=1)
    np.testing.assert_allclose(height * width, 100**2, rtol=1e-6)
    np.testing.assert_allclose((height / width).ravel(), RATIOS, rtol=1e-6)


def test_the_grid_goes_by_row_then_column_then_shape():
    cells = np.array([[-1, -1, 1, 1], [-2, -2, 2, 2]], np.float32)
    centres = anchors.grid(cells, (2, 3), (10, 5)).numpy().reshape(2, 3, 2, 2, 2).mean(axis=3)
    for y in range(2):
        for x in range(3):
            np.testing.assert_array_equal(centres[y, x], [[10 * y, 5 * x]] * 2)


def test_the_shape_of_the_map_may_be_known_only_at_run_time():
    cells = anchors.cell(32, RATIOS)

    @tf.function(input_signature=[tf.TensorSpec([None, None])])
    def of_map(features):
        return anchors.grid(cells, tf.shape(features), 96 // tf.shape(features))

    np.testing.assert_array_equal(of_map(tf.zeros([6, 3])), anchors.grid(cells, (6, 3), (16, 32)))
