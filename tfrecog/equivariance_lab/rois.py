"""What RoIAlign and RoIPool make of a roi that moves by less than a cell: on a ramp, and in a detector.

A ramp says where it was read: its value is the place. So the pooled ramp shows the error of an operator in pixels.
"""

import functools
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.equivariance_lab import moves
from tfrecog.equivariance_lab.dense import relative
from tfrecog.equivariance_lab.detection import Detector
from tfrecog.equivariance_lab.measure import Means, Row, Sample
from tfrecog.equivariance_lab.objects import Objects, differences, pasted
from tfrecog.models.detector import rcnn_crops
from tfrecog.models.detector.postprocess import class_scores
from tfrecog.ops import boxes, region_features

# RoIAlign as this library and detectron2 place it; as torchvision's weights expect it; RoIPool.
OPERATORS = {
    "roi_align": region_features.roi_align,
    "roi_align_unaligned": functools.partial(region_features.roi_align, aligned=False),
    "roi_pool": region_features.roi_pool,
}
STRIDES, STEPS = (4, 16, 32), 16
SHIFTS = tuple(np.arange(1, 33) / 2)  # of the rois of a detector, pixels
SHOWN = (0, 0.5, 1, 2, 4, 8, 16)  # those that are printed
_SIDE, _BINS = 112, 7  # of the roi: its pixels, 7 cells of stride 16


def pooled_ramp(operator: str, stride: int, shifts: Sequence[float]) -> np.ndarray:
    """Where each of 7 bins of a roi says that it lies, [shifts, 7] pixels to the right of the bin's centre.

    The roi is 112 pixels wide and moves to the right from the edge of a cell, by each of the shifts (pixels).
    """
    cells = (int(max(shifts)) + 2 * _SIDE) // stride + 4
    ramp = tf.constant(stride * np.tile((np.arange(cells) + 0.5)[None, None, :, None], [1, cells, 1, 1]), tf.float32)
    left = 2.0 * stride + np.asarray(shifts, float)
    top = np.full_like(left, 2.0 * stride)
    rois = np.stack([top, left, top + _SIDE, left + _SIDE], axis=-1)
    pooled = OPERATORS[operator](ramp, tf.constant(rois[None], tf.float32), size=_BINS, stride=stride)
    centres = left[:, None] + _SIDE * (np.arange(_BINS) + 0.5) / _BINS
    return pooled[0, :, _BINS // 2, :, 0].numpy() - centres


def ramps(strides: Iterable[int] = STRIDES, steps: int = STEPS) -> tuple[list[Row], list[Row]]:
    """Rows of what operators read from ramps, over shifts in `steps` to a cell over two cells; all in pixels.

    The first are of all bins and shifts, by stride: what the roi moves at a time (`step`), the most that a reading does
    (`jump`), the most that one moves more or less than the roi (`error`), and the mean of `pooled_ramp` (`offset`). The
    others are of the middle bin, by shift: how far its reading moves, and how far it is from the bin's centre.
    """
    summary, rows = [], []
    for stride in strides:
        shifts = np.arange(2 * steps + 1) * stride / steps
        for operator in OPERATORS:
            errors = pooled_ramp(operator, stride, shifts)
            moved = errors + shifts[:, None] - errors[0]
            jump, error = np.abs(np.diff(moved, axis=0)).max(), np.abs(errors - errors[0]).max()
            for name, value in {"step": shifts[1], "jump": jump, "error": error, "offset": errors.mean()}.items():
                summary.append(Row("ramps", stride, f"{operator}_{name}_pixels", float(value)))
            for name, values in {"moved": moved, "error": errors}.items():
                for shift, value in zip(shifts.tolist(), values[:, _BINS // 2].tolist(), strict=True):
                    rows.append(Row(f"ramp of stride {stride}", shift, f"{operator}_{name}_pixels", value))
    return summary, rows


def of_run(detector: Detector, samples: Sequence[Sample], shifts: Sequence[float] = SHIFTS) -> list[Row]:
    """Rows of what a detector says of its own detections when their rois are moved to the right (pixels).

    What is in the image does not move, so the boxes and masks should stay: `centre_pixels` and `mask_pixels` are how
    far their centres move, `score_change` is that of the score. A mask that vanishes as its roi moves has a `mask_iou`
    of 0 and no centre (see `differences`). `roi_align_change` and `roi_pool_change` are ‖P(shift) - P(0)‖ / ‖P(0)‖ of
    the features P that either operator pools, `pyramid_change` of those of an SPP-net; R-CNN has no features before its
    rois, and `warp_change` is that of the pixels that it cuts out. Means over the detections.
    """
    means = Means()
    for sample in samples:
        unchanged = moves.in_place(sample.image)
        sure = detector.sure(detector.outputs(sample, unchanged).result)
        if not len(sure["labels"]):
            continue
        batch = detector.batch_of(sample, unchanged)
        features = detector.model.extract(batch["image"], batch["size"])
        first, pooled = branch_outputs(detector.model, features, sure, 0.0, unchanged.size)
        for shift in (0.0, *shifts):
            found, others = branch_outputs(detector.model, features, sure, shift, unchanged.size)
            changes = {f"{name}_change": _change(pooled[name], others[name]) for name in pooled}
            means.add("rois of the run", shift, differences(first, found, unchanged.visible) | changes)
    rows = means.rows()
    if not rows:
        raise UserError(
            f"--min_score={detector.flags.min_score:g}: the run detects nothing in these images; give a lower one, or "
            "others"
        )
    return rows


def branch_outputs(model, features, sure: Objects, shift: float, size: tuple[int, int]) -> tuple[Objects, dict]:
    """What detections become from their rois moved to the right by a shift, and pooled features [n, …] by operator."""
    config, labels = model.config, tf.constant(sure["labels"], tf.int32)
    rois = tf.constant((sure["boxes"] + [0, shift, 0, shift])[None], tf.float32)
    logits, deltas = model.box_outputs(features, rois)
    own = tf.gather(deltas[0], labels - 1, axis=1, batch_dims=1)
    found = {
        "boxes": boxes.decode(own, rois[0], config.box.delta_scale).numpy(),
        "labels": sure["labels"],
        "scores": tf.gather(class_scores(logits[0], config.box), labels - 1, axis=1, batch_dims=1).numpy(),
    }
    if model.mask is not None:
        masks = model.own_masks(features, rois, labels[None])[0].numpy()
        found["masks"] = pasted(masks, rois[0].numpy(), size, config.output)
    return found, {name: values[0].numpy() for name, values in _pooled(model, features, rois).items()}


def _pooled(model, features, rois):
    """What operators [1, R, ...] read in rois [1, R, 4]: the run's own, and RoIAlign and RoIPool of any map."""
    config = model.config
    if config.pool == "warp":
        return {"warp": rcnn_crops.of_rois(features, rois, config)}
    maps = {level: features[level] for level in model.pooled_levels}
    found = {
        "roi_align": region_features.roi_align(maps, rois, size=config.box.size, aligned=config.aligned),
        "roi_pool": region_features.roi_pool(maps, rois, size=config.box.size),
    }
    if config.pool == "pyramid":
        found["pyramid"] = region_features.pyramid(maps, rois, sizes=config.pyramid)
    return found


def _change(before, after):
    """The relative difference of the features [n, …] of each region, as a measure; regions of zeros are left out."""
    total, count = np.sum([relative(*both) for both in zip(after, before, strict=True)], axis=0)
    return total, count
