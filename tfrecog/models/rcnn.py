"""Faster, Mask and Keypoint R-CNN: features, rois, pool, trunk, predict (Ren et al. 2015, He et al. 2017)."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfrecog.config import DetectorConfig, ProposalConfig
from tfrecog.models import backbone, resnet, rpn
from tfrecog.models.fpn import Fpn
from tfrecog.models.heads import BoxPredictor, DenseTrunk, KeypointHead, MaskHead, Res5
from tfrecog.ops import boxes, keypoints, regions, suppression


class Detector(keras.Model):
    """A two-stage detector of `num_classes` classes, and of `num_keypoints` joints; `call` is inference.

    `sigmas` [J] are needed to decode keypoints by the expected OKS.

    Its steps are methods that training calls too: `extract`, `propose`, `box_outputs`, `mask_logits`,
    `keypoint_logits`.
    """

    def __init__(
        self,
        config: DetectorConfig,
        num_classes: int,
        num_keypoints: int = 0,
        sigmas: Sequence[float] = (),
        name: str = "detector",
    ):
        super().__init__(name=name, autocast=False)  # Pixels stay float32 until they are normalised.
        self.config, self.num_classes, self.sigmas = config, num_classes, tuple(sigmas)
        on_pyramid = config.neck == "fpn"
        sizes, ratios = len(config.rpn.anchor_sizes), len(config.rpn.anchor_ratios)
        if on_pyramid:
            every = config.rpn.every_size
            self.backbone = backbone.build(config.backbone, last=5 if every else 1 + min(4, sizes))
            extra = 1 if every else sizes - len(self.backbone.strides)
            if extra < 0:
                raise ValueError(
                    f"--detector.rpn.anchor_sizes names {sizes} sizes for the {len(self.backbone.strides)} levels of "
                    f"{config.backbone.name}; give one each, and one more for the level above, or set "
                    "--detector.rpn.every_size"
                )
            self.neck = Fpn(config.fpn, dict(self.backbone.strides), extra)
            self.strides = dict(self.neck.strides)
            # Equation 1 knows one level of each stride; MobileNetV3's second map of stride 32 is for the RPN alone.
            self.pooled_levels = tuple(level for level, stride in self.backbone.strides.items() if stride == 2**level)
            self.trunk = DenseTrunk(config.box)
            channels, anchors_per_cell = config.fpn.channels, ratios * (sizes if every else 1)
        else:
            if config.backbone.name not in resnet.BLOCKS:
                raise ValueError(
                    f"--detector.neck=c4 needs the res5 of a ResNet as its trunk, which {config.backbone.name} does "
                    "not have; choose --detector.neck=fpn or another --detector.backbone.name"
                )
            self.pooled_levels = (4,)
            self.backbone = backbone.build(config.backbone, last=4)
            self.neck = None
            self.strides = {4: 16}
            self.trunk = Res5(resnet.stage(config.backbone, 5))
            channels, anchors_per_cell = self.backbone.channels[4], ratios * sizes
        self.rpn = rpn.RpnHead(config.rpn, channels, anchors_per_cell)
        self.box = BoxPredictor(num_classes)
        # On C4, res5 is the mask branch's convolutions as well (He et al. 2017, figure 4, left).
        self.mask = (
            MaskHead(config.mask, num_classes, config.mask.layers if on_pyramid else 0) if config.masks else None
        )
        self.keypoint = KeypointHead(config.keypoint, num_keypoints) if config.keypoints else None

    def extract(self, image, size, training=False):
        """Features {level: [B, h, w, C]} of images [B, H, W, 3] in 0..255, of which size [B, 2] pixels are valid."""
        features = self.backbone(zero_padding(self.backbone.normalize(image), size), training=training)
        return {4: features[4]} if self.neck is None else self.neck(features, training=training)

    def propose(self, features, canvas, size, limits: ProposalConfig):
        """Proposals [B, limits.total, 4] and valid [B, limits.total], and the RPN's outputs they come from.

        The outputs are objectness logits [B, A], deltas [B, A, 4] and the anchors [A, 4] of each level, in a list.
        """
        logits, deltas = self.rpn(features)
        levels = rpn.level_anchors(features, canvas, self.config.rpn, self.strides)
        steady = tf.stop_gradient(logits), tf.stop_gradient(deltas)  # Proposals are constants to the second stage.
        rois, valid = per_image(
            lambda logits, deltas, size: rpn.propose(logits, deltas, levels, size, self.config.rpn, limits),
            (*steady, size),
            (tf.float32, tf.bool),
        )
        return rois, valid, (logits, deltas, levels)

    def box_outputs(self, features, rois, training=False):
        """Class logits [B, R, K + 1] and deltas [B, R, K, 4] of rois [B, R, 4]."""
        box = self.config.box
        return self.box(self.trunk(self._pool(features, rois, box.size, box.pool_samples), training=training))

    def mask_logits(self, features, rois, training=False):
        """Mask logits [B, R, 2 S, 2 S, K] of rois [B, R, 4]."""
        if self.mask is None:
            raise ValueError("this detector was built without masks (--detector.masks)")
        mask = self.config.mask
        pooled = self._pool(features, rois, mask.size, mask.pool_samples)
        return self.mask(self.trunk(pooled, training=training) if self.neck is None else pooled, training=training)

    def keypoint_logits(self, features, rois):
        """Heat maps (logits) [B, R, 4 S, 4 S, J] of rois [B, R, 4]; they span `keypoint_spans(rois)`."""
        if self.keypoint is None:
            raise ValueError("this detector was built without keypoints (--detector.keypoints)")
        config = self.config.keypoint
        # On C4 too it reads the features themselves: its convolutions are its own.
        return self.keypoint(self._pool(features, self.keypoint_spans(rois), config.size, config.pool_samples))

    def keypoint_spans(self, rois):
        """Boxes [B, R, 4] that the heat maps of rois [B, R, 4] span: the rois, and a margin where one is asked for."""
        margin = self.config.keypoint.margin
        return boxes.grow(rois, margin) if margin else rois

    def call(self, image, size):
        """Detections in images [B, H, W, 3] in 0..255, of which size [B, 2] pixels are valid.

        Returns:
            boxes [B, D, 4] in pixels of `image`, labels [B, D] (0: empty slot), scores [B, D], by falling score,
            masks [B, D, 2 S, 2 S] in [0, 1], each in its box, and
            keypoints [B, D, J, 3]: y, x in pixels of `image`, and the logit of the peak they were read from.
        """
        features = self.extract(image, size)
        canvas = image.shape[1:3] if None not in image.shape[1:3] else tf.unstack(tf.shape(image)[1:3])
        rois, valid, _ = self.propose(features, canvas, size, self.config.rpn.infer)
        logits, deltas = self.box_outputs(features, rois)
        found = per_image(
            lambda *one: detect(*one, self.config),
            (logits, deltas, rois, valid, size),
            (tf.float32, tf.int32, tf.float32),
        )
        detections = dict(zip(("boxes", "labels", "scores"), found, strict=True))
        if self.mask is not None:
            detections["masks"] = self._masks(features, detections["boxes"], detections["labels"])
        if self.keypoint is not None:
            detections["keypoints"] = self._keypoints(features, detections["boxes"], detections["labels"])
        return detections

    def _masks(self, features, found, labels):
        """Probabilities [B, D, 2 S, 2 S] of each detection's own class; empty slots cost nothing."""
        used = _most(labels)
        logits = self.mask_logits(features, found[:, :used])
        own = tf.gather(logits, tf.maximum(labels[:, :used] - 1, 0), axis=-1, batch_dims=2)
        masks = tf.sigmoid(own) * tf.cast(labels[:, :used, None, None] > 0, tf.float32)
        slots = found.shape[1]
        return tf.ensure_shape(tf.pad(masks, [[0, 0], [0, slots - used], [0, 0], [0, 0]]), [None, slots, None, None])

    def _keypoints(self, features, found, labels):
        """Keypoints [B, D, J, 3] of each detection; empty slots cost nothing."""
        used, slots = _most(labels), found.shape[1]
        logits, spans = self.keypoint_logits(features, found[:, :used]), self.keypoint_spans(found[:, :used])
        size, joints = logits.shape[3:]
        logits, spans = tf.reshape(logits, [-1, size, size, joints]), tf.reshape(spans, [-1, 4])
        if self.config.keypoint.decode == "peak":
            decoded = keypoints.decode(logits, spans)
        else:
            area = tf.reshape(boxes.area(found[:, :used]), [-1])
            decoded = keypoints.decode_expected(logits, spans, area, self.sigmas)
        decoded = tf.reshape(decoded, [-1, used, joints, 3]) * tf.cast(labels[:, :used, None, None] > 0, tf.float32)
        decoded = tf.pad(decoded, [[0, 0], [0, slots - used], [0, 0], [0, 0]])
        return tf.ensure_shape(decoded, [None, slots, joints, 3])

    def _pool(self, features, rois, size, samples):
        pooled = {level: features[level] for level in self.pooled_levels}
        config = self.config
        return regions.multilevel(pooled, rois, size=size, samples=samples, aligned=config.aligned, op=config.pool)


def _most(labels):
    """Slots that the image with the most detections fills, of labels [B, D]; at least 1."""
    return tf.maximum(tf.reduce_max(tf.reduce_sum(tf.cast(labels > 0, tf.int32), axis=1)), 1)


def zero_padding(image, size):
    """Images [B, H, W, 3] with 0 outside size [B, 2]."""
    rows = tf.sequence_mask(size[:, 0], tf.shape(image)[1])
    columns = tf.sequence_mask(size[:, 1], tf.shape(image)[2])
    return tf.where((rows[:, :, None] & columns[:, None, :])[..., None], image, 0.0)


def detect(logits, deltas, rois, valid, size, config: DetectorConfig):
    """Detections of one image: boxes [D, 4], labels [D], scores [D] by falling score; empty slots are zeros.

    Args:
        logits: [R, K + 1].
        deltas: [R, K, 4].
        rois: [R, 4].
        valid: [R].
        size: [2], height and width of the image in its canvas.
    """
    output = config.output
    scores = tf.nn.softmax(logits)[:, 1:]
    moved = boxes.clip(boxes.decode(deltas, rois[:, None], config.box.delta_scale), size)
    keep = valid[:, None] & (scores > output.min_score) & boxes.long_enough(moved, output.min_size)
    where = tf.where(keep)
    # One empty candidate, so that there is always one.
    candidates = tf.pad(tf.gather_nd(moved, where), [[0, 1], [0, 0]])
    labels = tf.pad(tf.cast(where[:, 1], tf.int32) + 1, [[0, 1]])
    scores = tf.pad(tf.gather_nd(scores, where), [[0, 1]], constant_values=-float("inf"))
    index, found = suppression.nms_by_group(candidates, scores, labels, output.nms_iou, output.max_detections)
    return (
        tf.where(found[:, None], tf.gather(candidates, index), 0.0),
        tf.where(found, tf.gather(labels, index), 0),
        tf.where(found, tf.gather(scores, index), 0.0),
    )


def per_image(function, batch: tuple, dtypes: tuple) -> tuple:
    """`function` of each image's tensors, its results stacked; side by side where the batch size is known."""
    if batch[0].shape[0] is None:
        return tf.map_fn(lambda one: function(*one), batch, fn_output_signature=dtypes)
    results = [function(*(x[i] for x in batch)) for i in range(batch[0].shape[0])]
    return tuple(tf.stack(x) for x in zip(*results, strict=True))
