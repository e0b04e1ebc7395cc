"""Object detection, instance segmentation and pose: where records, detector and losses meet."""

import functools

import keras
import tensorflow as tf

from tfrecog import losses
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import batches, detection, keypoint_sigmas
from tfrecog.data.info import DatasetInfo
from tfrecog.evaluations import detection as evaluation
from tfrecog.evaluations import tensorboard_images
from tfrecog.inference import detection as inference
from tfrecog.models.backbones.build import title
from tfrecog.models.detector.postprocess import per_image
from tfrecog.models.detector.rcnn import Detector, record_proposals
from tfrecog.ops import boxes, keypoints, masks, matching
from tfrecog.runtime import mixed_precision


class Detection:
    """The task that `--task=detection` names."""

    evaluation = evaluation  # a model on a split: metrics, and what belongs to them
    inference = inference  # a model on pictures of any size: files and drawings
    best_by = ("keypoint_AP", "mask_AP", "box_AP", "voc_mAP")  # metrics that choose the best checkpoint
    draw = staticmethod(tensorboard_images.predictions)

    def __init__(self, experiment: Experiment, dataset: DatasetInfo):
        self.experiment, self.config, self.info = experiment, experiment.detector, dataset
        if self.config.masks and not dataset.masks:
            raise UserError(
                f"{experiment.data.records} holds no masks, which --detector.masks needs: build the records with "
                "masks, or set --nodetector.masks for boxes alone"
            )
        if self.config.keypoints and not dataset.keypoints:
            raise UserError(
                f"{experiment.data.records} holds no keypoints, which --detector.keypoints needs: build the records "
                "with keypoints (of COCO: person_keypoints_*.json), or set --nodetector.keypoints"
            )

        by_oks = self.config.keypoints and self.config.keypoint.decode == "expected_oks"
        if by_oks and not dataset.keypoint_sigmas:
            raise UserError(
                f"{experiment.data.records} has no keypoint_sigmas in dataset.json, which "
                "--detector.keypoint.decode=expected_oks needs: add them there, or decode by the peak"
            )

    @property
    def _on_record(self) -> bool:
        """Whether rois are of the records, so that there is no RPN."""
        return self.config.proposals == "record"

    @property
    def name(self) -> str:
        """For people: `Mask R-CNN, ResNet-50-FPN`."""
        backbone = title(self.config.backbone.name)
        config = self.config
        if config.pool == "warp":
            return f"R-CNN, {backbone}"
        branches = ["Mask"] * config.masks + ["Keypoint"] * config.keypoints
        system = f"{' and '.join(branches) or ('Faster' if config.proposals == 'rpn' else 'Fast')} R-CNN"
        if config.pool == "pyramid":
            system = "SPP-net" if config.proposals == "record" else f"{system} with pyramid pooling"
        return f"{system}, {backbone}{'' if config.neck == 'single' else f'-{config.neck.upper()}'}"

    def data(self) -> batches.Data:
        """The records to train on; a ValueError or OSError says what is wrong with them or with the others."""
        if self.config.box.scores == "svm":
            raise UserError(
                "--detector.box.scores=svm: SVMs do not learn by gradients. Train with softmax, and then make such a "
                "run of it: python -m tfrecog.svm --flagfile=RUN/experiment.flags --out=RUN_SVM"
            )
        experiment, data, keypoints = self.experiment, self.experiment.data, self.config.keypoints
        split, *validation = batches.open_splits(experiment, self.info)
        rows = detection.training_rows(split, data, keypoints)
        if validation and keypoints:
            keypoint_sigmas.of(data.records)
        if self._on_record:
            for one, chosen in [(split, rows), *((one, None) for one in validation if one.name != split.name)]:
                one.check_proposals()
                one.report_without_proposals(chosen)
        settings = {"masks": self.config.masks, "keypoints": keypoints, "proposals": self._on_record}
        make = functools.partial(detection.training, data, split, **settings, seed=experiment.train.seed)
        steps = detection.steps_per_epoch(split, data, keypoints)
        return batches.of_records(experiment, self.info, make, len(rows), steps, what="instance")

    def build(self) -> Detector:
        """A new detector with its variables."""
        keras.utils.set_random_seed(self.experiment.train.seed)
        with mixed_precision.layers(self.experiment.train.precision):
            model = Detector(self.config, self.info.num_classes, len(self.info.keypoints), self.info.keypoint_sigmas)
        features = model.extract(tf.zeros([1, 64, 64, 3]), tf.constant([[64, 64]]))
        if model.rpn is not None:
            model.rpn(features)
        if self.config.pool == "warp":
            model.box_outputs(features, tf.constant([[[0.0, 0, 32, 32]]]))
        else:
            model.build_branches(features)
        model.built = True
        return model

    def predict(self, model: Detector, batch: dict) -> dict:
        """Detections of `Detector.call`; boxes and keypoints are in pixels of the resized image."""
        found = model(batch["image"], batch["size"], batch["proposals"] if self._on_record else None)
        if self.config.keypoints:
            shift = self._index_shift(batch) * tf.cast(found["labels"] > 0, tf.float32)[..., None, None]
            found["keypoints"] += tf.pad(shift, [[0, 0], [0, 0], [0, 0], [0, 1]])
        return found

    def losses(self, model: Detector, batch: dict) -> dict:
        """Loss terms, each a pair (total, count), of a batch [B, ...] (see `tfrecog.losses`)."""
        image, size, seed = batch["image"], batch["size"], batch["seed"]
        truth = Truth(batch)
        features = model.extract(image, size, training=True)
        if self._on_record:
            (rois, valid), terms = record_proposals(batch["proposals"]), {}
        else:
            proposals, (logits, deltas, levels) = model.propose(features, image, size, self.config.rpn.train)
            rois, valid, _ = proposals
            terms = self.rpn_losses(logits, deltas, tf.concat(levels, 0), truth, seed)

        rois, labels, gt = self.sample_rois(rois, valid, truth, seed)
        class_logits, box_deltas = model.box_outputs(features, rois, training=True, seed=seed)
        own_deltas = tf.gather(box_deltas, tf.maximum(labels - 1, 0), axis=2, batch_dims=2)
        targets = boxes.encode(tf.gather(truth.boxes, gt, batch_dims=1), rois, self.config.box.delta_scale)
        sampled, positive = labels >= 0, labels > 0
        terms["class_loss"] = losses.class_loss(class_logits, labels, sampled)
        terms["box_loss"] = losses.box_loss(own_deltas, targets, positive, sampled, self.config.box.smooth_l1_beta)

        if self.config.masks:
            some, labels_of, gt_of = some_positives(rois, labels, gt, self.config.mask.samples)
            mask_logits = model.mask_logits(features, some, training=True)
            (targets,) = per_image(
                lambda *one: (masks.targets(*one, size=mask_logits.shape[2]),),
                (batch["masks"], batch["mask_boxes"], some, gt_of),
                (tf.float32,),
            )
            # An empty mask stands for none, as of an object that was annotated by its box alone.
            drawn = tf.gather(tf.reduce_any(batch["masks"] > 0, axis=[2, 3]), gt_of, batch_dims=1)
            terms["mask_loss"] = losses.mask_loss(mask_logits, targets, tf.where(drawn, labels_of, 0))
        if self.config.keypoints:
            some, labels_of, gt_of = some_positives(rois, labels, gt, self.config.keypoint.samples)
            logits, spans = model.keypoint_logits(features, some), model.keypoint_spans(some)
            terms["keypoint_loss"] = self.keypoint_loss(logits, batch, spans, labels_of, gt_of)
        return terms

    def keypoint_loss(self, logits, batch, rois, labels, gt):
        """Loss (total, count) of heat maps [B, R, S, S, J] (He et al. 2017, section 5).

        Args:
            rois: [B, R, 4], what the maps span.
            labels: [B, R]; a roi of label 0 does not count.
            gt: [B, R], the instance of the batch that each roi stands for.
        """
        config, size = self.config.keypoint, logits.shape[2]
        points, visibility = tf.split(batch["keypoints"], [2, 1], axis=-1)
        truth = tf.concat([points - self._index_shift(batch), visibility], axis=-1)
        index, valid = per_image(
            lambda *one: keypoints.targets(*one, size=size), (truth, rois, gt), (tf.int32, tf.bool)
        )
        labelled = tf.reduce_sum(tf.cast(visibility[..., 0] > 0, tf.int32), axis=-1)
        enough = (labels > 0) & (tf.gather(labelled, gt, batch_dims=1) >= config.min_visible)
        room = None
        if config.normalize == "slots":
            positives = int(self.config.box.samples * self.config.box.positive_fraction)
            positives = min(positives, config.samples or positives)
            room = tf.shape(labels)[0] * positives * logits.shape[-1]
        total, count = losses.keypoint_loss(logits, index, valid & enough[..., None], room)
        return config.loss_weight * total, count

    def _index_shift(self, batch):
        """What a keypoint's y and x are more than what the branch says of them, [B, 1, 1, 2] pixels."""
        return 0.5 * batch["scale"][:, None, None] if self.config.keypoint.pixel_index else tf.zeros([1, 1, 1, 2])

    def rpn_losses(self, logits, deltas, anchors, truth: "Truth", seed):
        """Loss terms of the RPN on a random sample of the anchors (Ren et al. 2015, section 3.1.2).

        Args:
            logits: objectness [B, A].
            deltas: [B, A, 4].
            anchors: [A, 4], of all levels.
            seed: [B, 2] int32, of the sample of each image.
        """
        rpn = self.config.rpn

        def sample(gt_boxes, labels, seed):
            iou = boxes.pairwise_iou(gt_boxes, anchors)
            gt, state = matching.match(iou, labels, rpn.positive_iou, rpn.negative_iou, low_quality=True)
            index, state = matching.sample(state, rpn.samples, rpn.positive_fraction, seed)
            return index, state, tf.gather(gt, index)

        index, state, gt = per_image(sample, (truth.boxes, truth.labels, seed), (tf.int32,) * 3)
        targets = boxes.encode(tf.gather(truth.boxes, gt, batch_dims=1), tf.gather(anchors, index), (1.0,) * 4)
        return {
            "objectness_loss": losses.objectness_loss(tf.gather(logits, index, batch_dims=1), state),
            "rpn_box_loss": losses.box_loss(
                tf.gather(deltas, index, batch_dims=1), targets, state == 1, state >= 0, rpn.smooth_l1_beta
            ),
        }

    def sample_rois(self, rois, valid, truth: "Truth", seed):
        """Rois [B, R, 4] to learn from, their labels [B, R] (0 background, -1 empty slot) and instances [B, R].

        The ground-truth boxes are rois too, so that the second stage sees positives from the first step on.
        """
        box = self.config.box

        def sample(rois, valid, gt_boxes, gt_labels, seed):
            candidates = tf.concat([rois, gt_boxes], 0)
            iou = boxes.pairwise_iou(gt_boxes, candidates)
            gt, state = matching.match(iou, gt_labels, box.positive_iou, box.positive_iou, low_quality=False)
            best = tf.reduce_max(tf.where(gt_labels[:, None] > 0, iou, 0.0), axis=0)
            learned = tf.concat([valid, gt_labels > 0], 0) & (best >= box.negative_iou)
            state = tf.where(learned, state, -1)
            # Another draw than the anchors'.
            index, state = matching.sample(state, box.samples, box.positive_fraction, seed + 1)
            gt = tf.gather(gt, index)
            return tf.gather(candidates, index), tf.where(state == 1, tf.gather(gt_labels, gt), state), gt

        return per_image(sample, (rois, valid, truth.boxes, truth.labels, seed), (tf.float32, tf.int32, tf.int32))


def some_positives(rois, labels, gt, samples):
    """What a branch learns from: the positives among rois [B, R, 4], labels [B, R] and instances gt [B, R].

    They come first there and in random order, so that the first `samples` (0: all) are a random sample of them. The
    branches are dear: there are no more slots than the fullest image fills, and the empty ones have label 0.
    """
    most = tf.maximum(tf.reduce_max(tf.reduce_sum(tf.cast(labels > 0, tf.int32), axis=1)), 1)
    most = tf.minimum(most, samples) if samples else most
    return rois[:, :most], tf.maximum(labels[:, :most], 0), gt[:, :most]


class Truth:
    """Ground-truth boxes [B, n, 4] and labels [B, n] of a batch, with only as many slots as its fullest image fills."""

    def __init__(self, batch):
        filled = tf.reduce_sum(tf.cast(batch["labels"] > 0, tf.int32), axis=1)
        slots = tf.maximum(tf.reduce_max(filled), 1)
        self.boxes, self.labels = batch["boxes"][:, :slots], batch["labels"][:, :slots]
