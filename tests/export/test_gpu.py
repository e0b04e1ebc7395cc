"""What LiteRT's GPU delegate takes of our files, by its rules and as it says itself, and what it computes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

from export.litert import convert, gpu
from export.litert import graph as lite_graph
from export.parity import verification
from tests.export import gpu as delegate
from tests.export.exported import run
from tfrecog.cli.errors import UserError


def groups(content):
    """Of each subgraph how many operations run on the GPU and how many not, but of those that it takes whole."""
    model = convert.parsed(content)
    found = [gpu.operations(model, graph) for graph in model.subgraphs]
    taken = [len(gpu.largest(one)) for one in found]
    return [(count, len(one) - count) for count, one in zip(taken, found, strict=True) if count < len(one)]


def names_of(content):
    model = convert.parsed(content)
    return {one.name for graph in model.subgraphs for one in gpu.operations(model, graph) if one.refused}


def test_backbone_pyramid_and_rpn_of_a_detector_are_one_group_on_the_gpu(exported):
    """With masks and keypoints, whose loop must have no size that depends on values: else no GPU takes the file."""
    model = convert.parsed(exported("mask_rcnn").content)
    found = gpu.operations(model, model.subgraphs[0])
    taken = {*gpu.largest(found)}
    layers = [(one.layer, i in taken) for i, one in enumerate(found) if one.products]
    network = [(layer, there) for layer, there in layers if layer.split("/")[1] in ("backbone", "fpn", "rpn")]
    assert len(network) > 20 and all(there for _, there in network), network
    assert not any(there for layer, there in layers if (layer, there) not in network)
    described = gpu.describe(exported("mask_rcnn").content)
    assert described["fixed"]
    (first, *_), text = described["refused"], gpu.text(described)
    assert first["layer"] == "detector" and text.startswith(f"GPU: {described['operations']} of {described['of']} ")


def test_a_file_whose_sizes_depend_on_values_is_not_for_a_gpu():
    def call(image):
        pixels = tf.cast(image, tf.float32)
        return {"scores": tf.reduce_sum(tf.boolean_mask(pixels, pixels > 100))[None]}

    content = convert.convert(lite_graph.Graph(call, [tf.TensorSpec([1, 4, 4, 3], tf.uint8, "image")]))
    described = gpu.describe(content)
    assert not described["fixed"] and described["operations"] == 0
    assert gpu.text(described) == "GPU: nothing, for sizes of tensors depend on values"


def test_a_difference_of_the_same_number_is_refused_and_a_sum_is_not():
    """As is_finite has it, x - x == 0."""

    def call(image):
        x = tf.cast(image, tf.float32)
        return {"scores": x + x, "sound": tf.math.is_finite(x)}

    content = convert.convert(lite_graph.Graph(call, [tf.TensorSpec([1, 4, 4, 3], tf.uint8, "image")]))
    assert [(one["operation"], one["reason"]) for one in gpu.describe(content)["refused"]] == [
        ("SUB", "the same input twice")
    ]


def test_the_largest_group_is_taken_and_what_waits_for_another_is_not_in_it():
    """Two branches of two operations each after a common refused one; one of them waits for a second refused one."""
    one = gpu.Operation("ADD", "a", (), (), 7, "")
    found = [
        dataclasses.replace(one, inputs=(0,), outputs=(1,), refused="no"),
        dataclasses.replace(one, inputs=(1,), outputs=(2,)),
        dataclasses.replace(one, inputs=(2,), outputs=(3,), refused="no"),
        dataclasses.replace(one, inputs=(3,), outputs=(4,)),
        dataclasses.replace(one, inputs=(1, 2), outputs=(5,)),
        dataclasses.replace(one, inputs=(5,), outputs=(6,)),
    ]
    assert gpu.largest(found) == [1, 4, 5]
    assert gpu.largest([dataclasses.replace(each, refused="no") for each in found]) == []


def test_multiply_adds_are_those_of_the_papers():
    """A 3x3 convolution from 3 to 8 channels on 4 x 4 places, a depthwise one on them, and 128 numbers to 5."""

    def call(image):
        x = tf.nn.conv2d(tf.cast(image, tf.float32), tf.ones([3, 3, 3, 8]), 1, "SAME")
        x = tf.nn.depthwise_conv2d(x, tf.ones([3, 3, 8, 1]), [1, 1, 1, 1], "SAME")
        return {"scores": tf.reshape(x, [1, 128]) @ tf.ones([128, 5])}

    content = convert.convert(lite_graph.Graph(call, [tf.TensorSpec([1, 4, 4, 3], tf.uint8, "image")]))
    model = convert.parsed(content)
    products = [one.products for one in gpu.operations(model, model.subgraphs[0]) if one.products]
    assert products == [16 * 27 * 8, 16 * 9 * 8, 128 * 5]


@pytest.mark.parametrize("recipe", ["mask_rcnn", "segmenter", "classifier_digits"])
def test_the_delegate_takes_what_its_rules_say_and_computes_the_same(exported, recipe, tmp_path):
    one = exported(recipe)
    found, counts, refused = delegate.run(one.content, one.inputs(), tmp_path)
    assert {*counts} == {*groups(one.content)} and refused == names_of(one.content)
    for name, value in run(one.content, one.inputs()).items():
        if name == "labels":  # Of two classes that are all but equal a rounding decides.
            assert np.ptp(value) > 1 and (found[name] != value).mean() < 1e-3
        else:
            np.testing.assert_allclose(found[name], value, atol=1e-4 if "scores" in name else 1e-2, err_msg=name)


def test_only_a_tflite_file_runs_on_a_gpu(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    for path in (tmp_path, tmp_path / "model.onnx"):
        with pytest.raises(UserError, match=r"--gpu is for a TFLite file, and .* is none: leave it out"):
            verification.load(path, gpu=True)
