"""Objects of an image and M_g of them: which are expected in g(x), which detections are they, and how far off."""

import numpy as np

from tfrecog.config import OutputConfig
from tfrecog.equivariance_lab import moves
from tfrecog.equivariance_lab.dense import Measures
from tfrecog.equivariance_lab.moves import Change, Grid
from tfrecog.ops import overlaps, pasting, rle

INSIDE = 0.9  # fraction of a box that must be inside for it to count
_HIT = 0.5  # IoU of a pair

# Of n objects in pixels as the network sees them: boxes [n, 4], labels [n] in 1..K, and where they are known scores [n]
# (of detections, the best first), masks [n, H, W] bool, and keypoints [n, J, 3]: y, x, and what it is sure of.
Objects = dict[str, np.ndarray]


def select(objects: Objects, which: np.ndarray) -> Objects:
    """Those at some positions, or where a mask [n] is true."""
    return {name: values[which] for name, values in objects.items()}


def pasted(masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int], output: OutputConfig) -> np.ndarray:
    """Masks [n, H, W] bool in an image of a size, of probabilities [n, S, S] in boxes [n, 4]."""
    runs = pasting.paste(masks, boxes, *size, output.mask_threshold, output.paste)
    return np.reshape([rle.decode(one, *size) for one in runs], [-1, *size]).astype(bool)


def expected_of(objects: Objects, change: Change) -> tuple[Objects, np.ndarray]:
    """M_g of objects, cut at the edges of the image, and which count [n] bool: those that are inside."""
    after = moves.boxes_after(change.move, objects["boxes"], objects.get("masks"))
    expected = objects | {"boxes": np.clip(after, 0, np.tile(change.size, 2))}
    if "masks" in objects and change.move is not moves.STILL:
        masks = [Grid(mask).moved(change.move) > 0.5 for mask in objects["masks"]]
        expected["masks"] = np.reshape(masks, [-1, *change.size]).astype(bool) & change.inside
    if "keypoints" in objects:
        points, known = np.split(objects["keypoints"], [2], axis=-1)
        expected["keypoints"] = np.concatenate([change.move.forth(points), known], axis=-1)
    return expected, fractions_inside(after, change.inside) >= INSIDE


def fractions_inside(boxes: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Fraction [n] of each of the boxes [n, 4] that lies inside [H, W]; edges are rounded to whole pixels."""
    whole = np.round(boxes).astype(int).reshape(-1, 4)
    return np.maximum(moves.counts(inside, whole), 0) / np.maximum(whole[:, 2:] - whole[:, :2], 1).prod(axis=-1)


def pairs(expected: Objects, got: Objects) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the pairs [m] in both: of one class, with an IoU of at least a half, the closest first."""
    iou = overlaps.pairwise_iou(expected["boxes"], got["boxes"])
    iou = np.where(expected["labels"][:, None] == got["labels"], iou, 0.0)
    found = []
    while iou.size and iou.max() >= _HIT:
        i, j = np.unravel_index(iou.argmax(), iou.shape)
        found.append((i, j))
        iou[i], iou[:, j] = 0, 0
    mine, theirs = np.array(found, int).reshape(-1, 2).T
    return mine, theirs


def differences(expected: Objects, got: Objects, visible: np.ndarray) -> Measures:
    """How far n objects are from where they are expected; of masks and keypoints, where pixels [H, W] are visible.

    The IoU of a mask with one that has vanished is 0 and counts, or a model would gain by losing masks; what is empty
    in both has none, and of a mask that is empty in one of them no centre is off.
    """
    iou = overlaps.pairwise_iou(expected["boxes"], got["boxes"]).diagonal()
    middles = [(one["boxes"][:, :2] + one["boxes"][:, 2:]) / 2 for one in (expected, got)]
    found = {
        "box_iou": _sum(iou),
        "centre_pixels": _sum(_distances(*middles)),
        "score_change": _sum(np.abs(expected["scores"] - got["scores"])),
    }
    if "masks" in expected:
        first, second = (one["masks"] & visible for one in (expected, got))
        both, either = (masks.sum(axis=(1, 2)) for masks in (first & second, first | second))
        found["mask_iou"] = _sum(both[either > 0] / either[either > 0])
        shown = first.any(axis=(1, 2)) & second.any(axis=(1, 2))
        found["mask_pixels"] = _sum(_distances(*(_middles(masks[shown]) for masks in (first, second))))
    if "keypoints" in expected:
        points, others = expected["keypoints"][..., :2], got["keypoints"][..., :2]
        found["keypoint_pixels"] = _sum(_distances(points, others)[moves.within(points, visible.shape)])
    return found


def _sum(values):
    return float(values.sum()), float(values.size)


def _distances(points, others):
    return np.linalg.norm(points - others, axis=-1)


def _middles(masks):
    """Centres of gravity [n, 2] of masks [n, H, W] that are not empty."""
    return np.array([moves.centres(*mask.shape)[mask].mean(axis=0) for mask in masks]).reshape(-1, 2)
