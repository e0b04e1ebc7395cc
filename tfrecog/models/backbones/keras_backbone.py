"""Networks of keras.applications under a pyramid.

Levels 2 to 4 are the outputs of the last block of each resolution, as in TensorFlow's Object Detection API; level 5 is
what the classifier sees. The weights are Keras' own: `tfrecog.weights.keras_applications` reads them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from tfrecog.config import BackboneConfig
from tfrecog.models.layers import PIXEL_MEAN, PIXEL_STD, Backbone


@dataclass(frozen=True)
class Pixels:
    """How a network expects the pixels."""

    mean: tuple[float, ...]  # in the order of the channels that the network sees
    deviation: tuple[float, ...]
    bgr: bool = False

    def normalize(self, image):
        """RGB images [..., 3] in 0..255, less the mean and divided by the deviation."""
        image = image[..., ::-1] if self.bgr else image
        return (image - tf.constant(self.mean)) / tf.constant(self.deviation)


CAFFE = Pixels((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), bgr=True)
SYMMETRIC = Pixels((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))  # -1..1
STANDARD = Pixels(PIXEL_MEAN, PIXEL_STD)


@dataclass(frozen=True)
class Network:
    """A network of keras.applications, and the layers that end its levels 1 to 4; its output ends level 5."""

    make: Callable[..., keras.Model]
    pixels: Pixels
    ends: tuple[str, str, str, str]
    weights: tuple[str, str | None]  # of ImageNet: where at `keras_weights.SITE`, and the MD5 by which Keras knows them


# Weights as of keras/src/applications of Keras 3.15.1, which has no MD5 of MobileNetV2's.
# MobileNets end a block with a linear bottleneck, hence no activation there. VGG's first two blocks are level 1
# together: the layers that Fast R-CNN leaves as they are (Girshick 2015, section 4.5).
NETWORKS = {
    # name                             in keras.applications  pixels     level 1, stride 2
    #                                  level 2, stride 4   level 3, stride 8   level 4, stride 16
    "keras_resnet50": Network(
        keras.applications.ResNet50, CAFFE,
        ("conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out"),
        ("resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "4d473c1dd8becc155b73f8504c6f6626"),
    ),
    "keras_resnet101": Network(
        keras.applications.ResNet101, CAFFE,
        ("conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block23_out"),
        ("resnet/resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5", "88cf7a10940856eca736dc7b7e228a21"),
    ),
    "keras_vgg16": Network(
        keras.applications.VGG16, CAFFE,
        ("block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3"),
        ("vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc"),
    ),
    "keras_mobilenet_v2": Network(
        keras.applications.MobileNetV2, SYMMETRIC,
        ("expanded_conv_project_BN", "block_2_add", "block_5_add", "block_12_add"),
        ("mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5", None),
    ),
    "keras_mobilenet_v3_small": Network(
        keras.applications.MobileNetV3Small, SYMMETRIC,
        ("conv_bn", "expanded_conv_project_bn", "expanded_conv_2_add", "expanded_conv_7_add"),
        ("mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    ),
    "keras_mobilenet_v3_large": Network(
        keras.applications.MobileNetV3Large, SYMMETRIC,
        ("expanded_conv_add", "expanded_conv_2_add", "expanded_conv_5_add", "expanded_conv_11_add"),
        ("mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5", "07fb09a5933dd0c8eaafa16978110389"),
    ),
    "keras_efficientnet_v2_b0": Network(
        keras.applications.EfficientNetV2B0, STANDARD,
        ("block1a_project_activation", "block2b_add", "block3b_add", "block5e_add"),
        ("efficientnet_v2/efficientnetv2-b0_notop.h5", "893217f2bb855e2983157299931e43ff"),
    ),
}  # fmt: skip


class KerasBackbone(Backbone):
    """[B, H, W, 3] to {level: [B, H / 2**level, W / 2**level, C]} for the levels 2 to `last`; H, W in multiples of 32.

    The stem and the levels up to `config.frozen_stages` do not learn, and their batch norm runs on its moving
    statistics. Without weights it is random; it has no stochastic depth, which the randomness of a run would hang on.
    """

    def __init__(self, config: BackboneConfig, last: int = 5, name: str = "backbone"):
        super().__init__(name=name)
        network = NETWORKS[config.name]
        self.config, self.pixels = config, network.pixels
        with keras.name_scope(name):  # Names of Keras' are short; so that no other layer of a detector has them.
            whole = _make(network.make)
        ends = [*(whole.get_layer(layer).output for layer in network.ends), whole.output]
        outputs = {level: ends[level - 1] for level in range(2, last + 1)}
        self.channels = {level: output.shape[-1] for level, output in outputs.items()}
        self.strides = {level: 2**level for level in outputs}
        self.network = keras.Model(whole.input, list(outputs.values()), name="network")
        for layer in self.network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = config.norm != "frozen"
                layer.synchronized = config.norm == "sync_batch"
        if config.frozen_stages:
            for layer in keras.Model(whole.input, ends[config.frozen_stages - 1]).layers:
                layer.trainable = False

    def normalize(self, image):
        """RGB images [B, H, W, 3] in 0..255 as the network was trained with them."""
        return self.pixels.normalize(image)

    def call(self, image, training=False):
        return dict(zip(self.channels, self.network(image, training=training), strict=True))


def _make(make):
    """The network with random weights, for images of any size, without its classifier and without dropout."""
    preprocessed = make in (
        keras.applications.MobileNetV3Small,
        keras.applications.MobileNetV3Large,
        keras.applications.EfficientNetV2B0,
    )
    options = {"include_preprocessing": False} if preprocessed else {}
    network = make(include_top=False, weights=None, input_shape=(None, None, 3), **options)
    if any(isinstance(layer, keras.layers.Dropout) for layer in network.layers):
        network = keras.models.clone_model(network, clone_function=_without_dropout)
    return network


def _without_dropout(layer):
    """A copy of a layer. Keras numbers the states of dropout over a whole process, so no checkpoint could name them."""
    if isinstance(layer, keras.layers.Dropout):
        return keras.layers.Identity(name=layer.name)
    return layer.__class__.from_config(layer.get_config())
