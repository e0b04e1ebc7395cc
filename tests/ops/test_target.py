"""The target of a graph decides which of equal computations it has."""

import numpy as np
import pytest
import tensorflow as tf

from tfrecog.ops import region_features, target


@pytest.mark.parametrize(("name", "has"), [("portable", True), ("tflite", False)])
def test_a_graph_that_leaves_has_no_sparse_matrices_and_a_portable_one_crop_and_resize(name, has):
    @tf.function
    def align(features, boxes):
        return region_features.roi_align(features, boxes, size=3, stride=4.0)

    with target.to(name):
        traced = align.get_concrete_function(tf.TensorSpec([1, 8, 9, 2]), tf.TensorSpec([1, 2, 4]))
    definition = traced.graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    operations = {node.op for node in nodes}  # in all functions
    assert ("CropAndResize" in operations) == has
    assert not any("Sparse" in operation for operation in operations)


def test_only_a_graph_for_this_machine_is_for_its_cpu():
    assert target.on_cpu() == (not tf.config.list_logical_devices("GPU"))
    for name in ("portable", "tflite"):
        with target.to(name):
            assert not target.on_cpu()
    assert target.target() == "machine"


def test_all_targets_agree():
    features = tf.random.stateless_normal([2, 8, 9, 3], [1, 2])
    boxes = tf.constant([[[1.0, 2, 20, 30], [-3, -3, 40, 40]], [[0, 0, 0, 0], [5, 5, 6, 9]]])

    def pooled(name):
        with target.to(name):
            return region_features.roi_align(features, boxes, size=3, stride=4.0).numpy()

    for name in ("portable", "tflite"):
        np.testing.assert_allclose(pooled(name), pooled("machine"), atol=1e-5)
