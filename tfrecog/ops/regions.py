"""Features of regions: RoIAlign (Mask R-CNN, section 3) and RoIPool (Fast R-CNN, section 2.1)."""

import tensorflow as tf

from tfrecog.ops import boxes as box_ops


def roi_align(features, boxes, *, size, stride=1.0, samples=2, aligned=True, lowering="auto"):
    """Features [B, R, S, S, C] of boxes [B, R, 4]: bilinear samples of a map [B, H, W, C], averaged in S x S bins."""
    boxes = tf.stop_gradient(boxes)
    batch, rois = tf.shape(boxes)[0], tf.shape(boxes)[1]
    owner = tf.repeat(tf.range(batch), rois)
    start, extent = _roi(tf.reshape(boxes, [-1, 4]), stride, aligned)
    step = extent / (size * samples)
    first = start + 0.5 * step
    last = first + (size * samples - 1) * step
    padded = tf.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    scale = tf.cast(tf.shape(padded)[1:3] - 1, tf.float32)
    crops = tf.image.crop_and_resize(
        padded, tf.concat([(first + 1) / scale, (last + 1) / scale], -1), owner, [size * samples] * 2
    )
    pooled = tf.nn.avg_pool2d(crops, samples, samples, "VALID") if samples > 1 else crops
    return tf.reshape(pooled, [batch, rois, size, size, features.shape[-1]])


def level_of(boxes, lowest, highest):
    """Pyramid level [...] int32 whose features suit boxes [..., 4]: level 4 at 224 pixels (FPN, equation 1)."""
    side = tf.sqrt(tf.maximum(box_ops.area(boxes), 0))
    level = tf.floor(4 + tf.math.log(side / 224) / tf.math.log(2.0) + 1e-6)
    return tf.cast(tf.clip_by_value(level, lowest, highest), tf.int32)


def multilevel(features, boxes, *, size, samples=2, aligned=True, op="roi_align"):
    """Features [B, R, S, S, C] of boxes [B, R, 4], each from the level of the pyramid {level: map} that suits it."""
    level = level_of(boxes, min(features), max(features))
    out = 0
    for k, feature in features.items():
        pooled = roi_align(feature, boxes, size=size, stride=float(2**k), samples=samples, aligned=aligned)
        out += tf.where((level == k)[..., None, None, None], pooled, 0)
    return out


def _roi(boxes, stride, aligned):
    """Start and extent, both [..., 2], of boxes [..., 4] in cells of a map."""
    cells = boxes / stride - (0.5 if aligned else 0.0)
    extent = cells[..., 2:] - cells[..., :2]
    return cells[..., :2], extent if aligned else tf.maximum(extent, 1.0)
