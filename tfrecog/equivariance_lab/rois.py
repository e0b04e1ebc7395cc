"""The laboratory of rois: what RoIAlign and RoIPool make of a roi that moves by less than a cell.

A ramp says where it was read: its value is the place. So the pooled ramp shows the error of an operator in pixels.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.drawing import figures
from tfrecog.equivariance_lab.detection import Seen, Subject
from tfrecog.equivariance_lab.measure import Row, unchanged
from tfrecog.equivariance_lab.subject import Sample
from tfrecog.equivariance_lab.transforms import centres
from tfrecog.models.detector import rcnn_crops
from tfrecog.ops import boxes as box_ops
from tfrecog.ops import overlaps, region_features, rle

# RoIAlign as this library and detectron2 place it; as torchvision's weights expect it; RoIPool.
OPERATORS = ("roi_align", "roi_align_unaligned", "roi_pool")
_SIDE = 112  # of the roi on the ramp, pixels: 7 bins of a cell of stride 16


def pooled_ramp(operator: str, stride: int, shifts: Sequence[float], size: int = 7, samples: int = 2) -> np.ndarray:
    """Where each of `size` bins of a roi says that it lies, [shifts, size] pixels to the right of the bin's centre.

    The roi is 112 pixels wide and moves to the right from the edge of a cell, by each of the shifts (pixels).
    """
    cells = (int(max(shifts)) + 2 * _SIDE) // stride + 4
    ramp = stride * np.tile((np.arange(cells) + 0.5)[None, None, :, None], [1, cells, 1, 1])
    corner = 2.0 * stride
    rois = np.array([[corner, corner + shift, corner + _SIDE, corner + _SIDE + shift] for shift in shifts])
    pooled = _pool(tf.constant(ramp, tf.float32), rois, operator, stride, size, samples)[0, :, size // 2, :, 0]
    bins = rois[:, 1:2] + _SIDE * (np.arange(size) + 0.5) / size
    return pooled.numpy() - bins


def _pool(values, rois, operator, stride, size, samples):
    rois = tf.constant(rois[None], tf.float32)
    if operator == "roi_pool":
        return region_features.roi_pool(values, rois, size=size, stride=stride)
    aligned = operator == "roi_align"
    return region_features.roi_align(values, rois, size=size, stride=stride, samples=samples, aligned=aligned)


def ramps(strides: Iterable[int] = (4, 16, 32), steps: int = 16) -> list[Row]:
    """Rows of each operator and stride, of shifts in `steps` to a cell over two cells.

    `moved_pixels` is how far the middle bin's reading moves, `error_pixels` how far it is from the bin's centre.
    """
    rows = []
    for operator in OPERATORS:
        for stride in strides:
            shifts = np.arange(2 * steps + 1) * stride / steps
            errors = pooled_ramp(operator, stride, shifts)
            moved = errors + shifts[:, None] - errors[0]
            name, middle = f"ramp, {operator}, stride {stride}", errors.shape[1] // 2
            for i, shift in enumerate(shifts):
                rows.append(Row(name, float(shift), "moved_pixels", float(moved[i, middle])))
                rows.append(Row(name, float(shift), "error_pixels", float(errors[i, middle])))
    return rows


def summary_of_ramps(strides: Iterable[int] = (4, 16, 32), steps: int = 16) -> list[dict]:
    """For each operator and stride, over all bins and shifts by a `steps`th of a cell, in pixels.

    `offset`: mean error; `error`: most that a reading moves more or less than the roi; `step`: what the roi moves at a
    time, and `jump`: the most that a reading does.
    """
    table = []
    for operator in OPERATORS:
        for stride in strides:
            shifts = np.arange(2 * steps + 1) * stride / steps
            errors = pooled_ramp(operator, stride, shifts)
            readings = errors + shifts[:, None]
            table.append(
                {
                    "operator": operator,
                    "stride": stride,
                    "offset": float(errors.mean()),
                    "error": float(np.abs(errors - errors[0]).max()),
                    "step": stride / steps,
                    "jump": float(np.abs(np.diff(readings, axis=0)).max()),
                }
            )
    return table


def of_run(subject: Subject, samples: Sequence[Sample], shifts: Sequence[float]) -> list[Row]:
    """Rows of what a detector says of its own detections when their rois are moved to the right (pixels).

    What is in the image does not move, so the boxes and masks should stay: `box_pixels` and `mask_pixels` are how far
    their centres move, `score_change` is that of the score. `roi_align_change` and `roi_pool_change` are ‖P(shift) -
    P(0)‖ / ‖P(0)‖ of the features P that either operator pools, `pyramid_change` of those of an SPP-net; R-CNN has no
    features before its rois, and `warp_change` is that of the pixels that it cuts out. Means over the detections.
    """
    sums: dict[tuple[float, str], list[float]] = {}
    for sample in samples:
        nothing = unchanged(sample.image)
        seen = subject.see(sample, nothing)
        if not len(seen.sure.labels):
            continue
        batch = subject.batch_of(sample, nothing)
        features = subject.model.extract(batch["image"], batch["size"])
        first = None
        for shift in (0.0, *shifts):
            found = _of_rois(subject, features, seen, shift, sample.image.shape[:2])
            first = found if first is None else first
            for name, values in _differences(first, found).items():
                total = sums.setdefault((shift, name), [0.0, 0.0])
                total[0] += float(np.sum(values))
                total[1] += len(values)
    if not sums:
        raise UserError(
            f"--min_score={subject.min_score:g}: the run detects nothing in these images; give a lower one, or others"
        )
    return [Row("rois of the run", shift, name, total / count) for (shift, name), (total, count) in sums.items()]


def _of_rois(subject, features, seen: Seen, shift, size):
    """Boxes, scores, masks and pooled features of the sure detections, from rois that are moved."""
    model, config = subject.model, subject.model.config
    labels = tf.constant(seen.sure.labels, tf.int32)
    rois = tf.constant((seen.sure.boxes + np.array([0, shift, 0, shift]))[None], tf.float32)
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
        there = first["masks"].any(axis=(1, 2)) & found["masks"].any(axis=(1, 2))
        pairs = [(a, b) for a, b, both in zip(first["masks"], found["masks"], there, strict=True) if both]
        measures["mask_pixels"] = np.array([np.linalg.norm(_middle(a) - _middle(b)) for a, b in pairs])
        measures["mask_iou"] = np.array([(a & b).sum() / (a | b).sum() for a, b in pairs])
    return measures


def _middle(mask):
    return centres(*mask.shape)[mask].mean(axis=0)


def text_of_ramps(table: Sequence[dict]) -> str:
    """For people: `summary_of_ramps`."""
    lines = [
        "a ramp pooled from a roi that moves to the right by a sixteenth of a cell at a time (pixels):",
        f"{'operator':<20} {'stride':>6} {'roi moves by':>13} {'largest jump':>13} {'largest error':>14} {'offset':>8}",
    ]
    for row in table:
        lines.append(
            f"{row['operator']:<20} {row['stride']:>6} {row['step']:>13.4g} {row['jump']:>13.4g} "
            f"{row['error']:>14.2g} {row['offset']:>8.3g}"
        )
    return "\n".join(lines)


def figure(rows: Sequence[Row], stride: int = 16):
    """How far the middle bin's reading of a ramp moves with the roi, and its error, at a stride."""
    drawn, panels = figures.panels(2)
    whats = {"moved_pixels": "the reading moves by (pixels)", "error_pixels": "reading − centre of the bin (pixels)"}
    for axes, (measure, what) in zip(panels, whats.items(), strict=True):
        for number, operator in enumerate(OPERATORS):
            name = f"ramp, {operator}, stride {stride}"
            points = [(r.strength, r.value) for r in rows if r.variation == name and r.measure == measure]
            # The two RoIAligns move alike, so the second is dashed over the first.
            look = {"color": figures.COLOURS[number], "linestyle": ("-", "--", "-")[number]}
            axes.plot(*zip(*points, strict=True), **look, label=operator.replace("_", " "))
        axes.set(title=f"a ramp of stride {stride}", xlabel="the roi moves by (pixels)", ylabel=what)
        axes.legend(fontsize="small")
    return drawn
