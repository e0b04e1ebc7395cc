"""The target of a graph decides which of equal computations it has."""

import numpy as np
import tensorflow as tf

from tfrecog.ops import region_features
from tfrecog.ops import target as lowering


def _operations(target):
    """Types of the operations, in all functions, of a RoIAlign that is traced for a target."""

    @tf.function
    def align(features, boxes):
        return region_features.roi_align(features, boxes, size=3, stride=4.0)

    with lowering.to(target):
        graph = align.get_concrete_function(
            tf.TensorSpec([1, 8, 9, 2], tf.float32), tf.TensorSpec([1, 2, 4], tf.float32)
        ).graph
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return {node.op for node in nodes}


def test_a_portable_graph_has_crop_and_resize_and_no_sparse_matrices():
    operations = _operations("portable")
    assert "CropAndResize" in operations
    assert not any("Sparse" in name for name in operations)


def test_a_graph_for_tflite_has_neither():
    operations = _operations("tflite")
    assert "CropAndResize" not in operations
    assert not any("Sparse" in name for name in operations)


def test_only_a_graph_for_this_machine_is_for_its_cpu():
    assert lowering.on_cpu() == (not tf.config.list_logical_devices("GPU"))
    for target in ("portable", "tflite"):
        with lowering.to(target):
            assert not lowering.on_cpu()
    assert lowering.target() == "machine"


def test_all_targets_agree():
    features = tf.random.stateless_normal([2, 8, 9, 3], [1, 2])
    boxes = tf.constant([[[1.0, 2, 20, 30], [-3, -3, 40, 40]], [[0, 0, 0, 0], [5, 5, 6, 9]]])

    def pooled(target):
        with lowering.to(target):
            return region_features.roi_align(features, boxes, size=3, stride=4.0).numpy()

    for target in ("portable", "tflite"):
        np.testing.assert_allclose(pooled(target), pooled("machine"), atol=1e-5)
