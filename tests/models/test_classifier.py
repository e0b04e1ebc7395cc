import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import BackboneConfig, ClassifierConfig
from tfrecog.models import classifier
from tfrecog.models.backbones import alexnet, build, resnet, vgg
from tfrecog.runtime import distribution


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


@pytest.mark.parametrize(
    "name, weights",
    # As torchvision's table of models says; VGG16's 4224 biases before a batch norm are not needed.
    [("alexnet", 61_100_840), ("vgg16", 138_357_544), ("vgg16_bn", 138_365_992 - 4_224), ("resnet18", 11_689_512),
     ("resnet50", 25_557_032), ("mobilenet_v3_large", 5_483_032)],
)  # fmt: skip
def test_a_network_has_as_many_weights_as_is_published(name, weights, monkeypatch):
    for initializer in ("VarianceScaling", "RandomNormal"):  # Zeros are quicker.
        monkeypatch.setattr(f"keras.initializers.{initializer}", lambda *_, **__: "zeros")
    model = classifier.build(ClassifierConfig(name=name), 1000)
    model.logits(tf.zeros([1, 64, 64, 3]))
    assert sum(int(np.prod(variable.shape)) for variable in model.trainable_variables) == weights


def tiny(dropout=0.5, units=200):
    """A classifier whose one hidden layer is the first number of an image, `units` times, and so are its outputs."""
    dense = [keras.layers.Dense(units, kernel_initializer=start) for start in ("ones", "identity")]
    return classifier.Classifier(ClassifierConfig(dropout=dropout), Seen(), tf.identity, dense)


class Seen(keras.layers.Layer):
    """A backbone that passes on one number of the image."""

    def normalize(self, image):
        return image

    def call(self, image, training=False):
        return {2: image[:, :1, :1, :1]}


SEEDS = tf.constant([[1, 2], [3, 4], [5, 6], [1, 2]])


def test_dropout_rests_its_share_of_the_units_and_makes_up_for_them():
    gains = tiny(0.2, units=5000).logits(tf.ones([4, 2, 2, 3]), training=True, seed=SEEDS).numpy()
    assert set(np.unique(gains)) == {0.0, np.float32(1.25)}
    # Of 5000 units a fifth rests, with a deviation of sqrt(5000 * 0.2 * 0.8) = 28.
    assert np.all(np.abs(np.sum(gains == 0, axis=1) - 1000) < 5 * 28)
    np.testing.assert_array_equal(gains[0], gains[3])  # Of equal seeds the same ones; of others as many as by chance:
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.mean(gains[a] != gains[b]) - 2 * 0.2 * 0.8) < 0.05


def test_nothing_rests_at_inference_nor_without_dropout():
    images = tf.ones([4, 2, 2, 3])
    np.testing.assert_array_equal(tiny().logits(images, seed=SEEDS), np.ones([4, 200]))
    np.testing.assert_array_equal(tiny(0.0).logits(images, training=True), np.ones([4, 200]))
    with pytest.raises(ValueError, match="seed"):
        tiny().logits(images, training=True)


def test_dropout_does_not_depend_on_how_a_batch_is_spread(two_replicas):
    images = tf.random.stateless_uniform([4, 2, 2, 3], (1, 2))
    with two_replicas.scope():
        model = tiny()
        model.logits(images)
    whole = model.logits(images, training=True, seed=SEEDS)
    parts = [model.logits(images[i : i + 1], training=True, seed=SEEDS[i : i + 1]) for i in range(4)]
    np.testing.assert_array_equal(tf.concat(parts, axis=0), whole)
    shares = distribution.per_replica(two_replicas, {"image": images, "seed": SEEDS})

    @tf.function
    def both():
        return two_replicas.run(lambda b: model.logits(b["image"], training=True, seed=b["seed"]), (shares,))

    together = tf.concat(two_replicas.experimental_local_results(both()), axis=0)
    np.testing.assert_allclose(together, whole, rtol=1e-6)


@pytest.mark.parametrize(("name", "hidden"), [("lenet_modern", 1), ("lecun1989", 1), ("lenet5", 2)])
def test_dropout_is_on_every_fully_connected_layer_but_the_last(name, hidden):
    model = classifier.build(ClassifierConfig(name=name, dropout=0.9), 10)
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, [4, 28, 28, 3]), tf.float32)
    seen = []
    for dense in model.dense:
        dense.call = lambda x, call=dense.call: (seen.append(x.numpy()), call(x))[1]
    model.logits(images, training=True, seed=SEEDS)
    resting = [float(np.mean(x == 0)) for x in seen[1:]]
    assert len(resting) == hidden and all(share > 0.8 for share in resting)
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
