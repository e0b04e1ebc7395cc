"""What a detector says of its own detections when their rois move by less than a cell."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.equivariance_lab import moves
from tfrecog.equivariance_lab.detection import Detector
from tfrecog.equivariance_lab.measure import Row
from tfrecog.equivariance_lab.model_under_test import Sample
from tfrecog.equivariance_lab.objects import Objects
from tfrecog.models.detector import rcnn_crops
from tfrecog.ops import boxes as box_ops
from tfrecog.ops import overlaps, region_features, rle

SHIFTS = tuple(np.arange(1, 33) / 2)  # pixels


def of_run(detector: Detector, samples: Sequence[Sample], shifts: Sequence[float] = SHIFTS) -> list[Row]:
    """Rows of what a detector says of its own detections when their rois are moved to the right (pixels).

    What is in the image does not move, so the boxes and masks should stay: `box_pixels` and `mask_pixels` are how far
    their centres move, `score_change` is that of the score. `roi_align_change` and `roi_pool_change` are ‖P(shift) -
    P(0)‖ / ‖P(0)‖ of the features P that either operator pools, `pyramid_change` of those of an SPP-net; R-CNN has no
    features before its rois, and `warp_change` is that of the pixels that it cuts out. Means over the detections.
    """
    values: dict[tuple[float, str], list[np.ndarray]] = {}
    for sample in samples:
        unchanged = moves.in_place(sample.image)
        sure = detector.outputs(sample, unchanged).sure
        if not len(sure.labels):
            continue
        batch = detector.batch_of(sample, unchanged)
        features = detector.model.extract(batch["image"], batch["size"])
        first, *shifted = (
            branch_outputs(detector.model, features, sure, shift, sample.image.shape[:2]) for shift in (0.0, *shifts)
        )
        for shift, found in zip((0.0, *shifts), (first, *shifted), strict=True):
            for name, measured in _differences(first, found).items():
                if len(measured):
                    values.setdefault((shift, name), []).append(measured)
    if not values:
        raise UserError(
            f"--min_score={detector.min_score:g}: the run detects nothing in these images; give a lower one, or others"
        )
    return [Row("rois of the run", *key, float(np.mean(np.concatenate(parts)))) for key, parts in values.items()]


def branch_outputs(model, features: dict, sure: Objects, shift: float, size: tuple[int, int]) -> dict:
    """Boxes, scores, masks and pooled features of detections, from their rois moved to the right by a shift."""
    config, labels = model.config, tf.constant(sure.labels, tf.int32)
    rois = tf.constant((sure.boxes + np.array([0, shift, 0, shift]))[None], tf.float32)
    logits, deltas = model.box_outputs(features, rois)
    own = tf.gather(deltas[0], labels - 1, axis=1, batch_dims=1)
    found = {
        "boxes": box_ops.decode(own, rois[0], config.box.delta_scale).numpy(),
        "scores": tf.gather(_scores(logits[0], config), labels, axis=1, batch_dims=1).numpy(),
        "pooled": {name: values[0].numpy() for name, values in _pooled(model, features, rois).items()},
    }
    if model.mask is not None:
        own = tf.gather(model.mask_logits(features, rois)[0], labels - 1, axis=-1, batch_dims=1)
        output = config.output
        pasted = rle.paste(tf.sigmoid(own).numpy(), rois[0].numpy(), *size, output.mask_threshold, output.paste)
        found["masks"] = np.array([rle.decode(runs, *size) for runs in pasted], bool)
    return found


def _scores(logits, config):
    """Scores [R, K + 1] of class logits, as a run gives them to its detections."""
    return tf.sigmoid(logits) if config.box.scores == "svm" else tf.nn.softmax(logits)


def _pooled(model, features, rois):
    """What operators [1, R, ...] read in rois [1, R, 4]: the run's own, and RoIAlign and RoIPool of any map."""
    config = model.config
    if config.pool == "warp":
        return {"warp": rcnn_crops.of_rois(features, rois, config)}
    maps = {level: features[level] for level in model.pooled_levels}
    options = {"size": config.box.size, "aligned": config.aligned}
    found = {name: region_features.multilevel(maps, rois, op=name, **options) for name in ("roi_align", "roi_pool")}
    if config.pool == "pyramid":
        found["pyramid"] = region_features.pyramid(maps, rois, sizes=config.pyramid)
    return found


def _differences(first, found):
    """Measures [n] of the detections."""
    apart = [(one["boxes"][:, :2] + one["boxes"][:, 2:]) / 2 for one in (first, found)]
    measures = {
        "box_pixels": np.linalg.norm(apart[0] - apart[1], axis=-1),
        "box_iou": overlaps.pairwise_iou(first["boxes"], found["boxes"]).diagonal(),
        "score_change": np.abs(first["scores"] - found["scores"]),
    }
    for operator in found["pooled"]:
        flat, still = (one["pooled"][operator].reshape(len(one["scores"]), -1) for one in (found, first))
        size = np.maximum(np.linalg.norm(still, axis=-1), 1e-9)
        measures[f"{operator}_change"] = np.linalg.norm(flat - still, axis=-1) / size
    if "masks" in found:
        pairs = [(a, b) for a, b in zip(first["masks"], found["masks"], strict=True) if a.any() and b.any()]
        measures["mask_pixels"] = np.array([np.linalg.norm(_middle(a) - _middle(b)) for a, b in pairs])
        measures["mask_iou"] = np.array([(a & b).sum() / (a | b).sum() for a, b in pairs])
    return measures


def _middle(mask):
    return moves.centres(*mask.shape)[mask].mean(axis=0)
