import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import sides
from tests.matrices import representatives
from tfrecog.config import BackboneConfig, ClassifierConfig
from tfrecog.models import classifier
from tfrecog.models.backbones import alexnet, build, resnet, vgg


# One of a kind; MobileNetV3 since TensorFlow 2.21 ends the process at some depthwise convolutions in a graph.
@pytest.mark.parametrize("name", ["alexnet", "resnet18", "mobilenet_v3_large"])
def test_a_graph_gives_the_logits_of_eager_execution_at_any_size(name):
    model = classifier.build(ClassifierConfig(name=name), 7)
    images = tf.constant(np.random.default_rng(0).integers(0, 255, [2, 72, 97, 3]).astype(np.float32))
    logits = model.logits(images)
    model.built = True
    of_any_size = tf.function(model, [tf.TensorSpec([None, None, None, 3])])
    assert logits.shape == [2, 7]
    np.testing.assert_allclose(of_any_size(images).numpy(), logits.numpy(), atol=1e-4)


# As torchvision's table of models says; VGG16's 4224 biases before a batch norm are not needed.
PUBLISHED = {
    "alexnet": 61_100_840,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992 - 4_224,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "mobilenet_v3_large": 5_483_032,
}


@pytest.mark.parametrize(
    "name", representatives(PUBLISHED, "alexnet", "vgg16_bn", "resnet18", "resnext50_32x4d", "mobilenet_v3_large")
)
def test_a_network_has_as_many_weights_as_is_published(name):
    with sides.zeros():
        model = classifier.build(ClassifierConfig(name=name), 1000)
        model.logits(tf.zeros([1, 64, 64, 3]))
    assert sum(int(np.prod(variable.shape)) for variable in model.trainable_variables) == PUBLISHED[name]


@pytest.mark.parametrize(("name", "hidden"), [("lenet_modern", 1), ("lecun1989", 1), ("lenet5", 2)])
def test_dropout_is_on_every_fully_connected_layer_but_the_last(name, hidden):
    model = classifier.build(ClassifierConfig(name=name, dropout=0.9), 10)
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, [4, 28, 28, 3]), tf.float32)
    seen = []
    for dense in model.dense:
        dense.call = lambda x, call=dense.call: (seen.append(x.numpy()), call(x))[1]
    for training in (True, False):
        seen.clear()
        model.logits(images, training=training, seed=tf.constant([[1, 2], [3, 4], [5, 6], [1, 2]]))
        resting = [float(np.mean(x == 0)) for x in seen[1:]]
        assert len(resting) == hidden and all((share > 0.8) == training for share in resting)
        assert np.mean(seen[0] == 0) < 0.8


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_with_zero_gamma_a_block_starts_as_its_shortcut(name):
    stage = resnet.stage(BackboneConfig(name=name, width=8, norm="batch"), 3, zero_gamma=True)
    x = tf.random.stateless_uniform([2, 4, 4, 8], (1, 2))
    for block in stage.blocks:
        y = block(x, training=True)
        shortcut = x if block.shortcut is None else tf.nn.relu(block.shortcut(x, training=True))
        np.testing.assert_array_equal(y, shortcut)
        x = y


@pytest.mark.parametrize("zero_gamma", [False, True])
def test_a_classifier_has_zero_gamma_if_it_is_told_to(zero_gamma):
    model = classifier.build(ClassifierConfig(name="resnet18", zero_gamma=zero_gamma), 10)
    model.logits(tf.zeros([1, 32, 32, 3]))
    zero = {v.path for v in model.trainable_variables if v.name == "gamma" and not np.any(v)}
    last = {f"backbone/res{i}/block{j}/conv2/norm/gamma" for i in (2, 3, 4, 5) for j in (1, 2)}
    assert zero == (last if zero_gamma else set())


def test_a_narrow_resnet_has_the_backbone_of_a_detector_of_its_width():
    model = classifier.build(ClassifierConfig(name="resnet18", width=16), 3)
    model.logits(tf.zeros([1, 32, 32, 3]))
    # conv5 of width 16 has 16 * 8 channels.
    assert model.dense[-1].kernel.shape == (128, 3)
    other = build.build(BackboneConfig(name="resnet18", width=16, norm="batch", frozen_stages=0))
    other(tf.zeros([1, 32, 32, 3]))
    assert [(v.path, v.shape) for v in model.backbone.variables] == [(v.path, v.shape) for v in other.variables]


def test_a_resnets_last_layer_starts_as_in_goyal_et_al():
    keras.utils.set_random_seed(0)
    model = classifier.build(ClassifierConfig(name="resnet18"), 1000)
    model.logits(tf.zeros([1, 32, 32, 3]))
    (last,) = model.dense
    # Section 5.1: a Gaussian of deviation 0.01; 512,000 numbers know it to 1e-5.
    assert last.kernel.numpy().std() == pytest.approx(0.01, abs=5e-5)
    assert abs(last.kernel.numpy().mean()) < 1e-4 and not np.any(last.bias)


@pytest.mark.parametrize("network", [alexnet.AlexNet, vgg.Vgg16])
def test_signals_neither_die_nor_explode_on_their_way_through_a_new_network(network):
    keras.utils.set_random_seed(0)
    backbone = network()
    image = tf.random.stateless_normal([1, 96, 96, 3], (1, 2))
    with tf.GradientTape() as tape:
        features = backbone(image)
        total = tf.reduce_sum(features[4])
    assert 0.02 < float(tf.math.reduce_std(features[4])) < 5  # 0.01^13 if a layer kept a hundredth.
    kernels = [v.value for v in backbone.trainable_variables if v.name == "kernel"]
    relative = [float(tf.norm(g) / tf.norm(k)) for g, k in zip(tape.gradient(total, kernels), kernels, strict=True)]
    assert max(relative) < 100 * min(relative)
