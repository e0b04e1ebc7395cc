"""Objects of an image and M_g of them: which are expected in g(x), and which detections are they."""

from dataclasses import dataclass

import numpy as np

from tfrecog.equivariance_lab import moves
from tfrecog.equivariance_lab.moves import Change
from tfrecog.ops import overlaps

INSIDE = 0.9  # fraction of a box that must be inside for it to count
_HIT = 0.5  # IoU of a pair


@dataclass(frozen=True)
class Objects:
    """Objects of an image in pixels as the network sees it; of detections with scores, the best first."""

    boxes: np.ndarray  # [n, 4]
    labels: np.ndarray  # [n] in 1..K
    scores: np.ndarray  # [n]
    masks: np.ndarray | None = None  # [n, H, W] bool
    keypoints: np.ndarray | None = None  # [n, J, 3]: y, x, and what it is sure of

    def select(self, which: np.ndarray) -> "Objects":
        """Those at some positions, or where a mask [n] is true."""
        parts = [None if part is None else part[which] for part in (self.masks, self.keypoints)]
        return Objects(self.boxes[which], self.labels[which], self.scores[which], *parts)


def expected_of(objects: Objects, change: Change) -> tuple[Objects, np.ndarray]:
    """M_g of objects, cut at the edges of the image, and which count [n] bool: those that are inside."""
    after = moves.boxes_after(change.move, objects.boxes, objects.masks)
    counted = fractions_inside(after, change.inside) >= INSIDE
    masks, keypoints, size = objects.masks, objects.keypoints, change.inside.shape
    if masks is not None and change.moves:
        points = change.move.back(moves.centres(*size))
        masks = np.array([moves.read(mask[..., None] * 1.0, points, "linear")[..., 0] > 0.5 for mask in masks])
        masks = masks.reshape(-1, *size) & change.inside
    if keypoints is not None:
        keypoints = np.concatenate([change.move.forth(keypoints[..., :2]), keypoints[..., 2:]], axis=-1)
    after = np.clip(after, 0, np.tile(size, 2))
    return Objects(after, objects.labels, objects.scores, masks, keypoints), counted


def fractions_inside(boxes: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Fraction [n] of each of the boxes [n, 4] that lies inside [H, W]; edges are rounded to whole pixels."""
    sums = np.pad(np.cumsum(np.cumsum(inside.astype(float), axis=0), axis=1), [(1, 0), (1, 0)])
    whole = np.round(boxes).astype(int).reshape(-1, 4)
    y1, x1, y2, x2 = np.clip(whole, 0, np.tile(inside.shape, 2)).T
    area = np.maximum(whole[:, 2:] - whole[:, :2], 1).prod(axis=-1)
    return np.maximum(sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1], 0) / area


def pairs(expected: Objects, got: Objects) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the pairs [m] in both: of one class, with an IoU of at least a half, the closest first."""
    iou = np.where(expected.labels[:, None] == got.labels[None], overlaps.pairwise_iou(expected.boxes, got.boxes), 0.0)
    mine, theirs = [], []
    while iou.size and iou.max() >= _HIT:
        i, j = np.unravel_index(iou.argmax(), iou.shape)
        mine.append(int(i))
        theirs.append(int(j))
        iou[i], iou[:, j] = 0, 0
    return np.array(mine, int), np.array(theirs, int)
