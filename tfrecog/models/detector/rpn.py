"""Region proposal network (Ren et al. 2015, section 3)."""

import keras
import tensorflow as tf

from tfrecog.config import ProposalConfig, RpnConfig
from tfrecog.models.layers import Composite, Conv
from tfrecog.ops import anchors, boxes, nms


class RpnHead(Composite):
    """Objectness logits [B, A] and deltas [B, A, 4] of all anchors, for features {level: [B, h, w, C]}.

    The weights are shared by all levels. Anchors are ordered by level, row, column, and then as in `anchors.cell`.

    Args:
        channels: C.
        pyramid: whether the levels are those of a pyramid, each of which has one of the sizes.
    """

    def __init__(self, config: RpnConfig, channels: int, pyramid: bool, name: str = "rpn"):
        super().__init__(name=name)
        # One size a level on a pyramid, all sizes on a single map (C4).
        sizes = 1 if pyramid and not config.every_size else len(config.anchor_sizes)
        anchors_per_cell = sizes * len(config.anchor_ratios)
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.convs = [
            Conv(config.channels or channels, 3, relu=True, initializer=small, name=f"conv{i + 1}" if i else "conv")
            for i in range(config.convs)
        ]
        self.objectness = Conv(anchors_per_cell, 1, initializer=small, name="objectness")
        self.deltas = Conv(4 * anchors_per_cell, 1, initializer=small, name="deltas")

    def call(self, features):
        logits, deltas = [], []
        for level in sorted(features):
            x = features[level]
            for conv in self.convs:
                x = conv(x)
            batch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
            logits.append(tf.reshape(self.objectness(x), [batch, -1]))
            deltas.append(tf.reshape(self.deltas(x), [batch, -1, 4]))
        return tf.cast(tf.concat(logits, 1), tf.float32), tf.cast(tf.concat(deltas, 1), tf.float32)


def level_anchors(features: dict, canvas, config: RpnConfig, strides: dict[int, int]) -> list:
    """Anchors [A, 4] of each level of `features` {level: [B, h, w, C]}, on a canvas of (height, width) pixels.

    `strides` are {level: pixels from cell to cell}, for detectron2's rule. torchvision divides the canvas by the map
    and rounds down, which is less where an odd side was halved: 800 pixels on the 13 cells of P6 are 61, and not 64.
    """
    levels = sorted(features)
    exact = config.anchor_rule == "detectron2"
    together = config.every_size or len(levels) == 1  # As in `RpnHead`.
    sizes = [config.anchor_sizes] * len(levels) if together else config.anchor_sizes
    result = []
    for level, level_sizes in zip(levels, sizes, strict=True):
        height, width = features[level].shape[1:3]
        if height is None or width is None:
            height, width = tf.unstack(tf.shape(features[level])[1:3])
        stride = (strides[level],) * 2 if exact else (canvas[0] // height, canvas[1] // width)
        cell = anchors.cell(level_sizes, config.anchor_ratios, rounded=not exact)
        result.append(anchors.grid(cell, (height, width), stride))
    return result


def propose(logits, deltas, size, levels: list, config: RpnConfig, limits: ProposalConfig):
    """Proposals of one image: the best anchors of each level, moved, clipped, and thinned by suppression in each level.

    Args:
        logits: objectness [A].
        deltas: [A, 4].
        size: (height, width) [2] of the image in its canvas.
        levels: anchors [A of a level, 4] of each level.

    Returns:
        Boxes [limits.total, 4] by falling objectness, valid [limits.total], and their objectness logits [limits.total];
        empty slots are zeros.
    """
    scores, moved, groups, start = [], [], [], 0
    for group, level in enumerate(levels):
        count = level.shape[0] if level.shape[0] is not None else tf.shape(level)[0]
        top, index = tf.math.top_k(logits[start : start + count], tf.minimum(limits.per_level, count))
        moved.append(boxes.decode(tf.gather(deltas[start : start + count], index), tf.gather(level, index), (1.0,) * 4))
        scores.append(top)
        groups.append(tf.fill(tf.shape(top), group))
        start += count
    candidates = boxes.clip(tf.concat(moved, 0), size)
    scores, groups = tf.concat(scores, 0), tf.concat(groups, 0)
    keep = boxes.long_enough(candidates, config.min_size)
    if config.min_score > 0:
        keep &= tf.sigmoid(scores) >= config.min_score
    scores = tf.where(keep, scores, -float("inf"))
    index, valid = nms.nms_by_group(candidates, scores, groups, config.nms_iou, limits.total)
    kept = tf.where(valid[:, None], tf.gather(candidates, index), 0.0)
    return kept, valid, tf.where(valid, tf.gather(scores, index), 0.0)
