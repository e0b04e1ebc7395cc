"""Classifiers: a backbone, a pooling to a fixed size, fully connected layers."""

from collections.abc import Callable

import keras
import tensorflow as tf

from tfrecog.config import LENETS, BackboneConfig, ClassifierConfig
from tfrecog.models.backbones import build as backbone
from tfrecog.models.backbones import lenet, resnet
from tfrecog.models.backbones.alexnet import AlexNet
from tfrecog.models.backbones.mobilenet_v3 import hard_swish
from tfrecog.models.backbones.vgg import Vgg16
from tfrecog.models.layers import Dense, dropout
from tfrecog.ops import pooling

# Fully connected layers start small, so that all classes are about equally likely (Goyal et al. 2017, section 5.1; of
# AlexNet and VGG16 their papers).
_SMALL = 0.01
_PURPOSE = 1000  # of the random numbers of dropout


class Classifier(keras.Model):
    """Logits [B, K] of images [B, H, W, 3] in 0..255; logit k is that of label k + 1.

    The backbone has the name, and so its variables the paths, that it has in a detector: one starts from the other.

    Args:
        config: what it was built from.
        pool: turns the backbone's last map into the input of the first fully connected layer.
        dense: fully connected layers, the last with an output for each class.
    """

    def __init__(
        self,
        config: ClassifierConfig,
        backbone: keras.layers.Layer,
        pool: Callable,
        dense: list,
        name: str = "classifier",
    ):
        super().__init__(name=name, autocast=False)  # Pixels stay float32 until they are normalised.
        self.config, self.backbone, self.pool, self.dense = config, backbone, pool, dense

    def logits(self, image, training=False, seed=None):
        """As `call`; but a layer that is first called here has a path without the classifier's name in it.

        Args:
            seed: [B, 2] int32, of the dropout of each image; needed where there is dropout in training.
        """
        features = self.backbone(self.backbone.see(image), training=training)
        x = self.pool(features[max(features)])
        x = tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]])
        *hidden, last = self.dense
        units, gains = [dense.units for dense in hidden], None
        if training and hidden and self.config.dropout > 0:
            gains = tf.split(dropout(seed, self.config.dropout, [sum(units)], _PURPOSE), units, axis=1)
        for i, dense in enumerate(hidden):
            x = dense(x)
            x = tf.cast(gains[i], x.dtype) * x if gains else x
        return tf.cast(last(x), tf.float32)

    def call(self, image, training=False):
        return self.logits(image, training)


def build(config: ClassifierConfig, num_classes: int) -> Classifier:
    """The network that `config.name` names, with torchvision's shapes; its variables come with the first image."""
    name, norm = config.name, {"norm": config.norm, "epsilon": config.norm_epsilon}
    if name in LENETS:
        return _lenet(config, num_classes)
    if name == "alexnet":
        return Classifier(config, AlexNet(), _after_conv5(3, 6), _three_dense(num_classes))
    if name in ("vgg16", "vgg16_bn"):
        norm = norm if name == "vgg16_bn" else {}
        return Classifier(config, Vgg16(**norm), _after_conv5(2, 7), _three_dense(num_classes))
    section = BackboneConfig(
        name, width=config.width, norm=config.norm, norm_epsilon=config.norm_epsilon, frozen_stages=0
    )
    dense = [Dense(num_classes, kernel_initializer=_normal(), name="fc")]
    if name in resnet.BLOCKS:
        return Classifier(config, resnet.ResNet(section, zero_gamma=config.zero_gamma), _global_average, dense)
    # The last but one layer of MobileNetV3 comes after the pooling (Howard et al. 2019, 5.1).
    dense.insert(0, Dense(1280, activation=hard_swish, kernel_initializer=_normal(), name="hidden"))
    return Classifier(config, backbone.build(section), _global_average, dense)


def _lenet(config, num_classes):
    if config.name == "lenet_modern":
        he = keras.initializers.HeNormal()
        dense = [Dense(128, activation="relu", kernel_initializer=he, name="fc1"), Dense(num_classes, name="fc2")]
        return Classifier(config, lenet.LeNetModern(config.norm, config.norm_epsilon), tf.identity, dense)
    if config.name == "lenet5":
        units, network, outputs = {"c5": 120, "f6": 84}, lenet.LeNet5(), {"activation": None}
    else:
        units, network, outputs = {"h3": 30}, lenet.LeCun1989(), {"activation": lenet.squash}
    start = {"kernel_initializer": lenet.by_fan_in()}
    dense = [Dense(count, activation=lenet.squash, **start, name=name) for name, count in units.items()]
    return Classifier(config, network, tf.identity, [*dense, Dense(num_classes, **outputs, **start, name="output")])


def _normal():
    return keras.initializers.RandomNormal(stddev=_SMALL)


def _global_average(x):
    return tf.reduce_mean(tf.cast(x, tf.float32), axis=[1, 2], keepdims=True)


def _after_conv5(window, size):
    """The last max pooling, of windows of that many cells, and then a map [B, size, size, C] of any image."""
    return lambda x: pooling.adaptive_average(tf.nn.max_pool2d(x, window, 2, "VALID"), size)


def _three_dense(num_classes):
    return [
        Dense(4096, activation="relu", kernel_initializer=_normal(), name="fc6"),
        Dense(4096, activation="relu", kernel_initializer=_normal(), name="fc7"),
        Dense(num_classes, kernel_initializer=_normal(), name="fc8"),
    ]
