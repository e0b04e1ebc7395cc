"""R-CNN's features: each roi is cut out of the image, warped to a square, and sees the whole network by itself.

(Girshick et al. 2014, sections 2.1 and 2.2.) A run of it is that of a classifier with as many images as there are rois.
"""

from typing import NamedTuple

import tensorflow as tf

from tfrecog.config import DetectorConfig
from tfrecog.models.backbones import build
from tfrecog.models.detector.heads import of_each_roi
from tfrecog.models.detector.postprocess import per_image
from tfrecog.ops import target, warping

# Pixels that are worked on at once where there is no gradient: 20 crops of 227 x 227, whose features in VGG16 take
# half a gigabyte.
AT_ONCE = 2**20


class Pixels(NamedTuple):
    """The image, in place of a feature map."""

    image: tf.Tensor  # [B, H, W, 3], normalised
    size: tf.Tensor  # [B, 2], height and width of the image in its canvas


def of_rois(pixels: Pixels, rois, config: DetectorConfig):
    """Crops [B, R, S, S, 3] of rois [B, R, 4], S being box.size."""
    side, context = config.box.size, config.box.context

    def crop(image, size, rois):
        return (warping.warp(image, warping.with_context(rois, side, context), size, size=side),)

    return per_image(crop, (pixels.image, pixels.size, rois), (tf.float32,))[0]


def training_crops(network, trunk, pixels: Pixels, rois, config: DetectorConfig, seed=None):
    """Trunk outputs [B, R, units] of rois [B, R, 4], in training."""
    return trunk(_summary(network, of_rois(pixels, rois, config), config, True), training=True, seed=seed)


def inference_crops(network, trunk, pixels: Pixels, rois, valid, config: DetectorConfig):
    """Trunk outputs [B, R, units] of rois [B, R, 4], a few at a time; those that are not valid [B, R] cost nothing."""
    side, slots = config.box.size, rois.shape[1] or tf.shape(rois)[1]
    longest = tf.maximum(tf.shape(pixels.image)[2], side)
    count = tf.clip_by_value(AT_ONCE // (side * longest), 1, slots)

    def of_part(image, size, rois):
        crops = of_rois(Pixels(image[None], size[None]), rois[None], config)
        return tf.cast(trunk(_summary(network, crops, config, False))[0], tf.float32)

    if target.target() == "tflite":  # One image, and all slots.
        least = max(1, min(slots, AT_ONCE // (side * max(pixels.image.shape[2], side))))
        used = tf.pad(rois[0], [[0, -slots % least], [0, 0]])
        parts = tf.reshape(used, [-(-slots // least), least, 4])
        out = tf.map_fn(
            lambda rois: of_part(pixels.image[0], pixels.size[0], rois),
            parts,
            fn_output_signature=tf.TensorSpec([least, trunk.units], tf.float32),
        )
        out = tf.reshape(out, [-1, out.shape[-1]])[:slots]
        return tf.where(valid[..., None], out[None], 0.0)

    def of_image(one):
        image, size, rois, valid = one
        index = tf.where(valid)[:, 0]
        parts = tf.maximum(-(-tf.shape(index)[0] // count), 1)
        used = tf.pad(tf.gather(rois, index), [[0, parts * count - tf.shape(index)[0]], [0, 0]])

        out = _in_turn(lambda rois: of_part(image, size, rois), tf.reshape(used, [parts, count, 4]), trunk)
        out = tf.reshape(out, [-1, out.shape[-1]])[: tf.shape(index)[0]]
        return tf.scatter_nd(index[:, None], out, tf.cast(tf.stack([slots, out.shape[-1]]), tf.int64))

    out = _in_turn(of_image, (*pixels, rois, valid), trunk)
    return tf.ensure_shape(out, [rois.shape[0], rois.shape[1], out.shape[-1]])


def _summary(network, crops, config, training):
    """What the fully connected layers see, [B, R, h, w, C], of crops [B, R, S, S, 3]."""
    return of_each_roi(lambda x: build.summary(config.backbone, network(x, training=training)), crops)


def _in_turn(function, batch, trunk):
    """`function` of one element of the batch after the other, its results [n, units] stacked."""
    if tf.executing_eagerly():  # When the layers are built too, in no loop.
        count = len(tf.nest.flatten(batch)[0])
        return tf.stack([function(tf.nest.map_structure(lambda x, i=i: x[i], batch)) for i in range(count)])
    signature = tf.TensorSpec([None, trunk.units], tf.float32)
    return tf.map_fn(function, batch, parallel_iterations=1, fn_output_signature=signature)
