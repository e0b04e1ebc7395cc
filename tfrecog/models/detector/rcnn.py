"""The R-CNN family: features, rois, pool, trunk, predict (Girshick et al. 2014 to He et al. 2017)."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.config import BoxConfig, DetectorConfig, KeypointConfig, MaskConfig, ProposalConfig
from tfrecog.models.detector import family, rcnn_crops, rpn
from tfrecog.models.detector.heads import BoxPredictor, KeypointHead, MaskHead
from tfrecog.models.detector.postprocess import detect, most, per_image
from tfrecog.ops import boxes, keypoints, region_features


class Detector(keras.Model):
    """A two-stage detector of `num_classes` classes, and of `num_keypoints` joints; `call` is inference.

    `sigmas` [J] are needed to decode keypoints by the expected OKS.

    Its steps are methods that training calls too: `extract`, `propose`, `box_outputs`, `mask_logits`,
    `keypoint_logits`. R-CNN is the one whose feature map is the image, and whose trunk the whole network.
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
        made = family.build(config)
        self.backbone, self.neck, self.trunk = made.backbone, made.neck, made.trunk
        self.strides, self.pooled_levels = made.strides, made.pooled_levels
        own = config.proposals == "rpn"
        self.rpn = rpn.RpnHead(config.rpn, made.channels, pyramid=config.neck == "fpn") if own else None
        self.box = BoxPredictor(num_classes)
        # On C4, res5 is the mask branch's convolutions as well (He et al. 2017, figure 4, left).
        layers = 0 if config.neck == "c4" else config.mask.convs
        self.mask = MaskHead(config.mask, num_classes, layers) if config.masks else None
        self.keypoint = KeypointHead(config.keypoint, num_keypoints) if config.keypoints else None

    def extract(self, image, size, training=False):
        """Features {level: [B, h, w, C]} of images [B, H, W, 3] in 0..255, of which size [B, 2] pixels are valid.

        Those of R-CNN (--detector.pool=warp) are `crops.Pixels`, the images.
        """
        image = zero_padding(self.backbone.normalize(image), size)
        if self.config.pool == "warp":
            return rcnn_crops.Pixels(image, size)
        features = self.backbone(image, training=training)
        if self.neck is not None:
            return self.neck(features, training=training)
        return {level: features[level] for level in self.pooled_levels}

    def propose(self, features, image, size, limits: ProposalConfig):
        """Proposals [B, limits.total, 4], valid [B, limits.total] and their objectness logits; and the RPN's outputs.

        The outputs are objectness logits [B, A], deltas [B, A, 4] and the anchors [A, 4] of each level, in a list.
        """
        if self.rpn is None:
            raise ValueError("this detector was built without an RPN (--detector.proposals=record)")
        logits, deltas = self.rpn(features)
        canvas = image.shape[1:3] if None not in image.shape[1:3] else tf.unstack(tf.shape(image)[1:3])
        levels = rpn.level_anchors(features, canvas, self.config.rpn, self.strides)
        steady = tf.stop_gradient(logits), tf.stop_gradient(deltas)  # Proposals are constants to the second stage.
        proposals = per_image(
            lambda *one: rpn.propose(*one, levels, self.config.rpn, limits),
            (*steady, size),
            (tf.float32, tf.bool, tf.float32),
        )
        return proposals, (logits, deltas, levels)

    def rois(self, features, image, size, proposals=None):
        """Rois [B, R, 4] and valid [B, R] in inference: of the RPN, or those given; arguments as of `call`."""
        if self.rpn is None:
            return record_proposals(proposals)
        (rois, valid, _), _ = self.propose(features, image, size, self.config.rpn.infer)
        return rois, valid

    def trunk_outputs(self, features, rois, valid=None, training=False, seed=None):
        """What the box branch sees of rois [B, R, 4]: [B, R, units], or of res5 [B, R, S, S, C].

        Args:
            valid: [B, R]; in inference R-CNN leaves out the others, whose outputs are 0. None: all are.
            seed: [B, 2] int32, of the dropout of each image; needed where there is dropout in training.
        """
        config, box = self.config, self.config.box
        if config.pool == "warp":
            if training:
                return rcnn_crops.training_crops(self.backbone, self.trunk, features, rois, config, seed)
            valid = tf.ones(tf.shape(rois)[:2], tf.bool) if valid is None else valid
            return rcnn_crops.inference_crops(self.backbone, self.trunk, features, rois, valid, config)
        return self.trunk(self._pool(features, rois, box), training=training, seed=seed)

    def box_outputs(self, features, rois, valid=None, training=False, seed=None):
        """Class logits [B, R, K + 1] and deltas [B, R, K, 4] of rois [B, R, 4]; as `trunk_outputs`."""
        return self.box(self.trunk_outputs(features, rois, valid, training, seed))

    def mask_logits(self, features, rois, training=False):
        """Mask logits [B, R, 2 S, 2 S, K] of rois [B, R, 4]."""
        if self.mask is None:
            raise ValueError("this detector was built without masks (--detector.masks)")
        return self._of_masks(self.mask, self._pool(features, rois, self.config.mask), training)

    def _of_masks(self, mask, pooled, training=False):
        """What a mask head says of pooled features, on C4 behind the trunk."""
        if self.config.neck == "c4":
            pooled = self.trunk(pooled, training=training)
        return mask(pooled, training=training)

    def keypoint_logits(self, features, rois):
        """Heat maps (logits) [B, R, 4 S, 4 S, J] of rois [B, R, 4]; they span `keypoint_spans(rois)`."""
        if self.keypoint is None:
            raise ValueError("this detector was built without keypoints (--detector.keypoints)")
        # On C4 too it reads the features themselves: its convolutions are its own.
        return self.keypoint(self._pool(features, self.keypoint_spans(rois), self.config.keypoint))

    def keypoint_spans(self, rois):
        """Boxes [B, R, 4] that the heat maps of rois [B, R, 4] span: the rois, and a margin where one is asked for."""
        margin = self.config.keypoint.margin
        return boxes.grow(rois, margin) if margin else rois

    def build_branches(self, features):
        """Makes the variables of what sees rois: on zeros in place of what is pooled, since pooling takes longer."""
        config, some = self.config, features[self.pooled_levels[0]]

        def pooled(branch):
            cells = [sum(side**2 for side in config.pyramid)] if config.pool == "pyramid" else [branch.size] * 2
            return tf.zeros([1, 1, *cells, some.shape[-1]], some.dtype)

        self.box(self.trunk(pooled(config.box)))
        if self.mask is not None:
            self._of_masks(self.mask, pooled(config.mask))
        if self.keypoint is not None:
            self.keypoint(pooled(config.keypoint))

    def call(self, image, size, proposals=None):
        """Detections in images [B, H, W, 3] in 0..255, of which size [B, 2] pixels are valid.

        Args:
            proposals: [B, P, 4] in pixels of `image`, needed without an RPN (--detector.proposals=record) and read
                nowhere else; slots without area are empty.

        Returns:
            boxes [B, D, 4] in pixels of `image`, labels [B, D] (0: empty slot), scores [B, D], by falling score,
            masks [B, D, 2 S, 2 S] in [0, 1], each in its box, and
            keypoints [B, D, J, 3]: y, x in pixels of `image`, and the logit of the peak they were read from.
        """
        features = self.extract(image, size)
        rois, valid = self.rois(features, image, size, proposals)
        logits, deltas = self.box_outputs(features, rois, valid)
        found = per_image(
            lambda *one: detect(*one, self.config),
            (logits, deltas, rois, valid, size),
            (tf.float32, tf.int32, tf.float32),
        )
        detections = dict(zip(("boxes", "labels", "scores"), found, strict=True))
        if self.mask is not None:
            detections["masks"] = _of_filled(self.own_masks, features, *found[:2])
        if self.keypoint is not None:
            detections["keypoints"] = _of_filled(self._keypoints, features, *found[:2])
        return detections

    def own_masks(self, features, found, labels):
        """Probabilities [B, D, 2 S, 2 S] of each detection's own class."""
        logits = self.mask_logits(features, found)
        own = tf.maximum(labels - 1, 0)[..., None, None]
        # One index for each cell: ONNX has no gathering along an axis other than the one after the batch's.
        return tf.sigmoid(tf.gather(logits, tf.broadcast_to(own, tf.shape(logits)[:-1]), batch_dims=4))

    def _keypoints(self, features, found, labels):
        """Keypoints [B, D, J, 3] of each detection."""
        logits, spans = self.keypoint_logits(features, found), self.keypoint_spans(found)
        size, joints = logits.shape[3:]
        logits, spans = tf.reshape(logits, [-1, size, size, joints]), tf.reshape(spans, [-1, 4])
        if self.config.keypoint.decode == "peak":
            decoded = keypoints.decode(logits, spans)
        else:
            decoded = keypoints.decode_expected(logits, spans, tf.reshape(boxes.area(found), [-1]), self.sigmas)
        return tf.reshape(decoded, [-1, found.shape[1] or tf.shape(found)[1], joints, 3])

    def _pool(self, features, rois, branch: BoxConfig | MaskConfig | KeypointConfig):
        maps, config = {level: features[level] for level in self.pooled_levels}, self.config
        if config.pool == "pyramid":
            return region_features.pyramid(maps, rois, sizes=config.pyramid)
        if config.pool == "roi_pool":
            return region_features.roi_pool(maps, rois, size=branch.size)
        options = {"size": branch.size, "sampling_ratio": branch.sampling_ratio, "aligned": config.aligned}
        return region_features.roi_align(maps, rois, **options)


def _of_filled(function, features, found, labels):
    """What a function gives [B, D, ...] of detections; empty slots, which come last, are 0 and cost nothing."""
    used, slots = most(labels), found.shape[1]
    out = function(features, found[:, :used], labels[:, :used])
    out = tf.where(labels[:, :used, None, None] > 0, out, 0.0)
    out = tf.pad(out, [[0, 0], [0, slots - used], [0, 0], [0, 0]])
    return tf.ensure_shape(out, [None, slots, *out.shape[2:]])


def record_proposals(proposals):
    """Proposals [B, P, 4] of the records, and which of them are valid [B, P]: those that have an area."""
    if proposals is None:
        raise UserError("a detector without an RPN (--detector.proposals=record) needs proposals with its images")
    return proposals, tf.reduce_all(proposals[..., 2:] > proposals[..., :2], axis=-1)


def zero_padding(image, size):
    """Images [B, H, W, 3] with 0 outside size [B, 2]."""
    rows = tf.sequence_mask(size[:, 0], tf.shape(image)[1])
    columns = tf.sequence_mask(size[:, 1], tf.shape(image)[2])
    return tf.where((rows[:, :, None] & columns[:, None, :])[..., None], image, 0.0)
