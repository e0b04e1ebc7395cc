"""Boxes and keypoints as COCO's files have them, and back; NumPy alone. Masks are in ops/rle.py."""

import numpy as np


def to_xywh(boxes) -> np.ndarray:
    """COCO's x, y, width, height [n, 4] of boxes [n, 4]."""
    y1, x1, y2, x2 = np.asarray(boxes, float).reshape(-1, 4).T
    return np.stack([x1, y1, x2 - x1, y2 - y1], axis=-1)


def from_xywh(boxes_xywh) -> np.ndarray:
    """Boxes [n, 4] of COCO's x, y, width, height [n, 4]; inverse of `to_xywh` but for rounding."""
    x, y, width, height = np.asarray(boxes_xywh, float).reshape(-1, 4).T
    return np.stack([y, x, y + height, x + width], axis=-1)


def to_xyv(keypoints: np.ndarray) -> np.ndarray:
    """COCO's x, y, visibility [..., 3] of keypoints [..., 3] (y, x, visibility or score)."""
    return np.concatenate([to_index(keypoints[..., 1::-1]), keypoints[..., 2:]], axis=-1)


def from_xyv(keypoints_xyv: np.ndarray) -> np.ndarray:
    """Keypoints [..., 3] (y, x, visibility) of COCO's x, y, visibility [..., 3]; inverse of `to_xyv`."""
    return np.concatenate([from_index(keypoints_xyv[..., 1::-1]), keypoints_xyv[..., 2:]], axis=-1)


# COCO's boxes are continuous, but its keypoints are indices of pixels, whose centres lie half a pixel further.
def to_index(points):
    """Pixel indices of continuous points, in NumPy or TensorFlow; fractions of a pixel stay."""
    return points - 0.5


def from_index(index):
    """Continuous points of pixel indices, in NumPy or TensorFlow; inverse of `to_index`."""
    return index + 0.5
