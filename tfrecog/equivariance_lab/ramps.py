"""What RoIAlign and RoIPool make of a roi that moves by less than a cell, on a ramp.

A ramp says where it was read: its value is the place. So the pooled ramp shows the error of an operator in pixels.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrecog.drawing import figures
from tfrecog.equivariance_lab.measure import Row
from tfrecog.ops import region_features

# RoIAlign as this library and detectron2 place it; as torchvision's weights expect it; RoIPool.
OPERATORS = ("roi_align", "roi_align_unaligned", "roi_pool")
STRIDES, STEPS = (4, 16, 32), 16
_SIDE = 112  # of the roi, pixels: 7 bins of a cell of stride 16


class Ramp(NamedTuple):
    """Where bins of a roi say that they lie, beside their centres, [shifts, bins] in pixels; see `pooled_ramp`."""

    operator: str
    stride: int
    shifts: np.ndarray
    errors: np.ndarray

    @property
    def moved(self) -> np.ndarray:
        """How far the readings move with the shifts, [shifts, bins]."""
        return self.errors + self.shifts[:, None] - self.errors[0]

    @property
    def name(self) -> str:
        """Of its rows."""
        return f"ramp, {self.operator}, stride {self.stride}"


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


def measure(strides: Iterable[int] = STRIDES, steps: int = STEPS) -> list[Ramp]:
    """Of each operator and stride, over shifts in `steps` to a cell over two cells."""
    found = []
    for operator in OPERATORS:
        for stride in strides:
            shifts = np.arange(2 * steps + 1) * stride / steps
            found.append(Ramp(operator, stride, shifts, pooled_ramp(operator, stride, shifts)))
    return found


def rows_of(measured: Sequence[Ramp]) -> list[Row]:
    """Rows of each operator and stride.

    `moved_pixels` is how far the middle bin's reading moves, `error_pixels` how far it is from the bin's centre.
    """
    rows = []
    for ramp in measured:
        middle = ramp.errors.shape[1] // 2
        for shift, moved, error in zip(ramp.shifts, ramp.moved[:, middle], ramp.errors[:, middle], strict=True):
            rows.append(Row(ramp.name, float(shift), "moved_pixels", float(moved)))
            rows.append(Row(ramp.name, float(shift), "error_pixels", float(error)))
    return rows


def summary_of(measured: Sequence[Ramp]) -> list[dict]:
    """For each operator and stride, over all bins and shifts, in pixels.

    `offset`: mean error; `error`: most that a reading moves more or less than the roi; `step`: what the roi moves at a
    time, and `jump`: the most that a reading does.
    """
    return [
        {
            "operator": ramp.operator,
            "stride": ramp.stride,
            "offset": float(ramp.errors.mean()),
            "error": float(np.abs(ramp.errors - ramp.errors[0]).max()),
            "step": float(ramp.shifts[1] - ramp.shifts[0]),
            "jump": float(np.abs(np.diff(ramp.moved, axis=0)).max()),
        }
        for ramp in measured
    ]


def text_of(table: Sequence[dict]) -> str:
    """For people: `summary_of`."""
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


def figure(measured: Sequence[Ramp], stride: int = 16):
    """How far the middle bin's reading of a ramp moves with the roi, and its error, at a stride."""
    drawn, (moves, errors) = figures.panels(2)
    chosen = [ramp for ramp in measured if ramp.stride == stride]
    for number, ramp in enumerate(chosen):
        # The two RoIAligns move alike, so the second is dashed over the first.
        look = {"color": figures.COLOURS[number], "linestyle": ("-", "--", "-")[number]}
        middle = ramp.errors.shape[1] // 2
        for axes, values in ((moves, ramp.moved), (errors, ramp.errors)):
            axes.plot(ramp.shifts, values[:, middle], **look, label=ramp.operator.replace("_", " "))
    moves.set(ylabel="the reading moves by (pixels)")
    errors.set(ylabel="reading − centre of the bin (pixels)")
    for axes in (moves, errors):
        axes.set(title=f"a ramp of stride {stride}", xlabel="the roi moves by (pixels)")
        axes.legend(fontsize="small")
    return drawn
