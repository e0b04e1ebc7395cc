"""Classifiers: a backbone, a pooling to a fixed size, fully connected layers."""

from collections.abc import Callable

import keras
import tensorflow as tf

from tfrecog.config import BackboneConfig, ClassifierConfig
from tfrecog.models import backbone
from tfrecog.models.alexnet import AlexNet
from tfrecog.models.conv import Dense
from tfrecog.models.mobilenet_v3 import hard_swish
from tfrecog.models.vgg import Vgg16
from tfrecog.ops import pooling


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
        super().__init__(name=name)
        self.config, self.backbone, self.pool, self.dense = config, backbone, pool, dense

    def logits(self, image, training=False):
        """As `call`; but a layer that is first called here has a path without the classifier's name in it."""
        features = self.backbone(self.backbone.normalize(image), training=training)
        x = self.pool(features[max(features)])
        x = tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]])
        for dense in self.dense:
            x = dense(x)
        return x

    def call(self, image, training=False):
        return self.logits(image, training)


def build(config: ClassifierConfig, num_classes: int) -> Classifier:
    """The network that `config.name` names, with torchvision's shapes; its variables come with the first image."""
    if config.name == "alexnet":
        return Classifier(config, AlexNet(), _after_conv5(3, 6), _three_dense(num_classes))
    if config.name in ("vgg16", "vgg16_bn"):
        norm = config.norm if config.name == "vgg16_bn" else "none"
        return Classifier(config, Vgg16(norm, config.norm_epsilon), _after_conv5(2, 7), _three_dense(num_classes))
    section = BackboneConfig(name=config.name, norm=config.norm, norm_epsilon=config.norm_epsilon, frozen_stages=0)
    dense = [Dense(num_classes, name="fc")]
    if config.name == "mobilenet_v3_large":  # The last but one layer comes after the pooling (Howard et al. 2019, 5.1).
        dense.insert(0, Dense(1280, activation=hard_swish, name="hidden"))
    return Classifier(config, backbone.build(section), _global_average, dense)


def _global_average(x):
    return tf.reduce_mean(x, axis=[1, 2], keepdims=True)


def _after_conv5(window, size):
    """The last max pooling, of windows of that many cells, and then a map [B, size, size, C] of any image."""
    return lambda x: pooling.adaptive_average(tf.nn.max_pool2d(x, window, 2, "VALID"), size)


def _three_dense(num_classes):
    normal = keras.initializers.RandomNormal(stddev=0.01)
    return [
        Dense(4096, activation="relu", kernel_initializer=normal, name="fc6"),
        Dense(4096, activation="relu", kernel_initializer=normal, name="fc7"),
        Dense(num_classes, kernel_initializer=normal, name="fc8"),
    ]
